"""PyTorch twin of gan_jax/networks/mlp.py: no norm, no classes."""

import itertools
import math

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from benchmarks.torch_twins import layers
from gan_jax.networks import mlp


class Generator(nn.Module):
    """z [n, z_dim] -> images [n, c, h, w], or points [n, d]."""

    def __init__(self, flax_module: mlp.Generator, z_dim: int):
        super().__init__()
        self.flax_module = flax_module
        sizes = itertools.pairwise([z_dim, *flax_module.widths, math.prod(flax_module.shape)])
        for i, (d_in, d_out) in enumerate(sizes):
            self.add_module(f"Dense_{i}", nn.Linear(d_in, d_out))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map z [n, z_dim] to [n, c, h, w] or [n, d]."""
        *hidden, last = self.children()
        for layer in hidden:
            z = layers.activate(layer(z), self.flax_module.activation)
        y = layers.activate(last(z), self.flax_module.out)
        y = y.reshape(len(y), *self.flax_module.shape)
        return y.movedim(-1, 1) if y.ndim == 4 else y


class Discriminator(nn.Module):
    """Images [n, c, h, w] or points [n, d] -> logits [n]."""

    def __init__(self, flax_module: mlp.Discriminator, shape: tuple[int, ...]):
        super().__init__()
        self.flax_module = flax_module
        sizes = itertools.pairwise([math.prod(shape), *flax_module.widths, 1])
        for i, (d_in, d_out) in enumerate(sizes):
            bias = flax_module.last_bias or i < len(flax_module.widths)
            self.add_module(f"Dense_{i}", nn.Linear(d_in, d_out, bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c, h, w] or [n, d] to [n]."""
        *hidden, last = self.children()
        y = layers.flatten(x) if x.ndim == 4 else x
        for layer in hidden:
            y = layers.activate(layer(y), self.flax_module.activation)
        return last(y)[:, 0]

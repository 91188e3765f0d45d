"""gan_jax/networks/mlp.py in PyTorch: no norm, no classes."""

import itertools
import math

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from benchmarks.torch_twins import layers
from gan_jax.networks import mlp


class Generator(nn.Module):
    """z [n, z_dim] -> pictures [n, c, h, w], or points [n, d]."""

    def __init__(self, of: mlp.Generator, z_dim: int):
        super().__init__()
        self.of = of
        sizes = itertools.pairwise([z_dim, *of.widths, math.prod(of.shape)])
        for i, (d_in, d_out) in enumerate(sizes):
            self.add_module(f"Dense_{i}", nn.Linear(d_in, d_out))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z [n, z_dim] -> [n, c, h, w] or [n, d]."""
        *hidden, last = self.children()
        for layer in hidden:
            z = layers.activate(layer(z), self.of.activation)
        y = layers.activate(last(z), self.of.out)
        y = y.reshape(len(y), *self.of.shape)
        return y.movedim(-1, 1) if y.ndim == 4 else y


class Discriminator(nn.Module):
    """Pictures [n, c, h, w] or points [n, d] -> logits [n]."""

    def __init__(self, of: mlp.Discriminator, shape: tuple[int, ...]):
        super().__init__()
        self.of = of
        sizes = itertools.pairwise([math.prod(shape), *of.widths, 1])
        for i, (d_in, d_out) in enumerate(sizes):
            bias = of.last_bias or i < len(of.widths)
            self.add_module(f"Dense_{i}", nn.Linear(d_in, d_out, bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, c, h, w] or [n, d] -> [n]."""
        *hidden, last = self.children()
        y = layers.flat(x) if x.ndim == 4 else x
        for layer in hidden:
            y = layers.activate(layer(y), self.of.activation)
        return last(y)[:, 0]

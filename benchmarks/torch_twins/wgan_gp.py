"""PyTorch twin of gan_jax/networks/wgan_gp.py: no classes."""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from benchmarks.torch_twins import resnet
from gan_jax.networks import wgan_gp


class Generator(resnet.Generator):
    """z [n, z_dim] -> images [n, c, size, size]."""

    def __init__(self, flax_module: wgan_gp.Generator, z_dim: int):
        features = [flax_module.width] * wgan_gp.UP[flax_module.size]
        side = flax_module.size >> len(features)
        super().__init__(
            z_dim, side, flax_module.width, features, flax_module.channels, flax_module.out
        )


class Discriminator(resnet.Features):
    """Images [n, c, size, size] -> logits [n]."""

    def __init__(self, flax_module: wgan_gp.Discriminator, shape: tuple[int, ...]):
        down = wgan_gp.DOWN[flax_module.size]
        super().__init__(shape[-1], [flax_module.width] * (down + 2), down, spectral=False)
        self.Dense_0 = nn.Linear(flax_module.width, 1, bias=flax_module.last_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c, size, size] to [n]."""
        return self.Dense_0(self.features(x).mean((2, 3)))[:, 0]

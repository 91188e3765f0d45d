"""gan_jax/networks/wgan_gp.py in PyTorch: no classes."""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from benchmarks.torch_twins import resnet
from gan_jax.networks import wgan_gp


class Generator(resnet.Generator):
    """z [n, z_dim] -> pictures [n, c, size, size]."""

    def __init__(self, of: wgan_gp.Generator, z_dim: int):
        features = [of.width] * wgan_gp.UP[of.size]
        side = of.size >> len(features)
        super().__init__(z_dim, side, of.width, features, of.channels, of.out)


class Discriminator(resnet.Features):
    """Pictures [n, c, size, size] -> logits [n]."""

    def __init__(self, of: wgan_gp.Discriminator, shape: tuple[int, ...]):
        down = wgan_gp.DOWN[of.size]
        super().__init__(shape[-1], [of.width] * (down + 2), down, spectral=False)
        self.Dense_0 = nn.Linear(of.width, 1, bias=of.last_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, c, size, size] -> [n]."""
        return self.Dense_0(self.features(x).mean((2, 3)))[:, 0]

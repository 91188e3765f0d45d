"""gan_jax/networks/sngan.py in PyTorch: no classes."""

import torch  # pyright: ignore[reportMissingImports]

from benchmarks.torch_twins import layers, resnet
from gan_jax.networks import sngan


class Generator(resnet.Generator):
    """z [n, z_dim] -> pictures [n, c, size, size]."""

    def __init__(self, of: sngan.Generator, z_dim: int):
        start, *features = (of.width * multiple for multiple in sngan.UP[of.size])
        side = of.size >> len(features)
        super().__init__(z_dim, side, start, features, of.channels, of.out)


class Discriminator(resnet.Features):
    """Pictures [n, c, size, size] -> logits [n], every layer spectrally normalised."""

    def __init__(self, of: sngan.Discriminator, shape: tuple[int, ...]):
        down, same = sngan.DOWN[of.size]
        features = [of.width * multiple for multiple in down + same]
        super().__init__(shape[-1], features, len(down), spectral=True)
        self.Dense_0 = layers.SpectralLinear(features[-1], 1, of.last_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, c, size, size] -> [n]."""
        return self.Dense_0(self.features(x).sum((2, 3)))[:, 0]

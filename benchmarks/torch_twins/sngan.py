"""PyTorch twin of gan_jax/networks/sngan.py: no classes."""

import torch  # pyright: ignore[reportMissingImports]

from benchmarks.torch_twins import layers, resnet
from gan_jax.networks import sngan


class Generator(resnet.Generator):
    """z [n, z_dim] -> images [n, c, size, size]."""

    def __init__(self, flax_module: sngan.Generator, z_dim: int):
        start, *features = (flax_module.width * multiple for multiple in sngan.UP[flax_module.size])
        side = flax_module.size >> len(features)
        super().__init__(z_dim, side, start, features, flax_module.channels, flax_module.out)


class Discriminator(resnet.Features):
    """Images [n, c, size, size] -> logits [n], every layer spectrally normalized."""

    def __init__(self, flax_module: sngan.Discriminator, shape: tuple[int, ...]):
        down, same = sngan.DOWN[flax_module.size]
        features = [flax_module.width * multiple for multiple in down + same]
        super().__init__(shape[-1], features, len(down), spectral=True)
        self.Dense_0 = layers.SpectralLinear(features[-1], 1, flax_module.last_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c, size, size] to [n]."""
        return self.Dense_0(self.features(x).sum((2, 3)))[:, 0]

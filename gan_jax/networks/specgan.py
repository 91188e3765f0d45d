"""SpecGAN: DCGAN of spectrograms (Donahue, McAuley & Puckette 2019, 1802.04208, sec. 3.2, tables 5
and 6). What a spectrogram is, and how it is heard, is in gan_jax/data/audio/spectrogram.py.

Pictures of 128x128 in [-1, 1], time down and frequency across, by five stages of 5x5 convolutions
with stride 2 from and to 4x4 places of 16 * width channels. No batch norm; meant for WGAN-GP as
WaveGAN is, but without phase shuffle. Weights start from Glorot's uniform law, the default of the
authors' code.

Deviations. Classes, which the paper has not, join z as a one-hot vector; the critic has the
projection of Miyato & Koyama 2018 (1802.05637) on its last features. Smaller spectrograms have
fewer stages.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.strided import Conv, ConvTranspose, glorot
from gan_jax.networks.layers import Dtype, Output

SMALLEST = 4


def num_stages(size: int) -> int:
    """Convolutions between 4x4 and `size`. Raises ValueError unless it is a power of two from 8."""
    if size < 2 * SMALLEST or size & (size - 1):
        raise ValueError(f"specgan: size is {size}, it must be 8, 16, 32, ..., a power of two")
    return (size // SMALLEST).bit_length() - 1


class Generator(interface.Generator):
    """z [n, z_dim] (and labels [n]) -> spectrograms [n, size, size, channels]."""

    size: int = 128
    """Frames, and frequencies, of a spectrogram."""
    channels: int = 1
    """1 for mono."""
    width: int = 64
    """Channels of the last hidden stage; each one before it has twice as many."""
    classes: int = 0
    """Class labels, 0 for none."""
    out: Output = "tanh"
    """After the last convolution."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and output are float32."""

    @nn.compact
    def __call__(self, z: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        count = num_stages(self.size)
        width = self.width << (count - 1)
        z = jnp.concatenate([z, layers.one_hot(cond, self.classes, z.shape[0])], -1)
        y = nn.Dense(SMALLEST**2 * width, dtype=self.dtype, kernel_init=glorot)(z)
        y = nn.relu(y.reshape(z.shape[0], SMALLEST, SMALLEST, width))
        for stage in range(1, count):
            y = nn.relu(ConvTranspose(width >> stage, 5, 2, dtype=self.dtype)(y))
        y = ConvTranspose(self.channels, 5, 2, dtype=self.dtype)(y)
        return layers.activate(y.astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Spectrograms [n, size, size, c] (and labels [n]) -> logits [n]: the critic."""

    size: int = 128
    """Frames, and frequencies, of a spectrogram."""
    width: int = 64
    """Channels of the first stage; each one after it has twice as many."""
    classes: int = 0
    """Class labels, 0 for none."""
    last_bias: bool = True
    """A bias of the logit. Wasserstein and relativistic losses do not see it."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and logits are float32."""

    @nn.compact
    def __call__(self, x: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        count = num_stages(self.size)
        layers.check_side("specgan", self.size, x)
        labels, y = layers.one_hot(cond, self.classes, len(x)), x
        for stage in range(count):
            y = layers.activate(Conv(self.width << stage, 5, 2, dtype=self.dtype)(y), "leaky_relu")
        y = y.reshape(len(x), -1)
        last = nn.Dense(1, self.last_bias, dtype=self.dtype, kernel_init=glorot)
        logits = last(y)[:, 0].astype(jnp.float32)
        if self.classes:
            logits += layers.projection(labels, y, glorot)
        return logits

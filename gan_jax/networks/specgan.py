"""SpecGAN: DCGAN for spectrograms.

Donahue, McAuley & Puckette 2019 (1802.04208), sec. 3.2, tables 5 and 6. The conversion between
audio and spectrograms is in gan_jax/data/audio/spectrogram.py.

Spectrograms are images of 128x128 in [-1, 1], with time along the height and frequency along the
width. Five stages of 5x5 convolutions with stride 2 lead from and to 4x4 positions with 16 * width
channels. There is no batch norm. Intended for WGAN-GP, like WaveGAN, but without phase shuffle.
Weights have Glorot's uniform initialization, the default of the authors' code.

Deviations. Classes, which the paper does not have, are concatenated to z as a one-hot vector; the
critic has the projection of Miyato & Koyama 2018 (1802.05637) on its last features. Smaller
spectrograms have fewer stages.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.strided import Conv, ConvTranspose, glorot
from gan_jax.networks.layers import Dtype, Output

SMALLEST = 4


def num_stages(size: int) -> int:
    """Return the number of convolutions between 4x4 and `size`.

    Raises:
        ValueError: If `size` is not a power of two from 8.
    """
    if size < 2 * SMALLEST or size & (size - 1):
        raise ValueError(f"specgan: size must be a power of two from 8, got {size}")
    return (size // SMALLEST).bit_length() - 1


class Generator(interface.Generator):
    """Generator, z [n, z_dim] and optional labels [n] -> spectrograms [n, size, size, c]."""

    size: int = 128
    """Number of frames, and of frequencies, of a spectrogram."""
    channels: int = 1
    """Number of audio channels: 1 for mono."""
    width: int = 64
    """Number of channels of the last hidden stage, doubled at each stage before it."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    out: Output = "tanh"
    """Output activation."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and output are float32."""

    @nn.compact
    def __call__(
        self, z: Float[Array, "n z_dim"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, "n h w c"]:
        """Generate examples from latents."""
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
    """Critic, spectrograms [n, size, size, c] and optional labels [n] -> logits [n]."""

    size: int = 128
    """Number of frames, and of frequencies, of a spectrogram."""
    width: int = 64
    """Number of channels of the first stage, doubled at each stage after it."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    last_bias: bool = True
    """Bias of the logit. Wasserstein and relativistic losses do not depend on it."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and logits are float32."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, " n"]:
        """Compute the logits of examples."""
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

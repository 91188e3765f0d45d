"""DCGAN: convolutions all the way (Radford, Metz & Chintala 2016, 1511.06434, sec. 3, fig. 1).

Every stage doubles the side of a picture and halves its channels, by a transposed convolution of
4x4 with stride 2; the discriminator mirrors that. Batch norm everywhere but at the generator's
output and the discriminator's input, ReLU and leaky ReLU (0.2), weights from N(0, 0.02).

Deviations. The kernels are 4x4, as in the authors' later code, not 5x5: each output pixel then sees
as many inputs as any other. The paper draws pictures of 64 pixels; here 32 and 28 have a stage
fewer (28: from 7x7, with two). Classes, which the paper has not, join z as a one-hot vector, and
the picture as planes of ones, as in Mirza & Osindero 2014 (1411.1784).
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.layers import Conv, ConvTranspose
from gan_jax.networks.layers import Axis, Dtype, Output

STAGES = {28: 2, 32: 3, 64: 4}  # of stride 2, from 7x7 or 4x4
normal = nn.initializers.normal(0.02)


def num_stages(size: int) -> int:
    """How often the side of a picture is halved. Raises ValueError for other sizes than 28, 32 and
    64 pixels."""
    if size not in STAGES:
        raise ValueError(f"dcgan: size is {size}, it must be one of {[*STAGES]}")
    return STAGES[size]


def batch_norm(x: jax.Array, *, train: bool, axis: str | None, dtype: Dtype) -> jax.Array:
    """Batch norm whose scale starts from N(1, 0.02), as in the authors' code."""

    def around_one(*of):
        return 1 + normal(*of)

    return layers.batch_norm(x, train=train, axis=axis, dtype=dtype, scale_init=around_one)


class Generator(interface.Generator):
    """z [n, z_dim] (and labels [n]) -> pictures [n, size, size, channels]."""

    size: Literal[28, 32, 64] = 32
    """Side of a picture in pixels."""
    channels: int = 3
    """1 for grey, 3 for RGB."""
    width: int = 64
    """Channels of the last hidden stage; each one before it has twice as many. Paper: 128."""
    classes: int = 0
    """Class labels, 0 for none."""
    out: Output = "tanh"
    """After the last convolution: tanh for pixels in [-1, 1], sigmoid for [0, 1]."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and output are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(self, z: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        count = num_stages(self.size)
        side, width = self.size >> count, self.width << (count - 1)

        def hidden(y: jax.Array) -> jax.Array:
            return nn.relu(batch_norm(y, train=train, axis=self.axis, dtype=self.dtype))

        z = jnp.concatenate([z, layers.one_hot(cond, self.classes, z.shape[0])], -1)
        # A 4x4 transposed convolution of a single pixel, in other words.
        y = nn.Dense(side * side * width, False, dtype=self.dtype, kernel_init=normal)(z)
        y = hidden(y.reshape(z.shape[0], side, side, width))
        for stage in range(1, count):
            features = width >> stage
            y = ConvTranspose(features, use_bias=False, dtype=self.dtype, kernel_init=normal)(y)
            y = hidden(y)
        y = ConvTranspose(self.channels, dtype=self.dtype, kernel_init=normal)(y)
        return layers.activate(y.astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Pictures [n, size, size, c] (and labels [n]) -> logits [n]."""

    size: Literal[28, 32, 64] = 32
    """Side of a picture in pixels."""
    width: int = 64
    """Channels of the first stage; each one after it has twice as many. Paper: 128."""
    classes: int = 0
    """Class labels, 0 for none."""
    auxiliary: bool = False
    """An auxiliary classifier of the classes (Odena et al. 2017, 1610.09585) in place of the
    planes of ones: see layers.sow_class_logits."""
    norm: Literal["none", "batch", "spectral"] = "batch"
    """batch: of all but the first stage, the paper's; spectral: of every layer; none, for penalties
    on single examples' gradients (WGAN-GP's, R1), which batch norm has not."""
    last_bias: bool = True
    """A bias of the logit. Relativistic losses do not see it (gan_jax/networks/mlp.py)."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and logits are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(self, x: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        count = num_stages(self.size)
        layers.check_side("dcgan", self.size, x)

        if self.auxiliary and not self.classes:
            raise ValueError("dcgan: an auxiliary classifier needs classes, and has 0")

        def layer(module: nn.Module, y: jax.Array) -> jax.Array:
            if self.norm == "spectral":
                return layers.SpectralNorm(module)(y, train=train)
            return module(y)

        labels = layers.one_hot(cond, self.classes, len(x))[:, None, None]
        planes = jnp.broadcast_to(labels, (*x.shape[:3], self.classes))
        y = x if self.auxiliary else jnp.concatenate([x, planes], -1)
        for stage in range(count):
            normed = self.norm == "batch" and stage > 0
            conv = Conv(
                self.width << stage,
                size=4,
                stride=2,
                use_bias=not normed,
                dtype=self.dtype,
                kernel_init=normal,
            )
            y = layer(conv, y)
            if normed:
                y = batch_norm(y, train=train, axis=self.axis, dtype=self.dtype)
            y = layers.activate(y, "leaky_relu")
        y = y.reshape(len(x), -1)
        last = nn.Dense(1, self.last_bias, dtype=self.dtype, kernel_init=normal)
        logits = layer(last, y)[:, 0].astype(jnp.float32)
        if self.auxiliary:
            classify = nn.Dense(self.classes, dtype=self.dtype, kernel_init=normal, name="classify")
            layers.sow_class_logits(self, layer(classify, y))
        return logits

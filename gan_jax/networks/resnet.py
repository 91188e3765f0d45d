"""The residual blocks of WGAN-GP (Gulrajani et al. 2017, 1704.00028, appendix), which SNGAN took
over (Miyato et al. 2018, 1802.05957, appendix).

A block is normalisation, ReLU and a 3x3 convolution, twice, beside a shortcut (He et al. 2016,
1603.05027). Pictures are doubled by repeating pixels and halved by averaging four.

Initialisation as in both authors' code: 3x3 kernels in blocks uniform of variance
4 / (fan_in + fan_out), shortcuts and all that is outside of blocks Glorot's, half of that.

Two liberties. A shortcut's 1x1 convolution runs on the smaller of its two pictures: it commutes
with repeating and averaging pixels, so only rounding differs. And a generator's blocks have no
biases. A constant added to a channel passes the shortcuts as a constant to a channel and is taken
away by every batch norm it meets, the last one included: its gradient is zero, and Adam would turn
the rounding errors of it into steps (gan_jax/networks/layers.py).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import layers
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Dtype

he = nn.initializers.variance_scaling(2, "fan_avg", "uniform")
glorot = nn.initializers.glorot_uniform()


def upsample(x: jax.Array) -> jax.Array:
    """[n, h, w, c] -> [n, 2h, 2w, c]: every pixel four times."""
    n, h, w, c = x.shape
    x = jnp.broadcast_to(x.reshape(n, h, 1, w, 1, c), (n, h, 2, w, 2, c))
    return x.reshape(n, 2 * h, 2 * w, c)


def downsample(x: jax.Array) -> jax.Array:
    """[n, 2h, 2w, c] -> [n, h, w, c]: means of 2x2 pixels."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a scale and an offset for every class (Dumoulin et al. 2017, 1610.07629),
    over the examples of all devices and classes, statistics in float32.

    x [n, h, w, c] and one-hot labels [n, classes]. The vectors are looked up by a product: unlike
    a gather's gradient, which adds up in any order, that has the same bits every time.
    """

    axis: str | None
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array, *, train: bool) -> jax.Array:
        def of_label(name: str, init: nn.initializers.Initializer) -> jax.Array:
            # In full precision: accelerators would round a scale near 1 to a few bits.
            table = nn.Dense(
                x.shape[-1], use_bias=False, kernel_init=init, precision="highest", name=name
            )
            return jnp.broadcast_to(table(labels)[:, None, None], x.shape)

        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            use_scale=False,
            use_bias=False,
            axis_name=self.axis,
            dtype=jnp.float32,
        )
        y = norm(x) * of_label("scale", nn.initializers.ones)
        return (y + of_label("offset", nn.initializers.zeros)).astype(self.dtype)


def batch_norm(
    x: jax.Array, labels: jax.Array, *, train: bool, axis: str | None, dtype: Dtype
) -> jax.Array:
    """Batch norm, conditional where labels [n, classes] have classes. In a compact method."""
    if labels.shape[-1] == 0:
        return layers.batch_norm(x, train=train, axis=axis, dtype=dtype)
    return ConditionalBatchNorm(axis, dtype)(x, labels, train=train)


class UpBlock(nn.Module):
    """A generator's: x [n, h, w, c] and labels [n, classes] -> [n, 2h, 2w, features]."""

    features: int
    axis: str | None
    dtype: Dtype
    spectral: bool = False
    """Spectral norm of every convolution."""

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array, *, train: bool) -> jax.Array:
        def activate(y: jax.Array) -> jax.Array:
            return nn.relu(batch_norm(y, labels, train=train, axis=self.axis, dtype=self.dtype))

        def conv(y: jax.Array, size: int, init: nn.initializers.Initializer) -> jax.Array:
            layer = Conv(self.features, size, use_bias=False, dtype=self.dtype, kernel_init=init)
            return layers.SpectralNorm(layer)(y, train=train) if self.spectral else layer(y)

        y = conv(upsample(activate(x)), 3, he)
        y = conv(activate(y), 3, he)
        return upsample(conv(x, 1, glorot)) + y


class DownBlock(nn.Module):
    """A discriminator's: x [n, h, w, c] -> [n, h/2, w/2, features], or [n, h, w, features]."""

    features: int
    down: bool
    first: bool
    """x is the picture, so there is no ReLU of it."""
    spectral: bool
    """Spectral norm of every convolution."""
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def conv(
            y: jax.Array, features: int, size: int, init: nn.initializers.Initializer
        ) -> jax.Array:
            layer = Conv(features, size, dtype=self.dtype, kernel_init=init)
            return layers.SpectralNorm(layer)(y, train=train) if self.spectral else layer(y)

        y = x if self.first else nn.relu(x)
        y = nn.relu(conv(y, self.features if self.first else x.shape[-1], 3, he))
        y = conv(y, self.features, 3, he)
        if self.down:
            x, y = downsample(x), downsample(y)
        if self.down or x.shape[-1] != self.features:
            x = conv(x, self.features, 1, glorot)
        return x + y

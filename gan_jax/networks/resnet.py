"""Residual blocks of WGAN-GP and SNGAN.

Gulrajani et al. 2017 (1704.00028), appendix; Miyato et al. 2018 (1802.05957), appendix. A block
applies normalization, ReLU and a 3x3 convolution, twice, and adds a shortcut (He et al. 2016,
1603.05027). Images are upsampled by repeating pixels and downsampled by averaging 2x2 pixels.

Initialization is as in the code of both papers: 3x3 kernels in blocks are uniform with variance
4 / (fan_in + fan_out), shortcuts and everything outside the blocks use Glorot's, half of that.

Deviations. The 1x1 convolution of a shortcut runs at the lower of its two resolutions. It commutes
with repeating and averaging pixels, so only rounding differs. The generator's blocks have no
biases. A constant added to a channel passes the shortcuts as a constant and is removed by every
later batch norm, including the last one. Its gradient is zero, and Adam would turn its rounding
errors into steps (gan_jax/networks/layers.py).
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.networks import layers
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Dtype

he = nn.initializers.variance_scaling(2, "fan_avg", "uniform")
glorot = nn.initializers.glorot_uniform()


def upsample(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    """Repeat every pixel 2x2 times: [n, h, w, c] -> [n, 2h, 2w, c]."""
    n, h, w, c = x.shape
    x = jnp.broadcast_to(x.reshape(n, h, 1, w, 1, c), (n, h, 2, w, 2, c))
    return x.reshape(n, 2 * h, 2 * w, c)


def downsample(x: Float[Array, "n h2 w2 c"]) -> Float[Array, "n h w c"]:
    """Average 2x2 pixels: [n, 2h, 2w, c] -> [n, h, w, c]."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a scale and an offset per class (Dumoulin et al. 2017, 1610.07629).

    Statistics are float32, over the examples of all devices and classes. The scale and offset of a
    label are looked up with a product: the gradient of a gather sums in an unspecified order, that
    of a product is deterministic.
    """

    axis: str | None
    """Mapped device axis."""
    dtype: Dtype
    """Dtype of the output."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], labels: Float[Array, "n classes"], *, train: bool
    ) -> Float[Array, "n h w c"]:
        """Apply the layer."""

        def look_up(name: str, init: nn.initializers.Initializer) -> Array:
            # Full precision: accelerators would round a scale near 1 to a few bits.
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
        y = norm(x) * look_up("scale", nn.initializers.ones)
        return (y + look_up("offset", nn.initializers.zeros)).astype(self.dtype)


def batch_norm(
    x: Float[Array, "n h w c"],
    labels: Float[Array, "n classes"],
    *,
    train: bool,
    axis: str | None,
    dtype: Dtype,
) -> Float[Array, "n h w c"]:
    """Apply batch norm, conditional if there are classes, in a compact method.

    Args:
        x: Features.
        labels: One-hot labels; [n, 0] without classes.
        train: Whether to use and update with the statistics of this batch.
        axis: Mapped device axis.
        dtype: Dtype of the output.

    Returns:
        Normalized features.
    """
    if labels.shape[-1] == 0:
        return layers.batch_norm(x, train=train, axis=axis, dtype=dtype)
    return ConditionalBatchNorm(axis, dtype)(x, labels, train=train)


class UpBlock(nn.Module):
    """Residual block of a generator, [n, h, w, c] -> [n, 2h, 2w, features]."""

    features: int
    """Number of output channels."""
    axis: str | None
    """Mapped device axis."""
    dtype: Dtype
    """Dtype of the computation."""
    spectral: bool = False
    """Spectral norm of every convolution."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], labels: Float[Array, "n classes"], *, train: bool
    ) -> Float[Array, "n h2 w2 features"]:
        """Apply the layer."""

        def activate(y: Array) -> Array:
            return nn.relu(batch_norm(y, labels, train=train, axis=self.axis, dtype=self.dtype))

        def conv(y: Array, size: int, init: nn.initializers.Initializer) -> Array:
            layer = Conv(self.features, size, use_bias=False, dtype=self.dtype, kernel_init=init)
            return layers.SpectralNorm(layer)(y, train=train) if self.spectral else layer(y)

        y = conv(upsample(activate(x)), 3, he)
        y = conv(activate(y), 3, he)
        return upsample(conv(x, 1, glorot)) + y


class DownBlock(nn.Module):
    """Residual block of a discriminator, [n, h, w, c] -> [n, h/2, w/2, features]."""

    features: int
    """Number of output channels."""
    down: bool
    """Downsampling; without, the output is [n, h, w, features]."""
    first: bool
    """Input is the image, so the block does not begin with a ReLU."""
    spectral: bool
    """Spectral norm of every convolution."""
    dtype: Dtype
    """Dtype of the computation."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], *, train: bool
    ) -> Float[Array, "n h2 w2 features"]:
        """Apply the layer."""

        def conv(y: Array, features: int, size: int, init: nn.initializers.Initializer) -> Array:
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

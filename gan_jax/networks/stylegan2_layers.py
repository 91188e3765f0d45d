"""Layers of StyleGAN2 (Karras et al. 2020, 1912.04958; gan_jax/networks/stylegan2.py).

Equalized learning rate (Karras et al. 2018, 1710.10196, sec. 4.1): kernels are initialized from
N(0, 1) and multiplied by 1/sqrt(fan-in) at run time, so Adam's steps have the same size relative to
the kernel in every layer. Leaky ReLUs are multiplied by sqrt(2), which keeps mean squares near 1.

Resampling uses the filter [1, 3, 3, 1] along each axis, with zero padding. It follows a 3x3
convolution that upsamples and precedes one that downsamples, and includes values just outside the
image, as in the authors' code. Upsampling is a transposed convolution of stride 2 and the filter,
with 9/4 products per new pixel instead of 9 for a convolution of the filtered image.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.networks.conv.cpu import Geometry
from gan_jax.networks.conv.layers import conv
from gan_jax.networks.conv.primitive import trilinear
from gan_jax.networks.layers import Dtype
from gan_jax.networks.r3gan import downsample

normal = nn.initializers.normal(1)


def activate(x: Float[Array, "n *shape c"], bias: Float[Array, " c"]) -> Float[Array, "n *shape c"]:
    """Compute sqrt(2) leaky_relu(x + bias) with slope 0.2."""
    y = x + jnp.broadcast_to(bias.astype(x.dtype), x.shape)
    return math.sqrt(2) * nn.leaky_relu(y, 0.2)


def normalize(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Scale rows to mean square 1."""
    return x * lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-8)


def smooth(x: Float[Array, "n h w c"], pad: int) -> Float[Array, "n h2 w2 c"]:
    """Filter x, zero-padded by `pad` on every side, with [1, 3, 3, 1] / 8 along each axis.

    [n, h, w, c] -> [n, h + 2 pad - 3, w + 2 pad - 3, c].
    """
    for axis in (1, 2):
        padding = [(0, 0)] * x.ndim
        padding[axis] = (pad, pad)
        padded, length = jnp.pad(x, padding), x.shape[axis] + 2 * pad - 3
        a, b, c, d = (lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(4))
        x = 0.125 * (a + d) + 0.375 * (b + c)
    return x


def up_conv(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "3 3 c_in c_out"]
) -> Float[Array, "n h2 w2 c_out"]:
    """Upsample with a convolution: [n, h, w, c_in] -> [n, 2h, 2w, c_out].

    Zeros are inserted between the pixels, then the convolution and 4 times the filter are applied.
    """
    height, width = (2 * length + 1 for length in x.shape[1:3])
    transposed = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return 4 * smooth(trilinear(transposed, x, "x", Geometry(3, 2, 0, 1, height, width)), 1)


def down_conv(
    x: Float[Array, "n h2 w2 c_in"], kernel: Float[Array, "3 3 c_in c_out"]
) -> Float[Array, "n h w c_out"]:
    """Downsample with the filter and a convolution: [n, 2h, 2w, c_in] -> [n, h, w, c_out]."""
    x = smooth(x, 2)
    return trilinear(x, kernel, "y", Geometry(3, 2, 0, 1, *x.shape[1:3]))


def modulated_conv(
    x: Float[Array, "n h w c_in"],
    kernel: Float[Array, "k k c_in c_out"],
    styles: Float[Array, "n c_in"],
    *,
    demodulate: bool = True,
    up: bool = False,
) -> Float[Array, "n h2 w2 c_out"]:
    """Convolve each example with its modulated kernel (1912.04958, eq. 1 and 3).

    The kernel is multiplied by the styles of the example along c_in, and each output channel is
    divided by its norm. This is computed as a scaling of x before the convolution, with one kernel
    for all examples, and a scaling of the output after it, in the dtype of x with float32 norms.

    Args:
        x: Features.
        kernel: Kernel that the examples share.
        styles: Factors of the input channels, per example.
        demodulate: Whether to divide by the norms.
        up: Whether to upsample by 2.

    Returns:
        Features, h2 = 2h with `up`, else h.
    """
    scaled = x * styles.astype(x.dtype)[:, None, None]
    y = (up_conv if up else conv)(scaled, kernel.astype(x.dtype))
    if demodulate:
        squares = jnp.square(kernel).sum((0, 1))
        norm = jnp.einsum("ni,io->no", jnp.square(styles), squares, precision="highest")
        y *= lax.rsqrt(norm + 1e-8).astype(y.dtype)[:, None, None]
    return y


class Dense(nn.Module):
    """Dense layer with an equalized learning rate, float32."""

    features: int
    """Number of outputs."""
    rate: float = 1.0
    """Factor of the learning rate."""
    bias_init: float = 0.0
    """Initial bias."""
    use_bias: bool = True
    """Bias added to the output."""
    activated: bool = False
    """Leaky ReLU of the output."""

    @nn.compact
    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n features"]:
        """Apply the layer."""
        kernel_init = nn.initializers.normal(1 / self.rate)
        kernel = self.param("kernel", kernel_init, (x.shape[-1], self.features))
        y = x @ (kernel * (self.rate / math.sqrt(x.shape[-1])))
        if not self.use_bias:
            return y
        bias_init = nn.initializers.constant(self.bias_init)
        bias = self.rate * self.param("bias", bias_init, (self.features,))
        return activate(y, bias) if self.activated else y + jnp.broadcast_to(bias, y.shape)


class Conv(nn.Module):
    """Convolution of the discriminator, [n, h, w, c] -> [n, h, w, features]."""

    features: int
    """Number of output channels."""
    size: int = 3
    """Side of the kernel: 1 or 3."""
    down: bool = False
    """Downsampling by 2."""
    linear: bool = False
    """Output without bias and leaky ReLU."""
    dtype: Dtype = "float32"
    """Dtype of the computation."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 features"]:
        """Apply the layer."""
        x = x.astype(self.dtype)
        kernel = equalized_kernel(self, x.shape[-1], self.features, self.size).astype(self.dtype)
        if self.down and self.size == 3:
            y = down_conv(x, kernel)
        else:
            y = conv(downsample(x) if self.down else x, kernel)
        if self.linear:
            return y
        return activate(y, self.param("bias", nn.initializers.zeros, (self.features,)))


class StyledConv(nn.Module):
    """Convolution of the generator, modulated by w, with optional noise and leaky ReLU."""

    features: int
    """Number of output channels."""
    up: bool = False
    """Upsampling by 2."""
    dtype: Dtype = "float32"
    """Dtype of the computation; styles are float32."""

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "n h w c"],
        w: Float[Array, "n d"],
        noise: Float[Array, "n h2 w2 1"] | None,
    ) -> Float[Array, "n h2 w2 features"]:
        """Apply the layer."""
        styles = Dense(x.shape[-1], bias_init=1, name="style")(w)
        kernel = equalized_kernel(self, x.shape[-1], self.features, 3)
        y = modulated_conv(x.astype(self.dtype), kernel, styles, up=self.up)
        if noise is not None:
            strength = self.param("noise_strength", nn.initializers.zeros, ())
            y += (strength * noise).astype(y.dtype)
        return activate(y, self.param("bias", nn.initializers.zeros, (self.features,)))


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to colors, without demodulation, with float32 output."""

    channels: int
    """Number of color channels."""
    dtype: Dtype = "float32"
    """Dtype of the convolution."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], w: Float[Array, "n d"]
    ) -> Float[Array, "n h w channels"]:
        """Apply the layer."""
        styles = Dense(x.shape[-1], bias_init=1, name="style")(w)
        kernel = equalized_kernel(self, x.shape[-1], self.channels, 1)
        y = modulated_conv(x.astype(self.dtype), kernel, styles, demodulate=False)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        return y.astype(jnp.float32) + jnp.broadcast_to(bias, y.shape)


def equalized_kernel(
    module: nn.Module, c_in: int, c_out: int, size: int
) -> Float[Array, "size size c_in c_out"]:
    """Return the parameter `kernel` of a module, times 1/sqrt(fan-in), float32.

    Args:
        module: Module that owns the parameter.
        c_in: Number of input channels.
        c_out: Number of output channels.
        size: Side of the kernel.

    Returns:
        The scaled kernel.
    """
    kernel = module.param("kernel", normal, (size, size, c_in, c_out))
    return kernel * (1 / math.sqrt(size * size * c_in))

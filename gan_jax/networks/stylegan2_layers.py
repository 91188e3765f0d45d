"""The layers of StyleGAN2 (Karras et al. 2020, 1912.04958; gan_jax/networks/stylegan2.py).

Equalised learning rate (Karras et al. 2018, 1710.10196, sec. 4.1): kernels are stored as N(0, 1)
and multiplied by 1/sqrt(fan-in) where they are used, so Adam's steps are as large, relative to the
kernel, in every layer. Leaky ReLUs are multiplied by sqrt(2), which keeps mean squares near 1.

Resampling is by the filter [1, 3, 3, 1] along each axis, zeros around. Beside a 3x3 convolution it
comes after it on the way up and before it on the way down, and sees what lies just outside of the
picture, as in the authors' code: going up is a transposed convolution of stride 2 and the filter,
9/4 products a new pixel instead of the 9 of a convolution of the filtered picture.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.networks.conv.cpu import Geometry
from gan_jax.networks.conv.layers import conv
from gan_jax.networks.conv.primitive import trilinear
from gan_jax.networks.layers import Dtype
from gan_jax.networks.r3gan import downsample

normal = nn.initializers.normal(1)


def activate(x: jax.Array, bias: jax.Array) -> jax.Array:
    """sqrt(2) leaky_relu(x + bias), of slope 0.2; x [n, ..., c] and bias [c]."""
    y = x + jnp.broadcast_to(bias.astype(x.dtype), x.shape)
    return math.sqrt(2) * nn.leaky_relu(y, 0.2)


def normalize(x: jax.Array) -> jax.Array:
    """Rows [n, d] of mean square 1."""
    return x * lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-8)


def smooth(x: jax.Array, pad: int) -> jax.Array:
    """[n, h, w, c] -> [n, h + 2 pad - 3, w + 2 pad - 3, c]: [1, 3, 3, 1] / 8 along each axis, of x
    with `pad` zeros on every side."""
    for axis in (1, 2):
        padding = [(0, 0)] * x.ndim
        padding[axis] = (pad, pad)
        padded, length = jnp.pad(x, padding), x.shape[axis] + 2 * pad - 3
        a, b, c, d = (lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(4))
        x = 0.125 * (a + d) + 0.375 * (b + c)
    return x


def up_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x [n, h, w, c_in] and kernel [3, 3, c_in, c_out] -> [n, 2h, 2w, c_out]: zeros between the
    pixels, the convolution, and the filter times 4."""
    height, width = (2 * length + 1 for length in x.shape[1:3])
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return 4 * smooth(trilinear(turned, x, "x", Geometry(3, 2, 0, 1, height, width)), 1)


def down_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x [n, 2h, 2w, c_in] and kernel [3, 3, c_in, c_out] -> [n, h, w, c_out]: the filter, and the
    convolution with stride 2."""
    x = smooth(x, 2)
    return trilinear(x, kernel, "y", Geometry(3, 2, 0, 1, *x.shape[1:3]))


def modulated_conv(
    x: jax.Array,
    kernel: jax.Array,
    styles: jax.Array,
    *,
    demodulate: bool = True,
    up: bool = False,
) -> jax.Array:
    """x [n, h, w, c_in] with, for example i, the kernel [k, k, c_in, c_out] times styles [i, c_in]
    (1912.04958, eq. 1), each of its output channels divided by its norm (eq. 3).

    Styles scale x before the convolution and norms the result after it: the same sums, of one
    kernel for all examples. Computed in x's dtype, norms in float32.
    """
    scaled = x * styles.astype(x.dtype)[:, None, None]
    y = (up_conv if up else conv)(scaled, kernel.astype(x.dtype))
    if demodulate:
        squares = jnp.square(kernel).sum((0, 1))
        norm = jnp.einsum("ni,io->no", jnp.square(styles), squares, precision="highest")
        y *= lax.rsqrt(norm + 1e-8).astype(y.dtype)[:, None, None]
    return y


class Dense(nn.Module):
    """x [n, d] -> [n, features] float32. Its parameters learn `rate` times as fast as others."""

    features: int
    rate: float = 1.0
    bias_init: float = 0.0
    use_bias: bool = True
    activated: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel_init = nn.initializers.normal(1 / self.rate)
        kernel = self.param("kernel", kernel_init, (x.shape[-1], self.features))
        y = x @ (kernel * (self.rate / math.sqrt(x.shape[-1])))
        if not self.use_bias:
            return y
        bias_init = nn.initializers.constant(self.bias_init)
        bias = self.rate * self.param("bias", bias_init, (self.features,))
        return activate(y, bias) if self.activated else y + jnp.broadcast_to(bias, y.shape)


class Conv(nn.Module):
    """A discriminator's convolution: x [n, h, w, c] -> [n, h, w, features], `down` to half of each
    side; with bias and leaky ReLU, or `linear`. In `dtype`."""

    features: int
    size: int = 3
    down: bool = False
    linear: bool = False
    dtype: Dtype = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x, kernel = (
            x.astype(self.dtype),
            equalized_kernel(self, x.shape[-1], self.features, self.size),
        )
        kernel = kernel.astype(self.dtype)
        if self.down and self.size == 3:
            y = down_conv(x, kernel)
        else:
            y = conv(downsample(x) if self.down else x, kernel)
        if self.linear:
            return y
        return activate(y, self.param("bias", nn.initializers.zeros, (self.features,)))


class StyledConv(nn.Module):
    """A generator's convolution: x [n, h, w, c], w [n, d] and noise [n, h', w', 1] (None for none)
    -> [n, h', w', features], h' = 2h with `up`. In `dtype`; styles are float32."""

    features: int
    up: bool = False
    dtype: Dtype = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array | None) -> jax.Array:
        styles = Dense(x.shape[-1], bias_init=1, name="style")(w)
        kernel = equalized_kernel(self, x.shape[-1], self.features, 3)
        y = modulated_conv(x.astype(self.dtype), kernel, styles, up=self.up)
        if noise is not None:
            strength = self.param("noise_strength", nn.initializers.zeros, ())
            y += (strength * noise).astype(y.dtype)
        return activate(y, self.param("bias", nn.initializers.zeros, (self.features,)))


class ToRGB(nn.Module):
    """x [n, h, w, c] and w [n, d] -> pictures [n, h, w, channels] float32: a modulated 1x1
    convolution without demodulation."""

    channels: int
    dtype: Dtype = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        styles = Dense(x.shape[-1], bias_init=1, name="style")(w)
        kernel = equalized_kernel(self, x.shape[-1], self.channels, 1)
        y = modulated_conv(x.astype(self.dtype), kernel, styles, demodulate=False)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        return y.astype(jnp.float32) + jnp.broadcast_to(bias, y.shape)


def equalized_kernel(module: nn.Module, c_in: int, c_out: int, size: int) -> jax.Array:
    """The module's parameter `kernel` [size, size, c_in, c_out], times 1/sqrt(fan-in), float32."""
    kernel = module.param("kernel", normal, (size, size, c_in, c_out))
    return kernel * (1 / math.sqrt(size * size * c_in))

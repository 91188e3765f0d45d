"""Convolutions of pictures [n, h, w, c], plain and transposed, and the layers made of them."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks.conv.cpu import Geometry
from gan_jax.networks.conv.primitive import trilinear
from gan_jax.networks.layers import Dtype

Initializer = nn.initializers.Initializer


def conv(x: jax.Array, kernel: jax.Array, *, stride: int = 1, groups: int = 1) -> jax.Array:
    """x [n, h, w, c_in] * kernel [k, k, c_in/groups, c_out] -> [n, h', w', c_out].

    (k-1)//2 zeros on every side: h' = h for odd k, h/2 for k = 4 with stride 2.
    """
    size = kernel.shape[0]
    geometry = Geometry(size, stride, (size - 1) // 2, groups, x.shape[1], x.shape[2])
    return trilinear(x, kernel, "y", geometry)


def conv_transpose(x: jax.Array, kernel: jax.Array, *, stride: int = 2) -> jax.Array:
    """x [n, h, w, c_in] with kernel [k, k, c_in, c_out] -> [n, h', w', c_out]: what takes the
    output's gradient to the input's in a strided convolution with (k-1)//2 zeros on every side.
    h' = 2h for k = 4 with stride 2; h' = k for h = 1 with k = 4, stride 4 and no zeros.
    """
    size, pad = kernel.shape[0], (kernel.shape[0] - 1) // 2
    height, width = ((length - 1) * stride + size - 2 * pad for length in x.shape[1:3])
    kernel = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return trilinear(kernel, x, "x", Geometry(size, stride, pad, 1, height, width))


class Conv(nn.Module):
    """A convolution with its kernel [size, size, c_in/groups, features] and bias."""

    features: int
    size: int = 3
    stride: int = 1
    groups: int = 1
    use_bias: bool = True
    dtype: Dtype = "float32"
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        kernel, x = kernel.astype(self.dtype), x.astype(self.dtype)
        y = conv(x, kernel, stride=self.stride, groups=self.groups)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y += jnp.broadcast_to(bias.astype(self.dtype), y.shape)
        return y


class ConvTranspose(nn.Module):
    """A transposed convolution with its kernel [size, size, c_in, features] and bias."""

    features: int
    size: int = 4
    stride: int = 2
    use_bias: bool = True
    dtype: Dtype = "float32"
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        y = conv_transpose(x.astype(self.dtype), kernel.astype(self.dtype), stride=self.stride)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y += jnp.broadcast_to(bias.astype(self.dtype), y.shape)
        return y

"""Convolutions and transposed convolutions of images, as functions and layers."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.networks.conv.cpu import Geometry
from gan_jax.networks.conv.primitive import trilinear
from gan_jax.networks.layers import Dtype

Initializer = nn.initializers.Initializer


def conv(
    x: Float[Array, "n h w c_in"],
    kernel: Float[Array, "k k c_group c_out"],
    *,
    stride: int = 1,
    groups: int = 1,
) -> Float[Array, "n h2 w2 c_out"]:
    """Convolve images, with (k-1)//2 zeros of padding on every side.

    Args:
        x: Images.
        kernel: Kernel; c_group = c_in / groups.
        stride: Stride along height and width.
        groups: Number of groups of channels.

    Returns:
        Images; h2 = h for odd k, h/2 for k = 4 with stride 2.

    Example:
        >>> conv(jnp.ones((1, 8, 8, 3)), jnp.ones((4, 4, 3, 5)), stride=2).shape
        (1, 4, 4, 5)
    """
    size = kernel.shape[0]
    geometry = Geometry(size, stride, (size - 1) // 2, groups, x.shape[1], x.shape[2])
    return trilinear(x, kernel, "y", geometry)


def conv_transpose(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "k k c_in c_out"], *, stride: int = 2
) -> Float[Array, "n h2 w2 c_out"]:
    """Apply a transposed convolution: the gradient of `conv` with respect to its input.

    Args:
        x: Images.
        kernel: Kernel.
        stride: Stride of the convolution that is transposed.

    Returns:
        Images; h2 = 2h for k = 4 with stride 2.

    Example:
        >>> conv_transpose(jnp.ones((1, 4, 4, 5)), jnp.ones((4, 4, 5, 3))).shape
        (1, 8, 8, 3)
    """
    size, pad = kernel.shape[0], (kernel.shape[0] - 1) // 2
    height, width = ((length - 1) * stride + size - 2 * pad for length in x.shape[1:3])
    kernel = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return trilinear(kernel, x, "x", Geometry(size, stride, pad, 1, height, width))


class Conv(nn.Module):
    """Convolution layer with kernel [size, size, c_in/groups, features]."""

    features: int
    """Number of output channels."""
    size: int = 3
    """Side of the kernel."""
    stride: int = 1
    """Stride along height and width."""
    groups: int = 1
    """Number of groups of channels."""
    use_bias: bool = True
    """Bias added to the output."""
    dtype: Dtype = "float32"
    """Dtype of the computation."""
    kernel_init: Initializer = nn.initializers.lecun_normal()
    """Initializer of the kernel."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 features"]:
        """Apply the layer."""
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        kernel, x = kernel.astype(self.dtype), x.astype(self.dtype)
        y = conv(x, kernel, stride=self.stride, groups=self.groups)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y += jnp.broadcast_to(bias.astype(self.dtype), y.shape)
        return y


class ConvTranspose(nn.Module):
    """Transposed convolution layer with kernel [size, size, c_in, features]."""

    features: int
    """Number of output channels."""
    size: int = 4
    """Side of the kernel."""
    stride: int = 2
    """Stride of the convolution that is transposed."""
    use_bias: bool = True
    """Bias added to the output."""
    dtype: Dtype = "float32"
    """Dtype of the computation."""
    kernel_init: Initializer = nn.initializers.lecun_normal()
    """Initializer of the kernel."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 features"]:
        """Apply the layer."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        y = conv_transpose(x.astype(self.dtype), kernel.astype(self.dtype), stride=self.stride)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y += jnp.broadcast_to(bias.astype(self.dtype), y.shape)
        return y

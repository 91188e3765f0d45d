"""Evaluation of the trilinear form of a convolution, by XLA or tuned for CPUs."""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.networks.conv import winograd, winograd_strided

PARTS = 4  # partial sums over pixels in the kernel gradient of a 1x1 convolution
FEW_CHANNELS = 64  # below, Winograd's algorithm is slower than the direct one
DIMENSIONS = ("NHWC", "HWIO", "NHWC")
Kind = Literal["x", "w", "y"]


class Geometry(NamedTuple):
    """Shape of a convolution y = conv(x, w).

    x is [n, height, width, c], w is [size, size, c/groups, d] and y is [n, h', w', d].
    """

    size: int
    """Side of the kernel."""
    stride: int
    """Stride along height and width."""
    pad: int
    """Number of zeros on every side of x."""
    groups: int
    """Number of groups of channels."""
    height: int
    """Height of x."""
    width: int
    """Width of x."""
    members: int = 0
    """Length of an additional leading axis of x, w and y; 0: no such axis."""

    @property
    def output(self) -> tuple[int, int]:
        """Height and width of y."""
        height, width = (
            (length + 2 * self.pad - self.size) // self.stride + 1
            for length in (self.height, self.width)
        )
        return height, width


def result_shape(a, b, result: Kind, geometry: Geometry) -> tuple[int, ...]:
    """Return the shape of the result; the heights and widths of the operands are not used.

    Args:
        a: First operand, as in `primitive.OPERANDS`.
        b: Second operand.
        result: Kind of the result.
        geometry: Shape of the convolution.

    Returns:
        Shape of the result.
    """
    members, a, b = a.shape[:-4], a.shape[-4:], b.shape[-4:]
    if result == "y":
        return (*members, a[0], *geometry.output, b[3])
    if result == "x":
        return (*members, b[0], geometry.height, geometry.width, a[2] * geometry.groups)
    return (*members, geometry.size, geometry.size, a[3] // geometry.groups, b[3])


def convolve_xla(a: jax.Array, b: jax.Array, *, result: Kind, geometry: Geometry) -> jax.Array:
    """Evaluate with lax's convolution and its transposes, for accelerators.

    Args:
        a: First operand, as in `primitive.OPERANDS`.
        b: Second operand.
        result: Kind of the result.
        geometry: Shape of the convolution.

    Returns:
        The result.
    """
    if geometry.members:
        member = geometry._replace(members=0)
        return jax.vmap(partial(convolve_xla, result=result, geometry=member))(a, b)

    def conv(x, w):
        return lax.conv_general_dilated(
            x,
            w,
            (geometry.stride, geometry.stride),
            [(geometry.pad, geometry.pad)] * 2,
            dimension_numbers=DIMENSIONS,
            feature_group_count=geometry.groups,
        )

    if result == "y":
        return conv(a, b)
    primal = jax.ShapeDtypeStruct(result_shape(a, b, result, geometry), a.dtype)
    linear = (lambda x: conv(x, a)) if result == "x" else (lambda w: conv(a, w))
    (cotangent,) = jax.linear_transpose(linear, primal)(b)
    return cotangent


def convolve_cpu(a: jax.Array, b: jax.Array, *, result: Kind, geometry: Geometry) -> jax.Array:
    """Evaluate with the fastest algorithms on two CPU cores, inside and outside of loops.

    Args:
        a: First operand, as in `primitive.OPERANDS`.
        b: Second operand.
        result: Kind of the result.
        geometry: Shape of the convolution.

    Returns:
        The result.
    """
    if a.dtype in (jnp.bfloat16, jnp.float16):  # rounded once, at the end
        wide = (operand.astype(jnp.float32) for operand in (a, b))
        return convolve_cpu(*wide, result=result, geometry=geometry).astype(a.dtype)
    if geometry.members:
        member = partial(convolve_cpu, result=result, geometry=geometry._replace(members=0))
        return lax.map(lambda operands: member(*operands), (a, b))
    if geometry.groups > 1:
        return _grouped_conv(a, b, result, geometry)
    if (geometry.size, geometry.stride, geometry.pad) == (1, 1, 0):
        return _pointwise_conv(a, b, result)
    channels, features = a.shape[2 if result == "x" else 3], b.shape[3]
    if geometry.stride == 1 and geometry.size**2 * channels <= 64:
        return _im2col_conv(a, b, result, geometry)
    if geometry.stride == 1 and geometry.size % 2 and geometry.size**2 * features <= 64:
        return _im2col_conv_transposed(a, b, result, geometry)
    if _is_winograd_strided(a, b, result, geometry):
        algorithms = {
            "y": winograd_strided.forward,
            "x": winograd_strided.input_gradient,
            "w": winograd_strided.kernel_gradient,
        }
        return algorithms[result](a, b)
    if _is_winograd(a, b, result, geometry):
        if result == "y":
            return winograd.forward(a, b)
        if result == "x":
            return winograd.forward(b, lax.rev(a, (0, 1)).swapaxes(2, 3))
        return winograd.kernel_gradient(a, b)
    if result == "y":
        return convolve_xla(a, b, result=result, geometry=geometry)
    return (_input_gradient if result == "x" else _kernel_gradient)(a, b, geometry)


def _is_winograd(a: jax.Array, b: jax.Array, result: Kind, geometry: Geometry) -> bool:
    """Return whether Winograd's algorithm is possible and faster."""
    possible = (geometry.size, geometry.stride, geometry.pad) == (3, 1, 1) and not (
        geometry.height % 2 or geometry.width % 2
    )
    channels, features = a.shape[2 if result == "x" else 3], b.shape[3]
    return possible and min(channels, features) >= FEW_CHANNELS


def _is_winograd_strided(a: jax.Array, b: jax.Array, result: Kind, geometry: Geometry) -> bool:
    """Return whether Winograd's algorithm with stride 2 is possible and faster."""
    possible = (geometry.size, geometry.stride, geometry.pad) == (4, 2, 1) and not (
        geometry.height % 4 or geometry.width % 4
    )
    channels, features = a.shape[2 if result == "x" else 3], b.shape[3]
    if not possible or min(channels, features) < FEW_CHANNELS:
        return False
    # With few tiles, the transformation of the kernel gradient dominates.
    return result != "w" or a.shape[0] * geometry.height * geometry.width // 16 >= 4 * channels


def _grouped_conv(a: jax.Array, b: jax.Array, result: Kind, geometry: Geometry) -> jax.Array:
    """Convolve the groups in a loop: as fast as unrolled, and compiled once.

    XLA's grouped convolution takes 5 times as long, its kernel gradient 150 times.
    """
    groups, shape = geometry.groups, result_shape(a, b, result, geometry)

    def convolve_group(i, output):
        parts = (
            lax.dynamic_slice_in_dim(operand, i * (width := operand.shape[3] // groups), width, 3)
            for operand in (a, b)
        )
        part = convolve_cpu(*parts, result=result, geometry=geometry._replace(groups=1))
        return lax.dynamic_update_slice_in_dim(output, part, i * part.shape[3], 3)

    return lax.fori_loop(0, groups, convolve_group, jnp.zeros(shape, a.dtype))


def _pointwise_conv(a: jax.Array, b: jax.Array, result: Kind) -> jax.Array:
    """Evaluate a 1x1 convolution as a matrix product."""
    if result == "y":
        return jnp.einsum("nhwc,cd->nhwd", a, b[0, 0])
    if result == "x":
        return jnp.einsum("nhwd,cd->nhwc", b, a[0, 0])
    # Sum a few partial products: XLA's product of two tall matrices uses half of the cores.
    parts = PARTS if a.size // a.shape[3] % PARTS == 0 else 1
    a, b = (operand.reshape(parts, -1, operand.shape[3]) for operand in (a, b))
    return jnp.einsum("ptc,ptd->pcd", a, b).sum(0)[None, None]


def _im2col(x: jax.Array, geometry: Geometry) -> jax.Array:
    """Concatenate pixels of every window, stride 1: [n, h, w, c] -> [n, h', w', size*size*c]."""
    size, pad, (height, width) = geometry.size, geometry.pad, geometry.output
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    offsets = [(i, j) for i in range(size) for j in range(size)]
    return jnp.concatenate([x[:, i : i + height, j : j + width] for i, j in offsets], -1)


def _im2col_conv(a: jax.Array, b: jax.Array, result: Kind, geometry: Geometry) -> jax.Array:
    """Evaluate a convolution of stride 1 from few channels, such as colors, by im2col."""
    product = partial(_pointwise_conv, result=result)
    if result == "y":
        return product(_im2col(a, geometry), b.reshape(1, 1, -1, b.shape[3]))
    if result == "w":
        return product(_im2col(a, geometry), b).reshape(result_shape(a, b, result, geometry))
    patches = product(a.reshape(1, 1, -1, a.shape[3]), b)
    primal = jax.ShapeDtypeStruct(result_shape(a, b, result, geometry), a.dtype)
    return jax.linear_transpose(lambda x: _im2col(x, geometry), primal)(patches)[0]


def _im2col_conv_transposed(
    a: jax.Array, b: jax.Array, result: Kind, geometry: Geometry
) -> jax.Array:
    """Evaluate a convolution of stride 1 to few channels by im2col.

    It is the input gradient of a convolution from few channels with the flipped kernel: x and y are
    exchanged.
    """

    def flip(w: jax.Array) -> jax.Array:
        return lax.rev(w, (0, 1)).swapaxes(2, 3)

    if result == "y":
        return _im2col_conv(flip(b), a, "x", geometry)
    if result == "x":
        return _im2col_conv(b, flip(a), "y", geometry)
    return flip(_im2col_conv(b, a, "w", geometry))


def _stride_one_conv(x, kernel, pads, *, dilate=(1, 1), spread=(1, 1)) -> jax.Array:
    """Convolve with stride 1 and the order of axes for which XLA has a fast kernel.

    XLA reorders the axes itself, but not inside loops, in which training runs: there any other
    order takes about 100 times as long (jax 0.10). `dilate` applies to x, `spread` to the kernel.
    """
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        pads,
        lhs_dilation=dilate,
        rhs_dilation=spread,
        dimension_numbers=DIMENSIONS,
    )


def _input_gradient(w: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """Convolve y, with stride - 1 zeros between its pixels, with the flipped kernel."""
    size, stride = geometry.size, geometry.stride
    before = size - 1 - geometry.pad
    pads = [
        (before, length + size - 1 - before - ((out - 1) * stride + 1))
        for length, out in zip((geometry.height, geometry.width), geometry.output, strict=True)
    ]
    return _stride_one_conv(y, lax.rev(w, (0, 1)).swapaxes(2, 3), pads, dilate=(stride, stride))


def _kernel_gradient(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """Convolve x with y as the kernel: examples are channels, channels are examples."""
    size, stride, pad = geometry.size, geometry.stride, geometry.pad
    if stride == 1 and y.shape[3] < x.shape[3]:  # exchange x and y, for fewer examples
        pads = [(size - 1 - pad, size - 1 - pad)] * 2
        gradient = _stride_one_conv(y.transpose(3, 1, 2, 0), x.transpose(1, 2, 0, 3), pads)
        return lax.rev(gradient, (1, 2)).transpose(1, 2, 3, 0)
    pads = [
        (pad, (out - 1) * stride + size - length - pad)
        for length, out in zip((geometry.height, geometry.width), geometry.output, strict=True)
    ]
    spread = (stride, stride)
    gradient = _stride_one_conv(
        x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3), pads, spread=spread
    )
    return gradient.transpose(1, 2, 0, 3)

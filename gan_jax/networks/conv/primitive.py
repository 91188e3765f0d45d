"""Convolution and its gradients as one trilinear JAX primitive, with a lowering for CPUs.

For an image x, a kernel w and an output y, the number <conv(x, w), y> is linear in each of the
three. Its gradients with respect to y, x and w are the convolution, the transposed convolution (the
input gradient) and the kernel gradient. Any derivative of one of these is another of them. They are
one primitive, with the result "y", "x" or "w": derivatives of every order and mode, and `vmap`, map
it to itself. For an accelerator it is lowered to lax's convolution; for a CPU to the fastest
algorithm (cpu.py), the same function up to rounding.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import core
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from gan_jax.networks.conv.cpu import Geometry, Kind, convolve_cpu, convolve_xla, result_shape

# Axis that two of x, w and y share and the third does not have: examples or channels.
FREE = {"w": {"x": 0, "y": 0}, "x": {"w": 3, "y": 3}, "y": {"x": 3, "w": 2}}
OPERANDS: dict[Kind, tuple[Kind, Kind]] = {"y": ("x", "w"), "x": ("w", "y"), "w": ("x", "y")}


def trilinear(a: jax.Array, b: jax.Array, result: Kind, geometry: Geometry) -> jax.Array:
    """Compute the gradient of <conv(x, w), y> with respect to `result`.

    Args:
        a: First operand, as in `OPERANDS`.
        b: Second operand.
        result: Kind of the result.
        geometry: Shape of the convolution.

    Returns:
        The gradient.
    """
    return _primitive.bind(a, b, result=result, geometry=geometry)


_primitive = Primitive("gan_jax_conv")
_primitive.def_impl(jax.jit(trilinear, static_argnames=("result", "geometry")))


@_primitive.def_abstract_eval
def _abstract(a, b, *, result: Kind, geometry: Geometry):
    if a.dtype != b.dtype:
        raise TypeError(f"dtypes of a convolution must agree, got {a.dtype} and {b.dtype}")
    channels_agree = {
        "y": a.shape[-1] == b.shape[-2] * geometry.groups,
        "x": a.shape[-1] == b.shape[-1],
        "w": a.shape[-4] == b.shape[-4],
    }
    if not channels_agree[result]:
        raise ValueError(
            "shapes of a convolution must agree, "
            f"got {a.shape} and {b.shape} with {geometry.groups} groups"
        )
    return core.ShapedArray(result_shape(a, b, result, geometry), a.dtype)


def _transpose(operand: int) -> Callable:
    """Return the transpose rule of an operand: the primitive with that operand as the result."""

    def rule(cotangent, a, b, *, result: Kind, geometry: Geometry):
        kinds = OPERANDS[result]
        operands = {result: cotangent, kinds[1 - operand]: (b, a)[operand]}
        first, second = OPERANDS[kinds[operand]]
        return trilinear(operands[first], operands[second], kinds[operand], geometry)

    return rule


ad.defbilinear(_primitive, _transpose(0), _transpose(1))


def _batch(operands, dims, *, result: Kind, geometry: Geometry):
    """Batch the primitive.

    The axis of one batched operand is merged into the examples (or channels) of the operand and the
    result. If both are batched, it is the axis `members`.
    """
    count = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)
    if geometry.members or None not in dims:
        stacked = [
            jnp.moveaxis(x, d, 0) if d is not None else jnp.broadcast_to(x, (count, *x.shape))
            for x, d in zip(operands, dims, strict=True)
        ]
        if geometry.members:
            stacked = [x.reshape(-1, *x.shape[2:]) for x in stacked]
        members = count * max(geometry.members, 1)
        output = trilinear(stacked[0], stacked[1], result, geometry._replace(members=members))
        if geometry.members:
            output = output.reshape(count, geometry.members, *output.shape[1:])
        return output, 0
    index = 0 if dims[0] is not None else 1
    kinds, merged = OPERANDS[result], list(operands)
    shared = FREE[kinds[1 - index]]  # axis that the batched operand shares with the result
    groups = 1 if kinds[1 - index] == "w" else geometry.groups
    merged[index] = _merge_axis(operands[index], dims[index], shared[kinds[index]], groups)
    output = trilinear(merged[0], merged[1], result, geometry)
    return _split_axis(output, count, shared[result], groups), 0


def _merge_axis(x: jax.Array, dim: int, axis: int, groups: int) -> jax.Array:
    """Merge axis `dim`, of length m, into `axis` (counted without it) as [groups, m, rest]."""
    x = jnp.moveaxis(x, dim, 0)
    groups = groups if axis == 3 else 1
    m, shape = x.shape[0], x.shape[1:]
    x = x.reshape(m, *shape[:axis], groups, -1, *shape[axis + 1 :])
    return jnp.moveaxis(x, 0, axis + 1).reshape(*shape[:axis], -1, *shape[axis + 1 :])


def _split_axis(x: jax.Array, m: int, axis: int, groups: int) -> jax.Array:
    """Invert `_merge_axis`, with the axis of length m in front."""
    groups = groups if axis == 3 else 1
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    x = jnp.moveaxis(x.reshape(*before, groups, m, -1, *after), axis + 1, 0)
    return x.reshape(m, *before, -1, *after)


batching.primitive_batchers[_primitive] = _batch
mlir.register_lowering(_primitive, mlir.lower_fun(convolve_xla, multiple_results=False))
mlir.register_lowering(
    _primitive, mlir.lower_fun(convolve_cpu, multiple_results=False), platform="cpu"
)

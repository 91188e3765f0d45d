"""Convolution as one trilinear form, so that CPUs may compute it and its gradients their own way.

For a picture x, a kernel w and an output y, the number <conv(x, w), y> is linear in each of the
three. Its gradients by y, x and w are the convolution, the transposed convolution (the input's
gradient) and the kernel's gradient, and any derivative of one of these is another of them. They are
one primitive, with a result "y", "x" or "w": derivatives of every order and mode, and `vmap`, lead
from it to itself. Where a program is lowered for an accelerator it becomes lax's own convolution;
for a CPU what is quickest there (conv_lowering.py), the same function up to rounding.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import core
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from gan_jax.networks.conv.cpu import Geometry, Kind, convolve_cpu, convolve_xla, result_shape

# The axis of each of two that they do not share with the third: examples, or channels.
FREE = {"w": {"x": 0, "y": 0}, "x": {"w": 3, "y": 3}, "y": {"x": 3, "w": 2}}
OPERANDS: dict[Kind, tuple[Kind, Kind]] = {"y": ("x", "w"), "x": ("w", "y"), "w": ("x", "y")}


def trilinear(a: jax.Array, b: jax.Array, result: Kind, geometry: Geometry) -> jax.Array:
    """The gradient by `result` of <conv(x, w), y>; a and b are the other two, in that order."""
    return _primitive.bind(a, b, result=result, geometry=geometry)


_primitive = Primitive("gan_jax_conv")
_primitive.def_impl(jax.jit(trilinear, static_argnames=("result", "geometry")))


@_primitive.def_abstract_eval
def _abstract(a, b, *, result: Kind, geometry: Geometry):
    if a.dtype != b.dtype:
        raise TypeError(f"a convolution of {a.dtype} and {b.dtype}")
    agree = {
        "y": a.shape[-1] == b.shape[-2] * geometry.groups,
        "x": a.shape[-1] == b.shape[-1],
        "w": a.shape[-4] == b.shape[-4],
    }
    if not agree[result]:
        raise ValueError(
            f"a convolution of shapes {a.shape} and {b.shape} in {geometry.groups} groups"
        )
    return core.ShapedArray(result_shape(a, b, result, geometry), a.dtype)


def _transpose(wanted: int) -> Callable:
    """The derivative's transpose by operand number `wanted`: the primitive with that result."""

    def rule(cotangent, a, b, *, result: Kind, geometry: Geometry):
        kinds = OPERANDS[result]
        known = {result: cotangent, kinds[1 - wanted]: (b, a)[wanted]}
        first, second = OPERANDS[kinds[wanted]]
        return trilinear(known[first], known[second], kinds[wanted], geometry)

    return rule


ad.defbilinear(_primitive, _transpose(0), _transpose(1))


def _batch(operands, dims, *, result: Kind, geometry: Geometry):
    """One operand batched: its axis joins the examples (or channels) of that operand and of the
    result. Both: `members`, trained side by side.
    """
    count = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)
    if geometry.members or None not in dims:
        whole = [
            jnp.moveaxis(x, d, 0) if d is not None else jnp.broadcast_to(x, (count, *x.shape))
            for x, d in zip(operands, dims, strict=True)
        ]
        if geometry.members:
            whole = [x.reshape(-1, *x.shape[2:]) for x in whole]
        members = count * max(geometry.members, 1)
        found = trilinear(whole[0], whole[1], result, geometry._replace(members=members))
        if geometry.members:
            found = found.reshape(count, geometry.members, *found.shape[1:])
        return found, 0
    which = 0 if dims[0] is not None else 1
    kinds, folded = OPERANDS[result], list(operands)
    shared = FREE[kinds[1 - which]]  # the axis that this operand has in common with the result
    groups = 1 if kinds[1 - which] == "w" else geometry.groups
    folded[which] = _fold(operands[which], dims[which], shared[kinds[which]], groups)
    found = trilinear(folded[0], folded[1], result, geometry)
    return _unfold(found, count, shared[result], groups), 0


def _fold(x: jax.Array, dim: int, axis: int, groups: int) -> jax.Array:
    """Axis `dim` of length m joins `axis` (as counted without it): [groups, m, rest] flat."""
    x = jnp.moveaxis(x, dim, 0)
    groups = groups if axis == 3 else 1
    m, shape = x.shape[0], x.shape[1:]
    x = x.reshape(m, *shape[:axis], groups, -1, *shape[axis + 1 :])
    return jnp.moveaxis(x, 0, axis + 1).reshape(*shape[:axis], -1, *shape[axis + 1 :])


def _unfold(x: jax.Array, m: int, axis: int, groups: int) -> jax.Array:
    """The inverse of `_fold`, the axis of length m in front."""
    groups = groups if axis == 3 else 1
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    x = jnp.moveaxis(x.reshape(*before, groups, m, -1, *after), axis + 1, 0)
    return x.reshape(m, *before, -1, *after)


batching.primitive_batchers[_primitive] = _batch
mlir.register_lowering(_primitive, mlir.lower_fun(convolve_xla, multiple_results=False))
mlir.register_lowering(
    _primitive, mlir.lower_fun(convolve_cpu, multiple_results=False), platform="cpu"
)

"""The random samples that are nearest to given pictures, over the known pixels of these."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.inference.latent_space import LatentSpace

SAMPLES_AT_ONCE = 128


@jax.jit
def _samples(space: tuple, key: jax.Array, index: jax.Array, label: Any) -> jax.Array:
    """Samples `index` [m] of one label, flat: [m, h w c]."""
    generate, draw = space
    cond = None if label is None else jnp.full(len(index), label)
    example_keys = keys.indexed_keys(key, index)
    return generate(draw(example_keys, cond), cond).reshape(len(index), -1)


@jax.jit
def _distances(samples: jax.Array, target: jax.Array, known: jax.Array) -> jax.Array:
    """Mean squared differences [b, m] of targets [b, p] over their known pixels [b, p]."""
    dot = functools.partial(jnp.matmul, precision="highest")
    target = jnp.where(known, target, 0.0)
    known = known.astype(jnp.float32)
    squares = dot(known, jnp.square(samples).T) - 2 * dot(target, samples.T)
    squares += jnp.square(target).sum(1, keepdims=True)
    return jnp.maximum(squares, 0) / known.sum(1, keepdims=True)


def nearest_samples(
    space: LatentSpace,
    target: np.ndarray,
    key: jax.Array,
    samples: int,
    count: int = 1,
    *,
    cond: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    batch: int = 16,
) -> tuple[np.ndarray, np.ndarray]:
    """Of `samples` random ones, the `count` nearest to each target, nearest first: their mean
    squared differences float32 [n, count] and their indices int32 [n, count].

    Sample i has the key fold_in(key, i), for every target, and a target's label. Arguments as of
    `invert`. Differences are by inner products: exact to about 1e-6 of a white picture's square.
    """
    target, known, cond = check_targets(space, target, mask, cond)
    n = len(target)
    flat = target.reshape(n, -1)
    known = np.broadcast_to(known, target.shape).reshape(n, -1)
    least = np.full((n, count), np.inf, np.float32)
    which = np.zeros((n, count), np.int32)
    own = np.zeros(n, np.int32) if cond is None else cond
    for label in np.unique(own):
        mine = np.flatnonzero(own == label)
        for first in range(0, samples, SAMPLES_AT_ONCE):
            index = np.arange(first, first + SAMPLES_AT_ONCE, dtype=np.int32)
            made = _samples(
                (space.generate, space.draw), key, index, label if space.classes else None
            )
            for start in range(0, len(mine), batch):
                part = mine[start : start + batch]
                filled = np.resize(part, batch)
                found = np.asarray(_distances(made, flat[filled], known[filled]))[: len(part)]
                found = np.where(index < samples, found, np.inf)
                both = np.concatenate([least[part], found], 1)
                order = np.argsort(both, 1, kind="stable")[:, :count]
                place = np.concatenate([which[part], np.tile(index, (len(part), 1))], 1)
                least[part] = np.take_along_axis(both, order, 1)
                which[part] = np.take_along_axis(place, order, 1)
    return least, which


def check_targets(
    space: LatentSpace, target: np.ndarray, mask: np.ndarray | None, cond: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Targets float32, which of their pixels are known [n, h, w, 1], and labels int32 or None."""
    target = np.asarray(target)
    label = jax.ShapeDtypeStruct((1,), np.int32) if space.classes else None
    latents = jax.eval_shape(
        space.draw, jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1)), label
    )
    shape = jax.eval_shape(space.generate, latents, label).shape[1:]
    if target.ndim != 4 or target.shape[1:] != shape or not len(target):
        wanted = ", ".join(map(str, shape))
        raise UserError(f"pictures are {list(target.shape)}: the generator's are [n, {wanted}]")
    if target.dtype != np.float32 or not ((target >= 0) & (target <= 1)).all():
        raise UserError(f"pictures are {target.dtype}: they must be float32 from 0 to 1")
    if mask is None:
        known = np.ones((*target.shape[:3], 1), bool)
    elif mask.dtype != bool or mask.shape != (*target.shape[:3], 1):
        given = f"{mask.dtype} {list(mask.shape)}"
        raise UserError(f"mask is {given}: it must be bool {[*target.shape[:3], 1]}")
    else:
        known = ~mask
    if not (some := known.any((1, 2, 3))).all():
        raise UserError(f"mask: picture {some.argmin()} is all hole, some pixels must be known")
    if not space.classes:
        if cond is not None:
            raise UserError("labels are given: the generator is not conditioned on classes")
        return target, known, None
    cond = np.asarray(cond)
    if cond.shape != target.shape[:1] or cond.dtype.kind not in "iu":
        raise UserError(f"labels are {cond.dtype} {list(cond.shape)}: one integer a picture")
    if cond.min() < 0 or cond.max() >= space.classes:
        raise UserError(f"labels are {cond.min()} to {cond.max()}, of {space.classes} classes")
    return target, known, cond.astype(np.int32)

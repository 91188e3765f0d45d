"""Nearest random samples to target images."""

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
    """Generate samples `index` [m] of one class, flattened to [m, h w c]."""
    generate, sample = space
    cond = None if label is None else jnp.full(len(index), label)
    example_keys = keys.indexed_keys(key, index)
    return generate(sample(example_keys, cond), cond).reshape(len(index), -1)


@jax.jit
def _distances(samples: jax.Array, target: jax.Array, known: jax.Array) -> jax.Array:
    """Compute mean squared differences [b, m] over the known pixels [b, p] of targets [b, p]."""
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
    """Find the random samples nearest to each target image.

    Sample i has the key fold_in(key, i) for every target, and the label of the target. Differences
    are computed from inner products, exact to about 1e-6 of the mean square of a white image.

    Args:
        space: Latent space of a generator.
        target: Images, float32 [n, h, w, c] in [0, 1].
        key: PRNG key of the samples.
        samples: Number of random samples.
        count: Number of nearest samples for each target.
        cond: Class labels, int32 [n], for class-conditional generators.
        mask: Pixels to ignore, bool [n, h, w, 1].
        batch: Number of targets in one program.

    Returns:
        Mean squared differences, float32 [n, count], nearest first, and indices of the samples,
        int32 [n, count].

    Raises:
        UserError: If the arguments do not match, see `check_targets`.
    """
    target, known, cond = check_targets(space, target, mask, cond)
    n = len(target)
    flat = target.reshape(n, -1)
    known = np.broadcast_to(known, target.shape).reshape(n, -1)
    best_distances = np.full((n, count), np.inf, np.float32)
    best_indices = np.zeros((n, count), np.int32)
    labels = np.zeros(n, np.int32) if cond is None else cond
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        for first in range(0, samples, SAMPLES_AT_ONCE):
            index = np.arange(first, first + SAMPLES_AT_ONCE, dtype=np.int32)
            functions = (space.generate, space.sample)
            images = _samples(functions, key, index, label if space.classes else None)
            for start in range(0, len(rows), batch):
                part = rows[start : start + batch]
                padded = np.resize(part, batch)
                distances = np.asarray(_distances(images, flat[padded], known[padded]))[: len(part)]
                distances = np.where(index < samples, distances, np.inf)
                candidates = np.concatenate([best_distances[part], distances], 1)
                order = np.argsort(candidates, 1, kind="stable")[:, :count]
                indices = [best_indices[part], np.tile(index, (len(part), 1))]
                best_distances[part] = np.take_along_axis(candidates, order, 1)
                best_indices[part] = np.take_along_axis(np.concatenate(indices, 1), order, 1)
    return best_distances, best_indices


def check_targets(
    space: LatentSpace, target: np.ndarray, mask: np.ndarray | None, cond: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Check that targets, mask and labels match the generator.

    Args:
        space: Latent space of a generator.
        target: Images, float32 [n, h, w, c] in [0, 1].
        mask: Pixels to ignore, bool [n, h, w, 1], or None.
        cond: Class labels [n], or None.

    Returns:
        The images, their known pixels, bool [n, h, w, 1], and labels, int32 [n] or None.

    Raises:
        UserError: If shapes, dtypes or ranges do not match, or a mask covers a whole image.
    """
    target = np.asarray(target)
    label = jax.ShapeDtypeStruct((1,), np.int32) if space.classes else None
    latents = jax.eval_shape(
        space.sample, jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1)), label
    )
    shape = jax.eval_shape(space.generate, latents, label).shape[1:]
    if target.ndim != 4 or target.shape[1:] != shape or not len(target):
        expected = ", ".join(map(str, shape))
        raise UserError(f"images must have shape [n, {expected}], got {list(target.shape)}")
    if target.dtype != np.float32:
        raise UserError(f"images must be float32 from 0 to 1, got {target.dtype}")
    if not ((target >= 0) & (target <= 1)).all():
        raise UserError(f"images must be from 0 to 1, got {target.min()} to {target.max()}")
    if mask is None:
        known = np.ones((*target.shape[:3], 1), bool)
    elif mask.dtype != bool or mask.shape != (*target.shape[:3], 1):
        got = f"{mask.dtype} {list(mask.shape)}"
        raise UserError(f"mask must be bool {[*target.shape[:3], 1]}, got {got}")
    else:
        known = ~mask
    if not (has_known := known.any((1, 2, 3))).all():
        raise UserError(f"mask must leave some pixels, got all of image {has_known.argmin()}")
    return target, known, _check_labels(space, len(target), cond)


def _check_labels(space: LatentSpace, n: int, cond: np.ndarray | None) -> np.ndarray | None:
    if not space.classes:
        if cond is not None:
            raise UserError("labels must be omitted: the generator is not conditioned on classes")
        return None
    cond = np.asarray(cond)
    if cond.shape != (n,) or cond.dtype.kind not in "iu":
        raise UserError(f"labels must be {n} integers, got {cond.dtype} {list(cond.shape)}")
    if cond.min() < 0 or cond.max() >= space.classes:
        last = space.classes - 1
        raise UserError(f"labels must be from 0 to {last}, got {cond.min()} to {cond.max()}")
    return cond.astype(np.int32)

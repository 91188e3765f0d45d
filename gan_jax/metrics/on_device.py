"""The cheap metrics inside a compiled program: what samples come to leaves the device, not they.

Pure functions to be traced: modes are counted, the moments of features summed. What is left, a sum
over the counts or an eigenvalue problem, is done in float64 where the numbers arrive.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax import keys
from gan_jax.config import Config

BATCH = 128  # samples at a time, as gan_jax/sampling.py makes them
# Relative to a squared distance. Its rounding in float32 is below ten units in the last place,
# 6e-7 of it: what is further apart than this is in the same order in exact arithmetic.
DOUBT = 4e-6


class ModeCounts(NamedTuple):
    """nearest [K]: samples of which a mode is the nearest. good [K]: those of them within 3 sigma.
    int32. certain: whether exact arithmetic would have counted alike; False where a sample is not
    finite."""

    nearest: jax.Array
    good: jax.Array
    certain: jax.Array


class FeatureSums(NamedTuple):
    """Of features x [n, d], less a fixed `shift` [d]: their sum [d], and the sum [d, d] of
    (x - shift)(x - shift)^T, float32. logits [n, classes], or [n, 0] of features without a head.
    finite: whether all samples are."""

    total: jax.Array
    outer: jax.Array
    logits: jax.Array
    finite: jax.Array


def generate(config: Config, variables: Any, root: jax.Array, index: jax.Array) -> jax.Array:
    """Samples number `index` [m] of the noise of scores, as gan_jax/scores.py has it: float32
    [m, ...]. Of a conditional generator sample i has label i mod classes."""
    return generate_from(config, variables, keys.step_key(root, keys.Purpose.SAMPLE, 0), index)


def generate_from(config: Config, variables: Any, key: jax.Array, index: jax.Array) -> jax.Array:
    """As `generate`, of the noise of `key`."""
    one_key_each = jax.vmap(jax.random.fold_in, (None, 0))(key, index)
    z = keys.latents(one_key_each, config.z_dim, config.latent)
    classes = config.gen.classes
    cond = index % classes if classes else None
    return jnp.asarray(config.gen.apply(variables, z, cond, train=False), jnp.float32)


def batches(n: int) -> jax.Array:
    """The numbers 0 to n - 1 in batches, int32 [batches, BATCH]; the last goes on beyond n."""
    return jnp.arange(-(-n // BATCH) * BATCH, dtype=jnp.int32).reshape(-1, BATCH)


def points(config: Config, variables: Any, root: jax.Array, n: int) -> jax.Array:
    """The first `n` samples, float32 [n, 2]."""
    made = lax.map(lambda index: generate(config, variables, root, index), batches(n))
    return made.reshape(-1, made.shape[-1])[:n]


def count_modes(samples: jax.Array, centres: np.ndarray, sigma: float) -> ModeCounts:
    """Of samples float32 [n, 2] and modes at `centres` [K, 2]: what `modes.modes` counts.

    A centre is the sum of two floats, so that a sample near one is subtracted without loss.
    """
    high = centres.astype(np.float32)
    low = (centres - high).astype(np.float32)
    apart = (samples[:, None, :] - high[None]) - low[None]
    square = jnp.square(apart).sum(-1)  # [n, K]
    (least, second), place = (one.T for one in lax.top_k(-square, 2))
    least, second, reach = -least, -second, (3 * sigma) ** 2
    clear = (second - least > DOUBT * second) & (jnp.abs(least - reach) > DOUBT * reach)
    nearest = place[0][:, None] == jnp.arange(len(centres))[None]
    good = nearest & (least <= reach)[:, None]
    return ModeCounts(nearest.sum(0), good.sum(0), clear.all())


def to_pixels(x: jax.Array, *, symmetric: bool) -> jax.Array:
    """As `plots.to_pixels`: examples [n, h, w, c] in [0, 1], or [-1, 1], as uint8, rounded."""
    unit = (x + 1) / 2 if symmetric else x
    return jnp.rint(jnp.clip(unit, 0, 1) * 255).astype(jnp.uint8)


def sum_features(
    make: Callable[[jax.Array], jax.Array],
    extract: Callable[[jax.Array], jax.Array],
    head: tuple[jax.Array, jax.Array] | None,
    shift: jax.Array,
    n: int,
    *,
    symmetric: bool,
) -> FeatureSums:
    """Of the first `n` samples that `make` gives for their numbers [m], seen through
    `extract`(uint8 [m, h, w, c]) -> [m, d] and its `head`, a batch at a time.

    With the mean of the data as `shift` the sums stay small, and so does what float32 loses.
    """
    exact = lax.Precision.HIGHEST  # accelerators would else round to fewer digits

    def add(sums: tuple[jax.Array, jax.Array, jax.Array], index: jax.Array):
        total, outer, finite = sums
        made, counts = make(index), index < n
        features = extract(to_pixels(made, symmetric=symmetric)).astype(jnp.float32)
        away = jnp.where(counts[:, None], features - shift[None], 0)
        logits = jnp.zeros((BATCH, 0))
        if head is not None:
            logits = jnp.dot(features, head[0], precision=exact) + head[1][None]
        outer = outer + jnp.dot(away.T, away, precision=exact)
        # Of every batch the samples beyond n too: they are samples like the others.
        return (total + away.sum(0), outer, finite & jnp.isfinite(made).all()), logits

    zero = jnp.zeros_like(shift), jnp.zeros((len(shift), len(shift))), jnp.asarray(True)
    (total, outer, finite), logits = lax.scan(add, zero, batches(n))
    # Not -1, which no size is for, of features without a head.
    logits = logits.reshape(len(logits) * BATCH, logits.shape[-1])
    return FeatureSums(total, outer, logits[:n], finite)

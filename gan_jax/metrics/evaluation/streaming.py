"""Compiled programs that reduce samples to statistics, so that samples never leave the device.

Modes are counted, and the moments of features summed. The rest, a sum over counts or an eigenvalue
problem, is computed in float64 on the host.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax.config import Config, population
from gan_jax.core import keys
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.inference import sampling
from gan_jax.metrics.features import preprocess
from gan_jax.metrics.features.extractor import Extractor, Function

BATCH = 128  # samples at a time, as in gan_jax/inference/sampling.py
# Relative to a squared distance. Its rounding in float32 is below ten units in the last place,
# 6e-7 of it: distances further apart than this are in the same order in exact arithmetic.
MAX_ROUNDING = 4e-6


class ModeCounts(NamedTuple):
    """Numbers of samples by mode, int32."""

    nearest: jax.Array
    """Samples [K] to which a mode is the nearest."""
    good: jax.Array
    """Those of them [K] within 3 sigma."""
    certain: jax.Array
    """Whether exact arithmetic would count the same; False where a sample is not finite."""


class FeatureSums(NamedTuple):
    """Sums over features x [n, d], less a fixed shift [d], in float32."""

    total: jax.Array
    """Sum [d] of x - shift."""
    outer: jax.Array
    """Sum [d, d] of (x - shift)(x - shift)^T."""
    logits: jax.Array
    """Logits [n, classes]; [n, 0] for features without a head."""
    finite: jax.Array
    """Whether all samples are finite."""


ModeProgram = Callable[[Any, jax.Array], tuple[ModeCounts, jax.Array]]
"""Generator variables and root keys -> the members' counts, and their samples."""
FeatureProgram = Callable[[Any, Any, jax.Array], FeatureSums]
"""Constants, generator variables and root keys -> the members' sums."""


def with_member_axis(tree: Any, config: Config) -> Any:
    """Add an axis of members to the leaves of a run that is no population."""
    return tree if population.is_population(config) else jax.tree.map(lambda leaf: leaf[None], tree)


def generate(config: Config, variables: Any, root: jax.Array, index: jax.Array) -> jax.Array:
    """Generate the scored samples with numbers `index` [m] from a root key, float32 [m, ...].

    A class-conditional generator has label i mod classes for sample i.
    """
    return generate_from(config, variables, keys.step_key(root, keys.Purpose.SAMPLE, 0), index)


def generate_from(config: Config, variables: Any, key: jax.Array, index: jax.Array) -> jax.Array:
    """Generate the samples with numbers `index` [m] from the key of samples, float32 [m, ...]."""
    example_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, index)
    z = keys.latents(example_keys, config.prior.dim, config.prior.distribution)
    classes = sampling.num_classes(config)
    cond = index % classes if classes else None
    return jnp.asarray(config.gen.apply(variables, z, cond, train=False), jnp.float32)


def index_batches(n: int) -> jax.Array:
    """Split the numbers 0 to n - 1 into int32 [batches, BATCH]; the last goes on beyond n."""
    return jnp.arange(-(-n // BATCH) * BATCH, dtype=jnp.int32).reshape(-1, BATCH)


def generate_points(config: Config, variables: Any, root: jax.Array, n: int) -> jax.Array:
    """Generate the first `n` samples of a 2-D mixture, float32 [n, 2]."""
    points = lax.map(lambda index: generate(config, variables, root, index), index_batches(n))
    return points.reshape(-1, points.shape[-1])[:n]


def count_modes(samples: jax.Array, centers: np.ndarray, sigma: float) -> ModeCounts:
    """Count samples float32 [n, 2] by mode at `centers` [K, 2], as `modes.modes` does.

    A center is the sum of two floats, so that a sample near one is subtracted without loss.
    """
    high = centers.astype(np.float32)
    low = (centers - high).astype(np.float32)
    offset = (samples[:, None, :] - high[None]) - low[None]
    square = jnp.square(offset).sum(-1)  # [n, K]
    (least, second), place = (part.T for part in lax.top_k(-square, 2))
    least, second, reach = -least, -second, (3 * sigma) ** 2
    clear = (second - least > MAX_ROUNDING * second) & (
        jnp.abs(least - reach) > MAX_ROUNDING * reach
    )
    nearest = place[0][:, None] == jnp.arange(len(centers))[None]
    good = nearest & (least <= reach)[:, None]
    return ModeCounts(nearest.sum(0), good.sum(0), clear.all())


def _count_member(
    config: Config, centers: np.ndarray, sigma: float, n: int, variables: Any, root: jax.Array
) -> tuple[ModeCounts, jax.Array]:
    points = generate_points(config, variables, root, n)
    return count_modes(points, centers, sigma), points


def mode_program(config: Config, centers: np.ndarray, sigma: float, n: int) -> ModeProgram:
    """Make the program that counts the first `n` samples of all members by mode.

    Args:
      config: config of the run.
      centers: centers of the modes [K, 2].
      sigma: their standard deviation.
      n: number of samples.

    Returns:
      The program, which is compiled at its first call.
    """
    count = functools.partial(_count_member, config, centers, sigma, n)

    @jax.jit
    def program(variables: Any, roots: jax.Array) -> tuple[ModeCounts, jax.Array]:
        return jax.vmap(count)(*with_member_axis((variables, roots), config))

    return program


def to_pixels(x: jax.Array, *, symmetric: bool) -> jax.Array:
    """Round examples [n, h, w, c] in [0, 1] or [-1, 1] to uint8, as `plots.to_pixels` does."""
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
    """Sum the features of samples, a batch at a time.

    With the mean of the data as `shift` the sums stay small, and so does the loss of float32.

    Args:
      make: samples by their numbers [m].
      extract: features [m, d] of uint8 images [m, h, w, c].
      head: kernel and bias of the logits of features, if they have some.
      shift: what is subtracted from the features [d].
      n: number of samples.
      symmetric: whether samples are in [-1, 1] instead of [0, 1].

    Returns:
      The sums over the first `n` samples.
    """
    exact = lax.Precision.HIGHEST  # accelerators would else round to fewer digits

    def add(sums: tuple[jax.Array, jax.Array, jax.Array], index: jax.Array):
        total, outer, finite = sums
        samples, counts = make(index), index < n
        features = extract(to_pixels(samples, symmetric=symmetric)).astype(jnp.float32)
        centered = jnp.where(counts[:, None], features - shift[None], 0)
        logits = jnp.zeros((BATCH, 0))
        if head is not None:
            logits = jnp.dot(features, head[0], precision=exact) + head[1][None]
        outer = outer + jnp.dot(centered.T, centered, precision=exact)
        # Samples beyond n must be finite too: they are samples like the others.
        return (total + centered.sum(0), outer, finite & jnp.isfinite(samples).all()), logits

    zero = jnp.zeros_like(shift), jnp.zeros((len(shift), len(shift))), jnp.asarray(True)
    (total, outer, finite), logits = lax.scan(add, zero, index_batches(n))
    # Not -1, which fails for the empty logits of features without a head.
    logits = logits.reshape(len(logits) * BATCH, logits.shape[-1])
    return FeatureSums(total, outer, logits[:n], finite)


def _sum_member(
    config: Config,
    function: Function,
    audio_format: AudioFormat | None,
    n: int,
    constants: Any,
    member: tuple[Any, jax.Array],
) -> FeatureSums:
    feature_variables, head, shift = constants
    variables, root = member

    def make(index: jax.Array) -> jax.Array:
        samples = generate(config, variables, root, index)
        return (
            samples if audio_format is None else preprocess.finite_mel_images(samples, audio_format)
        )

    return sum_features(
        make,
        functools.partial(function, feature_variables),
        head,
        shift,
        n,
        symmetric=config.data.symmetric and audio_format is None,
    )


def feature_program(
    config: Config, features: Extractor, audio_format: AudioFormat | None, n: int
) -> FeatureProgram:
    """Make the program that sums the features of the first `n` samples of all members.

    Args:
      config: config of the run.
      features: the features.
      audio_format: how examples of audio are heard; None for images.
      n: number of samples.

    Returns:
      The program, which is compiled at its first call. Its constants are the variables and head of
      the features, and the shift of `sum_features`.
    """
    total = functools.partial(_sum_member, config, features.function, audio_format, n)

    @jax.jit
    def program(constants: Any, variables: Any, roots: jax.Array) -> FeatureSums:
        # One after another: a batch of the images of one member fills a device.
        members = with_member_axis((variables, roots), config)
        return lax.map(functools.partial(total, constants), members)

    return program

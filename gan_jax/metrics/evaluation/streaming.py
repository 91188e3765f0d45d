"""Compiled programs that reduce samples to statistics, so that samples stay on the device.

The programs count modes and sum moments of features. The remaining computations, a sum over counts
or an eigenvalue problem, are done in float64 on the host.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from gan_jax.config import Config, population
from gan_jax.core import keys
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.inference import sampling
from gan_jax.metrics.checks import AnyArray
from gan_jax.metrics.features import preprocess
from gan_jax.metrics.features.extractor import Extractor, Function

BATCH = 128  # samples of a batch, as in gan_jax/inference/sampling.py
# Relative to a squared distance. Its rounding in float32 is below ten units in the last place,
# 6e-7 of it, so distances that differ by more have the same order in exact arithmetic.
MAX_ROUNDING = 4e-6


class ModeCounts(NamedTuple):
    """Number of samples of each mode, with a leading axis of members in a program's result."""

    nearest: Int[AnyArray, "*members modes"]
    """Number of samples closest to each mode."""
    good: Int[AnyArray, "*members modes"]
    """Number of these samples within 3 sigma."""
    certain: Bool[AnyArray, "*members"]
    """Whether the counts are those of exact arithmetic; False if a sample is not finite."""


class FeatureSums(NamedTuple):
    """Float32 sums over features x minus a shift, with an axis of members in a program's result."""

    total: Float[AnyArray, "*members d"]
    """Sum of x - shift."""
    outer: Float[AnyArray, "*members d d"]
    """Sum of (x - shift)(x - shift)^T."""
    logits: Float[AnyArray, "*members n classes"]
    """Logits of the samples; [n, 0] for features without a head."""
    finite: Bool[AnyArray, "*members"]
    """Whether all samples are finite."""


ModeProgram = Callable[[Any, jax.Array], tuple[ModeCounts, jax.Array]]
"""program(variables, root keys): counts and samples of all members."""
FeatureProgram = Callable[[Any, Any, jax.Array], FeatureSums]
"""program(constants, variables, root keys): sums of all members."""


def with_member_axis(tree: Any, config: Config) -> Any:
    """Add an axis of members to the leaves if the run is not a population."""
    return tree if population.is_population(config) else jax.tree.map(lambda leaf: leaf[None], tree)


def generate(
    config: Config, variables: Any, root: PRNGKeyArray, index: Int[Array, " m"]
) -> Float[Array, " m *example"]:
    """Generate samples to score from a root key.

    The label of sample i of a class-conditional generator is i mod classes.

    Args:
        config: Config of the run.
        variables: Variables of the generator.
        root: Root key of the run.
        index: Indices of the samples.

    Returns:
        Samples in float32.
    """
    return generate_from(config, variables, keys.step_key(root, keys.Purpose.SAMPLE, 0), index)


def generate_from(
    config: Config, variables: Any, key: PRNGKeyArray, index: Int[Array, " m"]
) -> Float[Array, " m *example"]:
    """Generate samples to score from the key of samples.

    Args:
        config: Config of the run.
        variables: Variables of the generator.
        key: PRNG key of the samples.
        index: Indices of the samples.

    Returns:
        Samples in float32.
    """
    example_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, index)
    z = keys.latents(example_keys, config.prior.dim, config.prior.distribution)
    classes = sampling.num_classes(config)
    cond = index % classes if classes else None
    return jnp.asarray(config.gen.apply(variables, z, cond, train=False), jnp.float32)


def index_batches(n: int) -> Int[Array, "batches batch"]:
    """Split the indices 0 to n - 1 into batches; the last batch continues beyond n - 1.

    Example:
        >>> index_batches(200).shape
        (2, 128)
    """
    return jnp.arange(-(-n // BATCH) * BATCH, dtype=jnp.int32).reshape(-1, BATCH)


def generate_points(
    config: Config, variables: Any, root: PRNGKeyArray, n: int
) -> Float[Array, "n 2"]:
    """Generate the first samples of a run on a 2-D mixture.

    Args:
        config: Config of the run.
        variables: Variables of the generator.
        root: Root key of the run.
        n: Number of samples.

    Returns:
        Samples in float32.
    """
    points = lax.map(lambda index: generate(config, variables, root, index), index_batches(n))
    return points.reshape(-1, points.shape[-1])[:n]


def count_modes(
    samples: Float[Array, "n 2"], centers: Float[np.ndarray, "modes 2"], sigma: float
) -> ModeCounts:
    """Count samples by mode, as `modes.modes` does.

    Each center is represented by the sum of two floats, so that the difference to a nearby sample
    is exact.

    Args:
        samples: Samples in float32.
        centers: Centers of the modes in float64.
        sigma: Standard deviation of the modes.

    Returns:
        The counts, and whether they are certain.

    Example:
        >>> centers = np.array([[0.0, 0.0], [1.0, 0.0]])
        >>> counts = count_modes(jnp.array([[0.0, 0.01], [0.4, 0.0]]), centers, sigma=0.01)
        >>> counts.nearest.tolist(), counts.good.tolist(), bool(counts.certain)
        ([2, 0], [1, 0], True)
    """
    high = centers.astype(np.float32)
    low = (centers - high).astype(np.float32)
    offset = (samples[:, None, :] - high[None]) - low[None]
    square = jnp.square(offset).sum(-1)  # [n, K]
    (least, second), order = (part.T for part in lax.top_k(-square, 2))
    least, second, reach = -least, -second, (3 * sigma) ** 2
    clear = (second - least > MAX_ROUNDING * second) & (
        jnp.abs(least - reach) > MAX_ROUNDING * reach
    )
    nearest = order[0][:, None] == jnp.arange(len(centers))[None]
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
        config: Config of the run.
        centers: Centers of the modes [K, 2].
        sigma: Standard deviation of the modes.
        n: Number of samples.

    Returns:
        The program, which is compiled on its first call.
    """
    count = functools.partial(_count_member, config, centers, sigma, n)

    @jax.jit
    def program(variables: Any, roots: jax.Array) -> tuple[ModeCounts, jax.Array]:
        return jax.vmap(count)(*with_member_axis((variables, roots), config))

    return program


def to_pixels(x: Float[Array, "n h w c"], *, symmetric: bool) -> UInt8[Array, "n h w c"]:
    """Round examples in [0, 1], or [-1, 1] if symmetric, to uint8, as `pixels.to_pixels` does.

    Example:
        >>> to_pixels(jnp.array([[[[-1.0], [0.0], [1.0]]]]), symmetric=True).ravel().tolist()
        [0, 128, 255]
    """
    unit = (x + 1) / 2 if symmetric else x
    return jnp.rint(jnp.clip(unit, 0, 1) * 255).astype(jnp.uint8)


def sum_features(
    sample: Callable[[jax.Array], jax.Array],
    extract: Callable[[jax.Array], jax.Array],
    head: tuple[jax.Array, jax.Array] | None,
    shift: Float[Array, " d"],
    n: int,
    *,
    symmetric: bool,
) -> FeatureSums:
    """Sum the features of samples, a batch at a time.

    With the mean of the real features as `shift`, the sums stay small, and so does the rounding
    error of float32.

    Args:
        sample: Function from indices [m] to samples [m, h, w, c].
        extract: Function from uint8 images [m, h, w, c] to features [m, d].
        head: Kernel and bias of the logits, if any.
        shift: Shift to subtract from the features [d].
        n: Number of samples.
        symmetric: Whether samples are in [-1, 1] instead of [0, 1].

    Returns:
        Sums over the first `n` samples.
    """
    exact = lax.Precision.HIGHEST  # by default, accelerators round to fewer digits

    def add(sums: tuple[jax.Array, jax.Array, jax.Array], index: jax.Array):
        total, outer, finite = sums
        samples, valid = sample(index), index < n
        features = extract(to_pixels(samples, symmetric=symmetric)).astype(jnp.float32)
        centered = jnp.where(valid[:, None], features - shift[None], 0)
        logits = jnp.zeros((BATCH, 0))
        if head is not None:
            logits = jnp.dot(features, head[0], precision=exact) + head[1][None]
        outer = outer + jnp.dot(centered.T, centered, precision=exact)
        # Samples beyond n must be finite too: they have the same distribution.
        return (total + centered.sum(0), outer, finite & jnp.isfinite(samples).all()), logits

    zero = jnp.zeros_like(shift), jnp.zeros((len(shift), len(shift))), jnp.asarray(True)
    (total, outer, finite), logits = lax.scan(add, zero, index_batches(n))
    # A size of -1 fails for the empty logits of features without a head.
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

    def sample(index: jax.Array) -> jax.Array:
        samples = generate(config, variables, root, index)
        return (
            samples if audio_format is None else preprocess.finite_mel_images(samples, audio_format)
        )

    return sum_features(
        sample,
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
        config: Config of the run.
        features: Features to sum.
        audio_format: Format of audio examples; None for images.
        n: Number of samples.

    Returns:
        The program, which is compiled on its first call. Its constants are the variables and head
        of the features, and the shift of `sum_features`.
    """
    sum_member = functools.partial(_sum_member, config, features.function, audio_format, n)

    @jax.jit
    def program(constants: Any, variables: Any, roots: jax.Array) -> FeatureSums:
        # Members run one after another: a batch of images of one member fills a device.
        members = with_member_axis((variables, roots), config)
        return lax.map(functools.partial(sum_member, constants), members)

    return program

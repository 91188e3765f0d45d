"""All metrics of two sets of pictures at once, from features that are gathered batch by batch.

Of each set the moments of all features stay, for the Frechet distance, and a part of the features
themselves, evenly spread over the set, for what looks at pairs: so 50,000 x 2048 features need not
be in memory together.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from gan_jax import keys
from gan_jax.errors import UserError
from gan_jax.metrics import frechet, kernel, manifold
from gan_jax.metrics.inception_score import inception_score

PAIRED = 10_000  # examples of each set at most in the metrics of pairs


class Gathered(NamedTuple):
    """Of the features of a set: the moments of all, and `kept` [m, d] of at most PAIRED."""

    moments: frechet.Moments
    kept: np.ndarray


class Score(NamedTuple):
    """A metric's value; how many examples of each set are in it; what it is expected to be between
    samples of one law, where that is known; its standard error, where it has one."""

    value: float
    n_real: int
    n_fake: int
    expected: float | None = None
    standard_error: float | None = None


def kept_indices(n: int) -> np.ndarray:
    """Which of `n` examples are kept, int64 [min(n, PAIRED)], ascending: one of each of as many
    equal parts, at random in it, since every fifth of samples whose labels go 0 to 9 has two."""
    kept = min(n, PAIRED)
    within = np.random.default_rng(0).integers(n // kept, size=kept)
    return np.arange(kept) * n // kept + within


def gather(batches: Iterable[np.ndarray], n: int) -> Gathered:
    """Of features [m, d] that come in batches of any sizes, `n` in all.

    Raises UserError if there are not `n`, or one is not finite.
    """
    chosen, total, seen, kept = kept_indices(n), None, 0, []
    for features in batches:
        found = frechet.moments(features)
        total = found if total is None else frechet.merge(total, found)
        first, last = np.searchsorted(chosen, (seen, seen + len(features)))
        kept.append(np.asarray(features)[chosen[first:last] - seen])
        seen += len(features)
    if total is None or seen != n:
        raise UserError(f"{n} examples announced, {seen} came")
    return Gathered(total, np.concatenate(kept))


def compare(real: Gathered, fake: Gathered) -> dict[str, Score]:
    """frechet, kernel, precision, recall, density and coverage of `fake` against `real`.

    The kernel distance's subsets are always the same ones, of 1000 examples or half of the smaller
    set. Raises UserError if the sets differ in d or hold fewer than 6 examples.
    """
    all_real, all_fake = real.moments.count, fake.moments.count
    n_real, n_fake = len(real.kept), len(fake.kept)
    size = min(1000, n_real // 2, n_fake // 2)
    if size < 3:
        raise UserError(f"{n_fake} samples against {n_real} reals: at least 6 of each are needed")
    sums = kernel.SubsetSums(n_real, n_fake, real.kept.shape[1], keys.root(0), size=size)
    pairs = manifold.manifold_scores(real.kept, fake.kept, seen=sums.add)
    subsets = sums.distance()
    expected = {
        "density": manifold.EXPECTED_DENSITY,
        "coverage": manifold.expected_coverage(n_real, n_fake),
    }
    distance = frechet.frechet_distance(real.moments, fake.moments)
    found = {
        "frechet": Score(distance, all_real, all_fake),
        "kernel": Score(subsets.mean, n_real, n_fake, kernel.EXPECTED, subsets.standard_error),
    }
    return found | {
        name: Score(value, n_real, n_fake, expected.get(name))
        for name, value in pairs._asdict().items()
    }


def score_logits(logits: Any) -> dict[str, Score]:
    """classifier_score: the Inception score by whatever classifier the logits [n, classes] are of.

    Ten parts, or as many as there are examples for two in each.
    """
    splits = min(10, max(len(logits) // 2, 1))
    found = inception_score(logits, splits)
    error = found.std / splits**0.5
    return {"classifier_score": Score(found.mean, 0, len(logits), standard_error=error)}

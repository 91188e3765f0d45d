"""Statistics of the features of a set of images, accumulated batch by batch.

The Frechet distance needs the moments of all features. Metrics of pairs need features themselves,
but a subsample will do, so 50,000 x 2048 features never have to be in memory together.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gan_jax.core.errors import UserError
from gan_jax.metrics import frechet

MAX_SUBSAMPLE = 10_000  # examples of each set in the metrics of pairs


class FeatureStatistics(NamedTuple):
    """Moments of all features of a set, and a subsample [m, d] of at most MAX_SUBSAMPLE."""

    moments: frechet.Moments
    subsample: np.ndarray | None
    """None where only moments are at hand, as in training."""


def subsample_indices(n: int) -> np.ndarray:
    """Draw the examples of the subsample of `n`, int64 [min(n, MAX_SUBSAMPLE)], ascending.

    One comes from each of as many equal parts, at a random place within it: of samples with labels
    0 to 9 in turn, every fifth would have only two of the labels.
    """
    size = min(n, MAX_SUBSAMPLE)
    within = np.random.default_rng(0).integers(n // size, size=size)
    return np.arange(size) * n // size + within


def accumulate(batches: Iterable[np.ndarray], n: int) -> FeatureStatistics:
    """Accumulate the statistics of `n` features [d] that come in batches of any sizes.

    Raises UserError if there are not `n`, or one is not finite.
    """
    indices, total, count, parts = subsample_indices(n), None, 0, []
    for features in batches:
        moments = frechet.moments(features)
        total = moments if total is None else frechet.merge(total, moments)
        first, last = np.searchsorted(indices, (count, count + len(features)))
        parts.append(np.asarray(features)[indices[first:last] - count])
        count += len(features)
    if total is None or count != n:
        raise UserError(f"{n} examples announced, {count} came")
    return FeatureStatistics(total, np.concatenate(parts))

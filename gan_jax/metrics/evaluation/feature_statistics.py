"""Statistics of the features of a set of images, accumulated batch by batch.

The Frechet distance needs the moments of all features. Metrics of pairs need the features of a
subsample only, so 50,000 x 2048 features are never in memory at once.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from gan_jax.core.errors import UserError
from gan_jax.metrics import frechet

MAX_SUBSAMPLE = 10_000  # examples of each set in the metrics of pairs


class FeatureStatistics(NamedTuple):
    """Moments and a subsample of the features of a set."""

    moments: frechet.Moments
    """Moments of all features."""
    subsample: Shaped[np.ndarray, "m d"] | None
    """Features of at most MAX_SUBSAMPLE examples. None: moments only, as in training."""


def subsample_indices(n: int) -> Int[np.ndarray, " m"]:
    """Draw the indices of the subsample of `n` examples, in ascending order.

    The examples are split into min(n, MAX_SUBSAMPLE) equal parts, and one random example of each is
    selected. Regular spacing would miss classes: with labels 0 to 9 in turn, every fifth sample has
    only two different labels.

    Example:
        >>> subsample_indices(5).tolist()
        [0, 1, 2, 3, 4]
    """
    size = min(n, MAX_SUBSAMPLE)
    offsets = np.random.default_rng(0).integers(n // size, size=size)
    return np.arange(size) * n // size + offsets


def accumulate(batches: Iterable[Shaped[np.ndarray, "_ d"]], n: int) -> FeatureStatistics:
    """Accumulate the statistics of `n` features from batches of any sizes.

    Raises UserError if the total is not `n`, or a feature is not finite.

    Example:
        >>> statistics = accumulate([np.zeros((3, 2)), np.ones((1, 2))], n=4)
        >>> statistics.moments.mean.tolist(), statistics.subsample.shape
        ([0.25, 0.25], (4, 2))
    """
    indices, total, count, parts = subsample_indices(n), None, 0, []
    for features in batches:
        moments = frechet.moments(features)
        total = moments if total is None else frechet.merge(total, moments)
        first, last = np.searchsorted(indices, (count, count + len(features)))
        parts.append(np.asarray(features)[indices[first:last] - count])
        count += len(features)
    if total is None or count != n:
        raise UserError(f"batches must have {n} examples in total, got {count}")
    return FeatureStatistics(total, np.concatenate(parts))

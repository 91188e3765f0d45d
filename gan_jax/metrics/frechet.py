"""Frechet distance between two sets of features.

It is computed from moments, which can be accumulated batch by batch:

    total = functools.reduce(frechet.merge, map(frechet.moments, batches))

All computations are in float64, because the distance is a small difference of large traces. Its
expectation for equal distributions is not zero and has no closed form. It decreases about as 1/n,
so compare distances at equal n only.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Shaped

from gan_jax.metrics import checks
from gan_jax.metrics.checks import AnyArray

_BLOCK = 4096  # examples converted to float64 at a time


class Moments(NamedTuple):
    """Count, mean and scatter matrix of a set of features, in float64."""

    count: int
    """Number of examples n."""
    mean: Float[np.ndarray, " d"]
    """Mean of the features."""
    scatter: Float[np.ndarray, "d d"]
    """Sum of (x - mean)(x - mean)^T over the examples x."""


def moments(features: Shaped[AnyArray, "n d"]) -> Moments:
    """Compute the mean and scatter matrix of features [n, d], n >= 1.

    Raises UserError if they are not finite numbers.
    """
    features = checks.check_matrix("features", features)
    count, d = features.shape
    blocks = [features[first : first + _BLOCK] for first in range(0, count, _BLOCK)]
    mean = sum(block.astype(np.float64).sum(0) for block in blocks) / count
    scatter = np.zeros((d, d))
    for block in blocks:
        centered = block.astype(np.float64) - mean
        scatter += centered.T @ centered
    return Moments(count, mean, scatter)


def merge(a: Moments, b: Moments) -> Moments:
    """Merge the moments of two disjoint sets. Chan, Golub and LeVeque 1983, eq. 2.1.

    Raises UserError if the features differ in width.

    Example:
        >>> features = np.arange(10.0).reshape(5, 2)
        >>> total = merge(moments(features[:2]), moments(features[2:]))
        >>> total.count, total.mean.tolist()
        (5, [4.0, 5.0])
    """
    checks.check_same_width(len(a.mean), len(b.mean))
    count, difference = a.count + b.count, b.mean - a.mean
    between = (a.count * b.count / count) * np.outer(difference, difference)
    mean = a.mean + difference * (b.count / count)
    return Moments(count, mean, a.scatter + b.scatter + between)


def covariance(moments: Moments) -> Float[np.ndarray, "d d"]:
    """Compute the unbiased covariance matrix: the scatter matrix over n - 1.

    Raises UserError for a single example.
    """
    checks.check_between("examples of a covariance", moments.count, 2, np.iinfo(int).max)
    return moments.scatter / (moments.count - 1)


def _factor(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d rank"]:
    """Factor a covariance as A A^T by Cholesky with pivots.

    It stops when the remainder is below d eps times the largest variance, which is rounding.
    """
    (pstrf,) = scipy.linalg.get_lapack_funcs(("pstrf",), (covariance,))
    lower, pivots, rank, info = pstrf(covariance, lower=1)
    if info < 0:
        raise ValueError(f"pstrf: argument {-info} is not legal")
    factor = np.empty((len(covariance), rank))
    factor[pivots - 1] = np.tril(lower[:, :rank])
    return factor


def frechet_distance(real: Moments, fake: Moments) -> float:
    """Compute the Frechet distance of two Gaussians with the given moments.

    |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^1/2) of means m and covariances S. Heusel et al. 2017
    (1706.08500), eq. 6. With S = A A^T, the eigenvalues of S1 S2 are the squares of the singular
    values of A1^T A2, so the trace of the root is their sum. Nothing is regularized: with fewer
    examples than features, A1^T A2 [rank, rank] is smaller.

    Args:
        real: Moments of the real features, from `moments`.
        fake: Moments of the fake features.

    Returns:
        The distance, at least 0.

    Raises:
        UserError: If the features differ in width, or a set has a single example.

    Example:
        >>> features = np.random.default_rng(0).standard_normal((100, 8))
        >>> round(frechet_distance(moments(features), moments(features + 1)), 6)
        8.0
    """
    checks.check_same_width(len(real.mean), len(fake.mean))
    covariances = covariance(real), covariance(fake)
    traces = sum(np.trace(matrix) for matrix in covariances)
    left, right = map(_factor, covariances)
    roots = np.linalg.svd(left.T @ right, compute_uv=False)
    distance = np.square(real.mean - fake.mean).sum() + traces - 2 * roots.sum()
    return max(float(distance), 0.0)  # for equal sets, rounding may give less than zero

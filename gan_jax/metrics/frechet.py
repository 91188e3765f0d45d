"""Frechet distance between two sets of features, from moments that can be gathered batch by batch.

    stream = functools.reduce(frechet.merge, map(frechet.moments, batches))

Float64 throughout: it is a small difference of large traces. Its expectation for equal laws is not
zero, and has no closed form: it falls about as 1/n, so compare at equal n only.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from gan_jax.metrics import checks

_BLOCK = 4096  # examples that are float64 at a time


class Moments(NamedTuple):
    """Of `count` examples x [d]: their mean [d], and scatter [d, d], the sum of
    (x - mean)(x - mean)^T. float64."""

    count: int
    mean: np.ndarray
    scatter: np.ndarray


def moments(features: Any) -> Moments:
    """Of features [n, d], n >= 1. Raises UserError if they are not finite numbers."""
    features = checks.check_matrix("features", features)
    count, d = features.shape
    blocks = [features[first : first + _BLOCK] for first in range(0, count, _BLOCK)]
    mean = sum(block.astype(np.float64).sum(0) for block in blocks) / count
    scatter = np.zeros((d, d))
    for block in blocks:
        centred = block.astype(np.float64) - mean
        scatter += centred.T @ centred
    return Moments(count, mean, scatter)


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of both sets together. Chan, Golub and LeVeque 1983, eq. 2.1."""
    checks.check_same_width(len(a.mean), len(b.mean))
    count, step = a.count + b.count, b.mean - a.mean
    between = (a.count * b.count / count) * np.outer(step, step)
    return Moments(count, a.mean + step * (b.count / count), a.scatter + b.scatter + between)


def covariance(of: Moments) -> np.ndarray:
    """[d, d], unbiased: over n - 1. Raises UserError for a single example."""
    checks.check_between("examples of a covariance", of.count, 2, np.iinfo(int).max)
    return of.scatter / (of.count - 1)


def _factor(covariance: np.ndarray) -> np.ndarray:
    """A [d, rank] with A A^T = covariance [d, d], by Cholesky with pivots.

    It ends where what is left is below d eps times the largest variance, which is rounding.
    """
    (pstrf,) = scipy.linalg.get_lapack_funcs(("pstrf",), (covariance,))
    lower, pivots, rank, info = pstrf(covariance, lower=1)
    if info < 0:
        raise ValueError(f"pstrf: argument {-info} is not legal")
    factor = np.empty((len(covariance), rank))
    factor[pivots - 1] = np.tril(lower[:, :rank])
    return factor


def frechet_distance(real: Moments, fake: Moments) -> float:
    """|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^1/2). Heusel et al. 2017 (1706.08500), eq. 6.

    With S = A A^T, the eigenvalues of S1 S2 are the squares of the singular values of A1^T A2, so
    the trace of the root is their sum. Nothing is regularised: with fewer examples than features
    A1^T A2 [rank, rank] just is smaller. Raises UserError if the sets differ in d or one has n < 2.
    """
    checks.check_same_width(len(real.mean), len(fake.mean))
    covariances = covariance(real), covariance(fake)
    traces = sum(np.trace(one) for one in covariances)
    left, right = map(_factor, covariances)
    roots = np.linalg.svd(left.T @ right, compute_uv=False)
    distance = np.square(real.mean - fake.mean).sum() + traces - 2 * roots.sum()
    return max(float(distance), 0.0)  # of equal sets, rounding may leave less than zero

"""Precision, recall, density and coverage: balls around examples that reach to the k-th neighbour.

Exact, in float64: |a|^2 + |b|^2 - 2ab is off by 1e-16 of the squares, so that only ties can go
either way, and of integers not even these.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gan_jax.metrics import inputs

_BLOCK = 2048  # examples; a block of distances is 32 MiB
EXPECTED_DENSITY = 1.0  # of equal laws: a real ball holds a fake with probability k/n


class ManifoldScores(NamedTuple):
    """precision: share of fakes in some real's ball. recall: share of reals in some fake's ball.
    density: real balls that a fake is in, over k. coverage: share of real balls with a fake in."""

    precision: float
    recall: float
    density: float
    coverage: float


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    squared = a @ b.T
    squared *= -2
    squared += np.einsum("id,id->i", a, a)[:, None]
    squared += np.einsum("id,id->i", b, b)
    return np.maximum(squared, 0, out=squared)


def _slices(n: int, block: int) -> Iterator[slice]:
    return (slice(first, min(first + block, n)) for first in range(0, n, block))


def _keep_smallest(kept: np.ndarray, more: np.ndarray) -> None:
    """kept [n, k], in place: the k smallest of each row of kept and more [n, m], ascending."""
    k = kept.shape[1]
    if more.shape[1] > k:
        more = np.partition(more, k - 1, axis=1)[:, :k]
    kept[:] = np.sort(np.concatenate([kept, more], axis=1), axis=1)[:, :k]


def squared_radii(features: np.ndarray, k: int, block: int = _BLOCK) -> np.ndarray:
    """Squared distances [n, k] from each of features [n, d] to its k nearest others, ascending."""
    radii = np.full((len(features), k), np.inf)
    for rows in _slices(len(features), block):
        for columns in _slices(len(features), block):
            if columns.start < rows.start:
                continue  # had as the transpose
            squared = _squared_distances(features[rows], features[columns])
            if rows == columns:
                np.fill_diagonal(squared, np.inf)
            else:
                _keep_smallest(radii[columns], np.ascontiguousarray(squared.T))
            _keep_smallest(radii[rows], squared)
    return radii


def manifold_scores(
    real: Any, fake: Any, precision_k: int = 3, density_k: int = 5, block: int = _BLOCK
) -> ManifoldScores:
    """All four of real [n, d] and fake [m, d], which share the distances.

    Precision and recall: Kynkaanniemi et al. 2019 (1904.06991), eq. 1 and 2, closed balls. Density
    and coverage: Naeem et al. 2020 (2002.09797), open balls as in their code (package `prdc`).
    Raises UserError if the features are not finite numbers or differ in d, or if a k is not below
    the number of examples that have balls of that k: density's are around reals only.
    """
    real, fake = inputs.pair(real, fake)
    inputs.between("precision's k", precision_k, 1, min(len(real), len(fake)) - 1)
    inputs.between("density's k", density_k, 1, len(real) - 1)
    inputs.between("block", block, 1, np.iinfo(int).max)
    of_real = squared_radii(real, max(precision_k, density_k), block)
    of_fake = squared_radii(fake, precision_k, block)[:, -1]
    closed, open_ = of_real[:, precision_k - 1, None], of_real[:, density_k - 1, None]
    precise, recalled = np.zeros(len(fake), bool), np.zeros(len(real), bool)
    covered, inside = np.zeros(len(real), bool), 0
    for rows in _slices(len(real), block):
        for columns in _slices(len(fake), block):
            squared = _squared_distances(real[rows], fake[columns])
            precise[columns] |= (squared <= closed[rows]).any(0)
            recalled[rows] |= (squared <= of_fake[columns]).any(1)
            in_ball = squared < open_[rows]
            inside += int(in_ball.sum())
            covered[rows] |= in_ball.any(1)
    return ManifoldScores(
        precision=float(precise.mean()),
        recall=float(recalled.mean()),
        density=inside / (density_k * len(fake)),
        coverage=float(covered.mean()),
    )


def expected_coverage(n: int, m: int, k: int = 5) -> float:
    """Of n reals by m fakes of the same law, whatever it is: 1 - prod_i (n-i)/(m+n-i), i = 1..k.

    2002.09797; 1 - 2^-k for as many of both, and many.
    """
    i = np.arange(1, k + 1)
    return float(1 - np.prod((n - i) / (m + n - i)))

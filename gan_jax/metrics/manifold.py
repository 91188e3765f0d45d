"""Precision, recall, density and coverage: balls around examples that reach to the k-th neighbour.

Exact, in float64: |a|^2 + |b|^2 - 2ab is off by 1e-16 of the squares, so that only ties can go
either way, and of integers not even these.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gan_jax.metrics import checks, distances

EXPECTED_DENSITY = 1.0  # of equal laws: a real ball holds a fake with probability k/n


class ManifoldScores(NamedTuple):
    """precision: share of fakes in some real's ball. recall: share of reals in some fake's ball.
    density: real balls that a fake is in, over k. coverage: share of real balls with a fake in."""

    precision: float
    recall: float
    density: float
    coverage: float


def _squares(x: np.ndarray) -> np.ndarray:
    """|x_i|^2, float64 [n]."""
    parts = np.array_split(x, len(x) // distances.BLOCK + 1)
    return np.concatenate([np.square(part.astype(np.float64)).sum(1) for part in parts])


def _squared_distances(products: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """|a|^2 + |b|^2 - 2ab, in place of the products ab [n, m]; the squares are [n] and [m]."""
    products *= -2
    products += left[:, None]
    products += right
    return np.maximum(products, 0, out=products)


def _keep_smallest(kept: np.ndarray, more: np.ndarray) -> None:
    """kept [n, k], in place: the k smallest of each row of kept and more [n, m], ascending."""
    k = kept.shape[1]
    if np.isinf(kept[:, -1]).any():
        few = np.partition(more, k - 1, axis=1)[:, :k] if more.shape[1] > k else more
    else:  # few are as small as any that is kept: sorting them alone is quicker
        row, column = np.nonzero(more < kept[:, -1].copy()[:, None])
        place = np.arange(len(row)) - np.searchsorted(row, row)  # within its row
        few = np.full((len(kept), place.max(initial=-1) + 1), np.inf)
        few[row, place] = more[row, column]
    kept[:] = np.sort(np.concatenate([kept, few], axis=1), axis=1)[:, :k]


def squared_radii(
    features: np.ndarray,
    k: int,
    block: int = distances.BLOCK,
    on_block: Callable[[slice, slice, np.ndarray], None] = distances.ignore_block,
) -> np.ndarray:
    """Squared distances [n, k] from each of features [n, d] to its k nearest others, ascending.

    `seen` looks at the inner products first (distances.py).
    """
    radii, squares = np.full((len(features), k), np.inf), _squares(features)
    for rows, columns, products in distances.inner_products(features, features, block):
        on_block(rows, columns, products)
        squared = _squared_distances(products, squares[rows], squares[columns])
        if rows == columns:
            np.fill_diagonal(squared, np.inf)
        else:
            _keep_smallest(radii[columns], squared.T)
        _keep_smallest(radii[rows], squared)
    return radii


def manifold_scores(
    real: Any,
    fake: Any,
    precision_k: int = 3,
    density_k: int = 5,
    block: int = distances.BLOCK,
    on_block: distances.BlockCallback = distances.ignore_block,
) -> ManifoldScores:
    """All four of real [n, d] and fake [m, d], which share the distances.

    Precision and recall: Kynkaanniemi et al. 2019 (1904.06991), eq. 1 and 2, closed balls. Density
    and coverage: Naeem et al. 2020 (2002.09797), open balls as in their code (package `prdc`).
    `seen` looks at all inner products on the way (distances.py). Raises UserError if the features
    are not finite numbers or differ in d, or if a k is not below the number of examples that have
    balls of that k: density's are around reals only.
    """
    real, fake = checks.check_pair(real, fake)
    checks.check_between("precision's k", precision_k, 1, min(len(real), len(fake)) - 1)
    checks.check_between("density's k", density_k, 1, len(real) - 1)
    checks.check_between("block", block, 1, np.iinfo(int).max)
    seen_real, seen_fake = functools.partial(on_block, "real"), functools.partial(on_block, "fake")
    of_real = squared_radii(real, max(precision_k, density_k), block, seen_real)
    of_fake = squared_radii(fake, precision_k, block, seen_fake)[:, -1].copy()
    closed, open_ = of_real[:, precision_k - 1, None], of_real[:, density_k - 1, None]
    precise, recalled = np.zeros(len(fake), bool), np.zeros(len(real), bool)
    covered, inside = np.zeros(len(real), bool), 0
    left, right = _squares(real), _squares(fake)
    for rows, columns, products in distances.inner_products(real, fake, block):
        on_block("across", rows, columns, products)
        squared = _squared_distances(products, left[rows], right[columns])
        precise[columns] |= (squared <= closed[rows]).any(0)
        recalled[rows] |= (squared <= of_fake[columns]).any(1)
        in_ball = squared < open_[rows]
        inside += int(np.count_nonzero(in_ball))
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

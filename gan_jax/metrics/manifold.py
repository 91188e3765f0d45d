"""Precision, recall, density and coverage, from balls that reach to the k-th nearest neighbor.

Computations are in float64: |a|^2 + |b|^2 - 2ab has an error of 1e-16 of the squares, so only ties
depend on rounding. For integers even ties are exact.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from gan_jax.metrics import checks, distances
from gan_jax.metrics.checks import AnyArray

EXPECTED_DENSITY = 1.0  # for equal distributions: a real ball holds a fake with probability k/n


class ManifoldScores(NamedTuple):
    """Precision, recall, density and coverage of fakes."""

    precision: float
    """Fraction of fakes inside the ball of any real."""
    recall: float
    """Fraction of reals inside the ball of any fake."""
    density: float
    """Mean number of real balls that contain a fake, divided by k."""
    coverage: float
    """Fraction of real balls that contain a fake."""


def _squared_norms(x: Shaped[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    parts = np.array_split(x, len(x) // distances.BLOCK + 1)
    return np.concatenate([np.square(part.astype(np.float64)).sum(1) for part in parts])


def _squared_distances(
    products: Float[np.ndarray, "n m"],
    left: Float[np.ndarray, " n"],
    right: Float[np.ndarray, " m"],
) -> Float[np.ndarray, "n m"]:
    """Compute |a|^2 + |b|^2 - 2ab from squared norms, in place of the inner products ab."""
    products *= -2
    products += left[:, None]
    products += right
    return np.maximum(products, 0, out=products)


def _update_smallest(
    smallest: Float[np.ndarray, "n k"], candidates: Float[np.ndarray, "n m"]
) -> None:
    """Replace `smallest`, in place, by the k smallest of each row of both, in ascending order."""
    k = smallest.shape[1]
    if np.isinf(smallest[:, -1]).any():
        wide = candidates.shape[1] > k
        selected = np.partition(candidates, k - 1, axis=1)[:, :k] if wide else candidates
    else:  # few candidates are below the k-th smallest: sorting only these is faster
        row, column = np.nonzero(candidates < smallest[:, -1].copy()[:, None])
        rank = np.arange(len(row)) - np.searchsorted(row, row)  # within the row
        selected = np.full((len(smallest), rank.max(initial=-1) + 1), np.inf)
        selected[row, rank] = candidates[row, column]
    smallest[:] = np.sort(np.concatenate([smallest, selected], axis=1), axis=1)[:, :k]


def squared_radii(
    features: Shaped[np.ndarray, "n d"],
    k: int,
    block: int = distances.BLOCK,
    on_block: Callable[[slice, slice, np.ndarray], None] = distances.ignore_block,
) -> Float[np.ndarray, "n k"]:
    """Compute the squared distances from each example to its k nearest neighbors.

    Args:
        features: Features [n, d].
        k: Number of neighbors, below n.
        block: Number of rows and columns of a block of distances.
        on_block: Called with rows, columns and inner products of each block.

    Returns:
        Squared distances [n, k], in ascending order.

    Example:
        >>> squared_radii(np.array([[0.0], [1.0], [3.0]]), k=2).tolist()
        [[1.0, 9.0], [1.0, 4.0], [4.0, 9.0]]
    """
    radii, squares = np.full((len(features), k), np.inf), _squared_norms(features)
    for rows, columns, products in distances.inner_products(features, features, block):
        on_block(rows, columns, products)
        squared = _squared_distances(products, squares[rows], squares[columns])
        if rows == columns:
            np.fill_diagonal(squared, np.inf)
        else:
            _update_smallest(radii[columns], squared.T)
        _update_smallest(radii[rows], squared)
    return radii


def manifold_scores(
    real: Shaped[AnyArray, "n d"],
    fake: Shaped[AnyArray, "m d"],
    precision_k: int = 3,
    density_k: int = 5,
    block: int = distances.BLOCK,
    on_block: distances.BlockCallback = distances.ignore_block,
) -> ManifoldScores:
    """Compute precision, recall, density and coverage, which share the distances.

    Precision and recall: Kynkaanniemi et al. 2019 (1904.06991), eq. 1 and 2, with closed balls.
    Density and coverage: Naeem et al. 2020 (2002.09797), with open balls as in their code (package
    `prdc`).

    Args:
        real: Real features [n, d].
        fake: Fake features [m, d].
        precision_k: Neighbor that the balls of precision and recall reach to, below n and m.
        density_k: Neighbor that the balls of density and coverage reach to, below n.
        block: Number of rows and columns of a block of distances.
        on_block: Called on each block of inner products (distances.py).

    Returns:
        The four scores.

    Raises:
        UserError: If the features are not finite numbers or differ in width, or a k is not below
            the number of examples with balls of that k. Balls of density are around reals only.

    Example:
        >>> real = np.arange(8.0)[:, None]
        >>> scores = manifold_scores(real, real[:4], precision_k=1, density_k=1)
        >>> scores.precision, scores.recall
        (1.0, 0.625)
    """
    real, fake = checks.check_pair(real, fake)
    checks.check_between("precision's k", precision_k, 1, min(len(real), len(fake)) - 1)
    checks.check_between("density's k", density_k, 1, len(real) - 1)
    checks.check_between("block", block, 1, np.iinfo(int).max)
    on_real, on_fake = functools.partial(on_block, "real"), functools.partial(on_block, "fake")
    real_radii = squared_radii(real, max(precision_k, density_k), block, on_real)
    fake_radii = squared_radii(fake, precision_k, block, on_fake)[:, -1].copy()
    closed, open_ = real_radii[:, precision_k - 1, None], real_radii[:, density_k - 1, None]
    precise, recalled = np.zeros(len(fake), bool), np.zeros(len(real), bool)
    covered, inside = np.zeros(len(real), bool), 0
    left, right = _squared_norms(real), _squared_norms(fake)
    for rows, columns, products in distances.inner_products(real, fake, block):
        on_block("across", rows, columns, products)
        squared = _squared_distances(products, left[rows], right[columns])
        precise[columns] |= (squared <= closed[rows]).any(0)
        recalled[rows] |= (squared <= fake_radii[columns]).any(1)
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
    """Compute the expected coverage of samples of the real distribution.

    1 - prod_i (n-i)/(m+n-i), i = 1..k, whatever the distribution is (2002.09797). It tends to
    1 - 2^-k for large n = m.

    Args:
        n: Number of real examples.
        m: Number of fake examples.
        k: Neighbor that the balls reach to.

    Returns:
        The expected coverage, in [0, 1].

    Example:
        >>> round(expected_coverage(10_000, 10_000), 4)  # 1 - 2^-5 = 0.96875
        0.9688
    """
    i = np.arange(1, k + 1)
    return float(1 - np.prod((n - i) / (m + n - i)))

"""Kernel distance: the squared maximum mean discrepancy of features under a cubic kernel.

Binkowski et al. 2018 (1801.01401): k(x, y) = (x.y / d + 1)^3. The estimate is unbiased: for equal
distributions its expectation is 0 at any n, and an estimate may be negative. All computations are
in float64, because the distance is a small difference of means of order one.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray, Shaped

from gan_jax.metrics import checks
from gan_jax.metrics.checks import AnyArray

_BLOCK = 2048  # examples; a block of the kernel is 32 MiB
EXPECTED = 0.0  # for equal distributions


class KernelDistance(NamedTuple):
    """Mean of the kernel distance over subsets, and its standard error."""

    mean: float
    """Mean over the subsets."""
    standard_error: float
    """Standard error of the mean, for the two sets as they are.

    It is 1/sqrt(subsets) of the standard deviation over subsets, which papers also report."""


def _blocks(x: Shaped[np.ndarray, "n d"], block: int) -> Iterator[Float[np.ndarray, "_ d"]]:
    return (x[first : first + block].astype(np.float64) for first in range(0, len(x), block))


def _mean_within(x: Shaped[np.ndarray, "n d"], block: int) -> float:
    """Compute the mean of k(x_i, x_j) over i != j."""
    total = 0.0
    for i, left in enumerate(_blocks(x, block)):
        root = _cubic_root(left, left)
        total += _sum_of_cubes(root) - (np.diagonal(root) ** 3).sum()
        later = _blocks(x[(i + 1) * block :], block)
        total += 2 * sum(_sum_of_cubes(_cubic_root(left, right)) for right in later)
    return total / (len(x) * (len(x) - 1))


def _cubic_root(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "n m"]:
    """Compute x_i.y_j / d + 1, the cubic root of the kernel."""
    root = x @ y.T
    root /= x.shape[1]
    root += 1
    return root


def _sum_of_cubes(root: Float[np.ndarray, "n m"]) -> float:
    return float(np.vdot(root * root, root))


def _mean_across(x: Shaped[np.ndarray, "n d"], y: Shaped[np.ndarray, "m d"], block: int) -> float:
    """Compute the mean of k(x_i, y_j) over all i and j."""
    total = 0.0
    for left in _blocks(x, block):
        total += sum(_sum_of_cubes(_cubic_root(left, right)) for right in _blocks(y, block))
    return total / (len(x) * len(y))


def _estimate(
    real: Shaped[np.ndarray, "n d"], fake: Shaped[np.ndarray, "m d"], block: int
) -> float:
    """Estimate sum k(x, x') / n(n-1) + sum k(y, y') / m(m-1) - 2 sum k(x, y) / nm.

    1801.01401, eq. 4.
    """
    within = _mean_within(real, block) + _mean_within(fake, block)
    return float(within - 2 * _mean_across(real, fake, block))


def kernel_distance(
    real: Shaped[AnyArray, "n d"], fake: Shaped[AnyArray, "m d"], block: int = _BLOCK
) -> float:
    """Compute the unbiased kernel distance from all examples.

    Args:
        real: Real features [n, d], n >= 2.
        fake: Fake features [m, d], m >= 2.
        block: Number of examples in a block of the kernel.

    Returns:
        The distance, which may be negative.

    Raises:
        UserError: If the features are not finite numbers, differ in width, or n or m is below 2.

    Example:
        >>> real, fake = np.array([[1.0], [1.0]]), np.array([[0.0], [0.0]])
        >>> kernel_distance(real, fake)  # 8 + 1 - 2
        7.0
    """
    checks.check_between("block", block, 1, np.iinfo(int).max)
    return _estimate(*checks.check_pair(real, fake), block)


def subset_kernel_distance(
    real: Shaped[AnyArray, "n d"],
    fake: Shaped[AnyArray, "m d"],
    key: PRNGKeyArray,
    subsets: int = 100,
    size: int = 1000,
) -> KernelDistance:
    """Compute the kernel distance from random pairs of subsets: KID as papers report it.

    The defaults are those of the code of 1801.01401. The cost is subsets * size^2, not n^2: with
    ten thousand examples or fewer `kernel_distance` is as fast, and not random.

    Args:
        real: Real features [n, d].
        fake: Fake features [m, d].
        key: PRNG key of the subsets.
        subsets: Number of pairs of subsets, at least 2.
        size: Number of examples of each subset, drawn without replacement, from 2 to n and m.

    Returns:
        Mean over the subsets, and its standard error.

    Raises:
        UserError: If the features are not finite numbers or differ in width, or `subsets` or `size`
            is out of range.

    Example:
        >>> features = np.random.default_rng(0).standard_normal((50, 4))
        >>> key = jax.random.key(0)
        >>> distance = subset_kernel_distance(features, features + 3, key, subsets=8, size=20)
        >>> distance.mean > 10 * distance.standard_error
        True
    """
    real, fake = checks.check_pair(real, fake)
    indices = _draw_subsets(key, len(real), len(fake), subsets, size)
    return _summarize([_estimate(real[i], fake[j], block=size) for i, j in indices])


def _draw_subsets(
    key: PRNGKeyArray, n: int, m: int, subsets: int, size: int
) -> Iterator[tuple[Int[np.ndarray, " size"], Int[np.ndarray, " size"]]]:
    """Draw the indices of the real and of the fake examples of each subset."""
    checks.check_between("kernel distance's subsets", subsets, 2, np.iinfo(np.int32).max)
    checks.check_between("size of kernel distance's subsets", size, 2, min(n, m))
    for subset in range(subsets):
        first, second = jax.random.split(jax.random.fold_in(key, subset))
        i, j = jax.random.permutation(first, n), jax.random.permutation(second, m)
        yield np.asarray(i[:size]), np.asarray(j[:size])


def _summarize(estimates: Sequence[float] | Float[np.ndarray, " subsets"]) -> KernelDistance:
    error = float(np.std(estimates, ddof=1) / len(estimates) ** 0.5)
    return KernelDistance(float(np.mean(estimates)), error)


class SubsetSums:
    """`subset_kernel_distance` from inner products that another metric computes anyway.

    Its method `add` is a `distances.BlockCallback` that must be called on all blocks. The extra
    cost is subsets * n^2 multiplications, little compared with the d * n^2 of the inner products.
    """

    def __init__(
        self,
        n: int,
        m: int,
        d: int,
        key: PRNGKeyArray,
        subsets: int = 100,
        size: int = 1000,
    ):
        """Draw the subsets.

        Args:
            n: Number of real examples.
            m: Number of fake examples.
            d: Number of features of each example.
            key: PRNG key of the subsets.
            subsets: Number of pairs of subsets, at least 2.
            size: Number of examples of each subset, from 2 to n and m.
        """
        real, fake = np.zeros((subsets, n)), np.zeros((subsets, m))
        for subset, (i, j) in enumerate(_draw_subsets(key, n, m, subsets, size)):
            real[subset, i] = fake[subset, j] = 1
        self._members = {"real": (real, real), "fake": (fake, fake), "across": (real, fake)}
        self._sums = {pair: np.zeros(subsets) for pair in self._members}
        self._d, self._size = d, size

    def add(
        self, pair: str, rows: slice, columns: slice, products: Float[np.ndarray, "rows columns"]
    ) -> None:
        """Add a block to the kernel sums of each subset.

        Args:
            pair: `real`, `fake` or `across`.
            rows: Rows of the block.
            columns: Columns of the block.
            products: Inner products of the block, which are not modified.
        """
        root = products / self._d
        root += 1
        cubes = root * root
        cubes *= root
        left, right = self._members[pair]
        symmetric = pair != "across"
        if symmetric and rows == columns:
            np.fill_diagonal(cubes, 0)
        sums = np.einsum("sc,sc->s", left[:, rows] @ cubes, right[:, columns])
        self._sums[pair] += sums if not symmetric or rows == columns else 2 * sums

    def distance(self) -> KernelDistance:
        """Compute the distance from all blocks that were added."""
        within = (self._sums["real"] + self._sums["fake"]) / (self._size * (self._size - 1))
        return _summarize(within - 2 * self._sums["across"] / self._size**2)

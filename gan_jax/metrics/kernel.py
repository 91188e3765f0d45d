"""Kernel distance: the squared maximum mean discrepancy of features under a cubic kernel.

Binkowski et al. 2018 (1801.01401): k(x, y) = (x.y / d + 1)^3, and the unbiased estimate, so that
equal laws have the expectation 0 at any n, and an estimate may be below zero. Float64: it is a
small difference of means of order one.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.metrics import checks

_BLOCK = 2048  # examples; a block of the kernel is 32 MiB
EXPECTED = 0.0  # of equal laws


class KernelDistance(NamedTuple):
    """The mean over subsets, and its standard error with the two sets held fixed: of the standard
    deviation over subsets, which papers also give, 1/sqrt(subsets)."""

    mean: float
    standard_error: float


def _blocks(x: np.ndarray, block: int) -> Iterator[np.ndarray]:
    return (x[first : first + block].astype(np.float64) for first in range(0, len(x), block))


def _within(x: np.ndarray, block: int) -> float:
    """The mean of k(x_i, x_j) over i != j."""
    total = 0.0
    for i, left in enumerate(_blocks(x, block)):
        root = _cubic_root(left, left)
        total += _sum_of_cubes(root) - (np.diagonal(root) ** 3).sum()
        later = _blocks(x[(i + 1) * block :], block)
        total += 2 * sum(_sum_of_cubes(_cubic_root(left, right)) for right in later)
    return total / (len(x) * (len(x) - 1))


def _cubic_root(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x_i.y_j / d + 1, of which the kernel is the cube."""
    root = x @ y.T
    root /= x.shape[1]
    root += 1
    return root


def _sum_of_cubes(root: np.ndarray) -> float:
    return float(np.vdot(root * root, root))


def _across(x: np.ndarray, y: np.ndarray, block: int) -> float:
    """The mean of k(x_i, y_j) over all i and j."""
    total = 0.0
    for left in _blocks(x, block):
        total += sum(_sum_of_cubes(_cubic_root(left, right)) for right in _blocks(y, block))
    return total / (len(x) * len(y))


def _estimate(real: np.ndarray, fake: np.ndarray, block: int) -> float:
    """sum k(x, x') / n(n-1) + sum k(y, y') / m(m-1) - 2 sum k(x, y) / nm. 1801.01401, eq. 4."""
    within = _within(real, block) + _within(fake, block)
    return float(within - 2 * _across(real, fake, block))


def kernel_distance(real: Any, fake: Any, block: int = _BLOCK) -> float:
    """The unbiased estimate from all of real [n, d] and fake [m, d], in blocks of `block` examples.

    Raises UserError if they are not finite numbers, differ in d, or n or m is below 2.
    """
    checks.check_between("block", block, 1, np.iinfo(int).max)
    return _estimate(*checks.check_pair(real, fake), block)


def subset_kernel_distance(
    real: Any, fake: Any, key: jax.Array, subsets: int = 100, size: int = 1000
) -> KernelDistance:
    """The same from `subsets` pairs of subsets of `size` examples, drawn without replacement.

    KID as papers give it, with the numbers of 1801.01401's code. Costs subsets * size^2, not n^2:
    with ten thousand examples or fewer `kernel_distance` is as quick, and has no draw in it. Raises
    UserError as that does, for fewer than two subsets, and for a size below 2 or above n or m.
    """
    real, fake = checks.check_pair(real, fake)
    chosen = _draw(key, len(real), len(fake), subsets, size)
    return _mean([_estimate(real[i], fake[j], block=size) for i, j in chosen])


def _draw(
    key: jax.Array, n: int, m: int, subsets: int, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The examples [size] of n and of m that are in each subset."""
    checks.check_between("kernel distance's subsets", subsets, 2, np.iinfo(np.int32).max)
    checks.check_between("size of kernel distance's subsets", size, 2, min(n, m))
    for subset in range(subsets):
        first, second = jax.random.split(jax.random.fold_in(key, subset))
        i, j = jax.random.permutation(first, n), jax.random.permutation(second, m)
        yield np.asarray(i[:size]), np.asarray(j[:size])


def _mean(found: Any) -> KernelDistance:
    return KernelDistance(float(np.mean(found)), float(np.std(found, ddof=1) / len(found) ** 0.5))


class SubsetSums:
    """`subset_kernel_distance` of n reals and m fakes [d], from inner products that are computed
    anyway: `add` is a `Seen` of distances.py, which has to see all of them.

    Adds subsets * n^2 multiplications of members' ones and zeros; they are few beside d * n^2.
    """

    def __init__(
        self, n: int, m: int, d: int, key: jax.Array, subsets: int = 100, size: int = 1000
    ):
        real, fake = np.zeros((subsets, n)), np.zeros((subsets, m))
        for subset, (i, j) in enumerate(_draw(key, n, m, subsets, size)):
            real[subset, i] = fake[subset, j] = 1
        self._members = {"real": (real, real), "fake": (fake, fake), "across": (real, fake)}
        self._sums = {of: np.zeros(subsets) for of in self._members}
        self._d, self._size = d, size

    def add(self, of: str, rows: slice, columns: slice, products: np.ndarray) -> None:
        """Each subset's share of the sums of the kernel."""
        root = products / self._d
        root += 1
        cubes = root * root
        cubes *= root
        left, right = self._members[of]
        own = of != "across"
        if own and rows == columns:
            np.fill_diagonal(cubes, 0)
        sums = np.einsum("sc,sc->s", left[:, rows] @ cubes, right[:, columns])
        self._sums[of] += sums if not own or rows == columns else 2 * sums

    def distance(self) -> KernelDistance:
        """From all that was added."""
        within = (self._sums["real"] + self._sums["fake"]) / (self._size * (self._size - 1))
        return _mean(within - 2 * self._sums["across"] / self._size**2)

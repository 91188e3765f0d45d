"""Inner products of all pairs of examples, a block at a time.

Kernel distance and the balls of the manifold metrics both begin with them, and they are most of the
work: who wants both computes them once.
"""

from collections.abc import Callable, Iterator

import numpy as np

BLOCK = 1024  # examples; a block of products is 8 MiB, which caches hold

BlockCallback = Callable[[str, slice, slice, np.ndarray], None]
"""seen(of, rows, columns, products): looks at a block of `real`, `fake` or `across`, which are real
by real, fake by fake, and real by fake. It leaves the products as they are."""


def ignore_block(*_: object) -> None:
    """A `Seen` that does not look."""


def _slices(n: int, block: int) -> Iterator[slice]:
    return (slice(first, min(first + block, n)) for first in range(0, n, block))


def inner_products(
    x: np.ndarray, y: np.ndarray, block: int = BLOCK
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """rows, columns and x[rows] @ y[columns].T, in float64, of all blocks of x [n, d] and y [m, d].

    Where y is x, of those on and above the diagonal: the others are their transposes.
    """
    for rows in _slices(len(x), block):
        left = x[rows].astype(np.float64)
        for columns in _slices(len(y), block):
            if y is x and columns.start < rows.start:
                continue
            right = left if y is x and columns == rows else y[columns].astype(np.float64)
            yield rows, columns, left @ right.T

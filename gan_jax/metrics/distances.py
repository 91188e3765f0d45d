"""Inner products of all pairs of examples, one block at a time.

The kernel distance and the manifold metrics both start from them, and they are most of the cost:
callbacks let one pass over the blocks serve both.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Shaped

BLOCK = 1024  # examples; a block of products is 8 MiB, which fits in caches

BlockCallback = Callable[[str, slice, slice, np.ndarray], None]
"""on_block(pair, rows, columns, products): called on each block of inner products.

`pair` is `real` (real by real), `fake` (fake by fake) or `across` (real by fake). The callback must
not modify `products`."""


def ignore_block(*_: object) -> None:
    """Ignore a block: the default `BlockCallback`."""


def _slices(n: int, block: int) -> Iterator[slice]:
    return (slice(first, min(first + block, n)) for first in range(0, n, block))


def inner_products(
    x: Shaped[np.ndarray, "n d"], y: Shaped[np.ndarray, "m d"], block: int = BLOCK
) -> Iterator[tuple[slice, slice, Float[np.ndarray, "rows columns"]]]:
    """Iterate over blocks of x y^T in float64.

    Args:
        x: Examples [n, d].
        y: Examples [m, d]. If `y is x`, only blocks on and above the diagonal are computed: the
            others are their transposes.
        block: Number of rows and columns of a block.

    Yields:
        Rows, columns and `x[rows] @ y[columns].T` of each block.

    Example:
        >>> x = np.eye(3)
        >>> [products.shape for _, _, products in inner_products(x, x, block=2)]
        [(2, 2), (2, 1), (1, 1)]
    """
    for rows in _slices(len(x), block):
        left = x[rows].astype(np.float64)
        for columns in _slices(len(y), block):
            if y is x and columns.start < rows.start:
                continue
            right = left if y is x and columns == rows else y[columns].astype(np.float64)
            yield rows, columns, left @ right.T

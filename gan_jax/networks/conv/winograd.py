"""Convolutions of 3x3 by products of matrices: Winograd's F(2x2, 3x3), for CPUs.

Lavin & Gray 2016 (1509.09308, sec. 4.1). A tile of 2x2 outputs is A'[(G w G') * (B' x B)]A for the
4x4 inputs x around it: 16 products instead of 36, each of them, over all tiles, a product of
matrices. It is the same bilinear function; its rounding errors are some 3 times as large as those
of the sum over nine taps (4e-6 instead of 1e-6 of 256 channels' outputs of size 1).

The pictures are taken a few at a time, so that what lies between the steps stays in the caches.
"""

import jax
import jax.numpy as jnp
from jax import lax

PIXELS = 4096  # of pictures that are worked on together; XLA uses one core for less


def forward(x: jax.Array, w: jax.Array) -> jax.Array:
    """x [n, h, w, c], even h and w, a zero on every side, * w [3, 3, c, d] -> [n, h, w, d]."""
    d = w.shape[3]
    kernels = jnp.stack([part for row in _kernels(w) for part in _kernels(row)])

    def some(x: jax.Array) -> jax.Array:
        n, height, width, _ = x.shape
        tiles = jnp.einsum("ptc,pcd->ptd", _inputs(x), kernels)
        return _outputs(tiles.reshape(4, 4, n, height // 2, width // 2, d))

    return join_blocks(lax.map(some, split_blocks(x)), x.shape[0])


def kernel_gradient(x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient by w [3, 3, c, d] of <forward(x, w), y>."""
    c, d = x.shape[3], y.shape[3]

    def some(total: jax.Array, both: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, y = both
        return total + jnp.einsum("ptc,ptd->pcd", _inputs(x), _outputs_transposed(y)), None

    total, _ = lax.scan(some, jnp.zeros((16, c, d), x.dtype), (split_blocks(x), split_blocks(y)))
    rows = _kernels_transposed(total.reshape(4, 4, c, d))
    return jnp.stack([jnp.stack(_kernels_transposed(row)) for row in rows])


def _kernels(w: jax.Array) -> list[jax.Array]:
    """G w: [3, ...] -> 4 x [...]."""
    a, b, c = w
    return [a, (a + b + c) / 2, (a - b + c) / 2, c]


def _kernels_transposed(parts: jax.Array) -> list[jax.Array]:
    """G' parts: [4, ...] -> 3 x [...]."""
    a, b, c, d = parts
    return [a + (b + c) / 2, (b - c) / 2, (b + c) / 2 + d]


def split_blocks(x: jax.Array, count: int | None = None) -> jax.Array:
    """[n, h, w, c] -> [n/m, m, h, w, c], m x h x w at most PIXELS, or m = 1; or `count` blocks.

    Where n is not known yet, as in an exported program, zeros fill the last block up.
    """
    n, height, width, _ = x.shape
    most = max(PIXELS // (height * width), 1)
    if not isinstance(n, int):
        count = -(-n // most)
        x = jnp.pad(x, ((0, count * most - n), (0, 0), (0, 0), (0, 0)))
        return x.reshape(count, most, *x.shape[1:])
    if count is None:
        count = next(n // m for m in range(min(most, n), 0, -1) if n % m == 0)
    return x.reshape(count, -1, *x.shape[1:])


def join_blocks(y: jax.Array, n: int) -> jax.Array:
    """What was made of `blocks` of n pictures: [blocks, m, h, w, d] -> [n, h, w, d]."""
    return y.reshape(-1, *y.shape[2:])[:n]


def _inputs(x: jax.Array) -> jax.Array:
    """B' x B of every tile: [n, h, w, c] -> [16, n h/2 w/2, c]."""
    c = x.shape[3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def along(x: jax.Array, axis: int) -> list[jax.Array]:
        length = x.shape[axis]
        a, b, c, d = (lax.slice_in_dim(x, i, length - 3 + i, 2, axis) for i in range(4))
        return [a - c, b + c, c - b, b - d]

    return jnp.stack([part for row in along(x, 1) for part in along(row, 2)]).reshape(16, -1, c)


def _outputs(tiles: jax.Array) -> jax.Array:
    """A' tile A, side by side: [4, 4, n, h/2, w/2, d] -> [n, h, w, d]."""

    def along(parts: jax.Array) -> list[jax.Array]:
        a, b, c, d = parts
        return [a + b + c, b - c - d]

    y = jnp.stack([jnp.stack(along(row), 3) for row in along(tiles)], 2)
    n, height, _, width, _, d = y.shape
    return y.reshape(n, 2 * height, 2 * width, d)


def _outputs_transposed(y: jax.Array) -> jax.Array:
    """A y A' of every tile: [n, h, w, d] -> [16, n h/2 w/2, d]."""
    n, height, width, d = y.shape
    y = y.reshape(n, height // 2, 2, width // 2, 2, d)

    def along(first: jax.Array, second: jax.Array) -> list[jax.Array]:
        return [first, first + second, first - second, -second]

    rows = along(y[:, :, 0], y[:, :, 1])
    parts = [part for row in rows for part in along(row[:, :, :, 0], row[:, :, :, 1])]
    return jnp.stack(parts).reshape(16, -1, d)

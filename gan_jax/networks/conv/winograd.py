"""3x3 convolutions by matrix products on CPUs: Winograd's F(2x2, 3x3).

Lavin & Gray 2016 (1509.09308, sec. 4.1). A tile of 2x2 outputs is A'[(G w G') * (B' x B)]A for the
4x4 inputs x around it: 16 products instead of 36, each of which is a matrix product over all tiles.
It is the same bilinear function; its rounding errors are about 3 times as large as those of the sum
over nine taps (4e-6 instead of 1e-6 for 256 channels and outputs of size 1).

Images are processed a few at a time, so that intermediate arrays stay in the caches.
"""

import jax
import jax.numpy as jnp
from jax import lax

PIXELS = 4096  # per block of images; XLA uses one core for fewer


def forward(x: jax.Array, w: jax.Array) -> jax.Array:
    """Convolve x [n, h, w, c] with w [3, 3, c, d], padded by one zero; h and w are even."""
    d = w.shape[3]
    kernels = jnp.stack([part for row in _kernels(w) for part in _kernels(row)])

    def convolve_block(x: jax.Array) -> jax.Array:
        n, height, width, _ = x.shape
        tiles = jnp.einsum("ptc,pcd->ptd", _inputs(x), kernels)
        return _outputs(tiles.reshape(4, 4, n, height // 2, width // 2, d))

    return join_blocks(lax.map(convolve_block, split_blocks(x)), x.shape[0])


def kernel_gradient(x: jax.Array, y: jax.Array) -> jax.Array:
    """Compute the gradient of <forward(x, w), y> with respect to w [3, 3, c, d]."""
    c, d = x.shape[3], y.shape[3]

    def add_block(total: jax.Array, block: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, y = block
        return total + jnp.einsum("ptc,ptd->pcd", _inputs(x), _outputs_transposed(y)), None

    total, _ = lax.scan(
        add_block, jnp.zeros((16, c, d), x.dtype), (split_blocks(x), split_blocks(y))
    )
    rows = _kernels_transposed(total.reshape(4, 4, c, d))
    return jnp.stack([jnp.stack(_kernels_transposed(row)) for row in rows])


def _kernels(w: jax.Array) -> list[jax.Array]:
    """Compute G w: [3, ...] -> 4 x [...]."""
    a, b, c = w
    return [a, (a + b + c) / 2, (a - b + c) / 2, c]


def _kernels_transposed(parts: jax.Array) -> list[jax.Array]:
    """Compute G' parts: [4, ...] -> 3 x [...]."""
    a, b, c, d = parts
    return [a + (b + c) / 2, (b - c) / 2, (b + c) / 2 + d]


def split_blocks(x: jax.Array, count: int | None = None) -> jax.Array:
    """Split a batch into blocks: [n, h, w, c] -> [n/m, m, h, w, c].

    There are `count` blocks, or m is the largest with at most PIXELS pixels per block, at least 1.
    If n is symbolic, as in an exported program, the last block is padded with zeros.
    """
    n, height, width, _ = x.shape
    size = max(PIXELS // (height * width), 1)
    if not isinstance(n, int):
        count = -(-n // size)
        x = jnp.pad(x, ((0, count * size - n), (0, 0), (0, 0), (0, 0)))
        return x.reshape(count, size, *x.shape[1:])
    if count is None:
        count = next(n // m for m in range(min(size, n), 0, -1) if n % m == 0)
    return x.reshape(count, -1, *x.shape[1:])


def join_blocks(y: jax.Array, n: int) -> jax.Array:
    """Join blocks, without padding, to a batch of n: [blocks, m, h, w, d] -> [n, h, w, d]."""
    return y.reshape(-1, *y.shape[2:])[:n]


def _inputs(x: jax.Array) -> jax.Array:
    """Compute B' x B of every tile: [n, h, w, c] -> [16, n h/2 w/2, c]."""
    c = x.shape[3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def transform(x: jax.Array, axis: int) -> list[jax.Array]:
        length = x.shape[axis]
        a, b, c, d = (lax.slice_in_dim(x, i, length - 3 + i, 2, axis) for i in range(4))
        return [a - c, b + c, c - b, b - d]

    return jnp.stack([part for row in transform(x, 1) for part in transform(row, 2)]).reshape(
        16, -1, c
    )


def _outputs(tiles: jax.Array) -> jax.Array:
    """Compute A' tile A and arrange the tiles: [4, 4, n, h/2, w/2, d] -> [n, h, w, d]."""

    def transform(parts: jax.Array) -> list[jax.Array]:
        a, b, c, d = parts
        return [a + b + c, b - c - d]

    y = jnp.stack([jnp.stack(transform(row), 3) for row in transform(tiles)], 2)
    n, height, _, width, _, d = y.shape
    return y.reshape(n, 2 * height, 2 * width, d)


def _outputs_transposed(y: jax.Array) -> jax.Array:
    """Compute A y A' of every tile: [n, h, w, d] -> [16, n h/2 w/2, d]."""
    n, height, width, d = y.shape
    y = y.reshape(n, height // 2, 2, width // 2, 2, d)

    def transform(first: jax.Array, second: jax.Array) -> list[jax.Array]:
        return [first, first + second, first - second, -second]

    rows = transform(y[:, :, 0], y[:, :, 1])
    parts = [part for row in rows for part in transform(row[:, :, :, 0], row[:, :, :, 1])]
    return jnp.stack(parts).reshape(16, -1, d)

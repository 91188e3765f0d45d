"""4x4 convolutions with stride 2, and their transposes, on CPUs: Winograd's F(2x2, 2x2).

See winograd.py. A 4x4 convolution with stride 2 is a 2x2 convolution with stride 1 whose input
channels are the four pixels of a stride. Its transpose is four 2x2 convolutions, one for each of
those pixels. Both take 9 products instead of 16, with rounding errors twice as large as those of
the sum over the taps.
"""

import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.networks.conv.winograd import join_blocks, split_blocks


def forward(x: jax.Array, w: jax.Array) -> jax.Array:
    """Convolve x [n, h, w, c] with w [4, 4, c, d] -> [n, h/2, w/2, d], padded by one zero.

    h and w are multiples of four.
    """
    n, height, width, _ = x.shape
    d = w.shape[3]
    kernels = _kernels(w)

    def convolve_block(x: jax.Array) -> jax.Array:
        tiles = jnp.einsum("ptc,pcd->ptd", _inputs(x), kernels)
        tiles = tiles.reshape(3, 3, len(x), height // 4, width // 4, d)
        rows = [jnp.stack(_outputs(*row), 3) for row in _outputs(*tiles)]
        return jnp.stack(rows, 2).reshape(len(x), height // 2, width // 2, d)

    return join_blocks(lax.map(convolve_block, split_blocks(x)), n)


def input_gradient(w: jax.Array, y: jax.Array) -> jax.Array:
    """Compute the gradient of <forward(x, w), y> with respect to x [n, 2h, 2w, c].

    y is [n, h, w, d] with even h and w.
    """
    n, height, width, _ = y.shape
    c = w.shape[2]
    kernels = _kernels(w)

    def convolve_block(y: jax.Array) -> jax.Array:
        tiles = jnp.einsum("ptd,pcd->ptc", _outputs_transposed(y), kernels)
        return _inputs_transposed(tiles.reshape(3, 3, len(y), height // 2, width // 2, 2, 2, c))

    return join_blocks(lax.map(convolve_block, split_blocks(y)), n)


def kernel_gradient(x: jax.Array, y: jax.Array) -> jax.Array:
    """Compute the gradient of <forward(x, w), y> with respect to w [4, 4, c, d]."""
    c, d = x.shape[3], y.shape[3]

    def add_block(total: jax.Array, block: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, y = block
        return total + jnp.einsum("ptd,ptc->pdc", _outputs_transposed(y), _inputs(x)), None

    pairs = (split_blocks(x), split_blocks(y, len(split_blocks(x))))
    total, _ = lax.scan(add_block, jnp.zeros((9, d, 4 * c), x.dtype), pairs)
    return _kernels_transposed(total.swapaxes(1, 2))


def _kernels(w: jax.Array) -> jax.Array:
    """Compute G w G' of each of the four pixels of a stride: [4, 4, c, d] -> [9, 4 c, d]."""
    c, d = w.shape[2:]

    def transform(first: jax.Array, second: jax.Array) -> list[jax.Array]:
        return [first, first + second, second]

    rows = transform(w[:2], w[2:])
    parts = [part for row in rows for part in transform(row[:, :2], row[:, 2:])]
    return jnp.stack(parts).reshape(9, 4 * c, d)


def _kernels_transposed(parts: jax.Array) -> jax.Array:
    """Compute the transpose of `_kernels`: [9, 4 c, d] -> [4, 4, c, d]."""
    d = parts.shape[2]

    def transform(parts: jax.Array) -> list[jax.Array]:
        a, b, c = parts
        return [a + b, b + c]

    rows = transform(parts.reshape(3, 3, 2, 2, -1, d))  # 2 x [3, 2, 2, c, d]
    return jnp.concatenate([jnp.concatenate(transform(row), 1) for row in rows])


def _transformed(a: jax.Array, b: jax.Array, c: jax.Array) -> list[jax.Array]:
    """Multiply three inputs by B'."""
    return [a - b, b, b - c]


def _outputs(a: jax.Array, b: jax.Array, c: jax.Array) -> list[jax.Array]:
    """Multiply three products by A'."""
    return [a + b, b - c]


def _inputs(x: jax.Array) -> jax.Array:
    """Compute B' x B of every tile: [n, h, w, c] -> [9, n h/4 w/4, 4 c]."""
    c = x.shape[3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def transform(x: jax.Array, axis: int) -> list[list[jax.Array]]:
        length = x.shape[axis]
        parts = [lax.slice_in_dim(x, i, length - 5 + i, 4, axis) for i in range(6)]
        return [_transformed(*parts[pixel::2]) for pixel in (0, 1)]

    rows = transform(x, 1)
    parts = [[transform(row, 2) for row in pixel] for pixel in rows]  # [p][i][q][j]
    tiles = [
        jnp.concatenate([parts[p][i][q][j] for p in (0, 1) for q in (0, 1)], -1)
        for i in range(3)
        for j in range(3)
    ]
    return jnp.stack(tiles).reshape(9, -1, 4 * c)


def _shift(x: jax.Array, axis: int, offset: int) -> jax.Array:
    """Shift `x` along an axis, with zero padding."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = (max(offset, 0), max(-offset, 0))
    first = max(-offset, 0)
    return lax.slice_in_dim(jnp.pad(x, padding), first, x.shape[axis] + first, 1, axis)


def _inputs_transposed(tiles: jax.Array) -> jax.Array:
    """Compute the transpose of `_inputs`: [3, 3, n, h/4, w/4, 2, 2, c] -> [n, h, w, c]."""

    def transform(parts: jax.Array, axis: int, pixel: int) -> list[jax.Array]:
        """Return the four pixels of a tile, whose first and last overlap with its neighbors."""
        (a0, a1), (b0, b1), (c0, c1) = (jnp.moveaxis(part, pixel, 0) for part in parts)
        return [
            *(a1 - _shift(c1, axis, 1), b0 + c0 - a0, b1 + c1 - a1),
            _shift(a0, axis, -1) - c0,
        ]

    rows = transform(tiles, 2, 4)  # 4 x [3, n, h/4, w/4, 2, c]
    pixels = jnp.stack([jnp.stack(transform(row, 2, 3), 3) for row in rows], 2)
    n, height, _, width, _, c = pixels.shape
    return pixels.reshape(n, 4 * height, 4 * width, c)


def _outputs_transposed(y: jax.Array) -> jax.Array:
    """Compute A y A' of every tile: [n, h, w, d] -> [9, n h/2 w/2, d]."""
    n, height, width, d = y.shape
    y = y.reshape(n, height // 2, 2, width // 2, 2, d)

    def transform(first: jax.Array, second: jax.Array) -> list[jax.Array]:
        return [first, first + second, -second]

    rows = transform(y[:, :, 0], y[:, :, 1])
    parts = [part for row in rows for part in transform(row[:, :, :, 0], row[:, :, :, 1])]
    return jnp.stack(parts).reshape(9, -1, d)

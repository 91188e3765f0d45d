"""Scaling, rotation, stretching and fractional shifts: one affine transform, one resampling.

Karras et al. 2020 (2006.06676), appendix B. The picture, reflected without end, is upsampled twice
with the low-pass filter of the symlet of order 6, sampled bilinearly where the inverse transform
points, and downsampled with the same filter. The filter is orthogonal to its own shifts by two, so
without a transform (or after whole-pixel shifts) these steps undo each other exactly.

Deviations. The reflection never ends; the authors' code is mid-grey beyond the first one. And a
pixel lies where the filter delays it to, 5 samples (5.1 at low frequencies), not at half of its
length, 5.5, which displaces turned pictures by up to 0.4 pixels.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# Of Daubechies 1992, "Ten Lectures on Wavelets", sec. 8.1.1; squares sum to 1.
SYM6 = np.asarray(
    [
        *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
        *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
        *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
    ]
)
DELAY = 5  # of the filter, in samples
SCALE, STRETCH, SHIFT = 0.2, 0.2, 0.125  # standard deviations; log2, log2, share of the side

_product = functools.partial(jnp.matmul, precision="highest")
_einsum = functools.partial(jnp.einsum, precision="highest")


def sample_inverse(key: jax.Array, p: float | jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The inverse transform [3, 3]: for a place (row, column, 1) in the new picture, in pixels from
    the centre, the place in the old one that is seen there. Each with probability p:
    magnification by 2^N(0, 0.2^2); rotation by U(-pi, pi), before or after stretching; stretching
    by 2^N(0, 0.2^2) one way and its inverse the other; a shift by N(0, 0.125^2) of each side."""
    chance, size = jax.random.split(key)
    u, z = jax.random.uniform(chance, (7,)), jax.random.normal(size, (4,))
    either = 1 - jnp.sqrt(1 - jnp.clip(jnp.asarray(p, jnp.float32), 0, 1))  # twice makes p
    scale = jnp.exp2(jnp.where(u[0] < p, SCALE * z[0], 0.0))
    stretch = jnp.exp2(jnp.where(u[1] < p, STRETCH * z[1], 0.0))
    before, after = (
        jnp.where(u[i] < either, jnp.pi * (2 * u[j] - 1), 0.0) for i, j in ((2, 3), (4, 5))
    )
    side = jnp.asarray(shape[:2], jnp.float32)
    down, right = jnp.where(u[6] < p, SHIFT * z[2:] * side, 0.0)
    steps = [
        scaling(1 / scale, 1 / scale),
        rotation(-before),
        scaling(1 / stretch, stretch),
        rotation(-after),
        translation(-down, -right),
    ]
    return functools.reduce(_product, steps)


def _matrix(*rows: tuple) -> jax.Array:
    return jnp.stack([jnp.stack([jnp.asarray(x, jnp.float32) for x in row]) for row in rows])


def scaling(rows: jax.Array | float, columns: jax.Array | float) -> jax.Array:
    """[3, 3]."""
    return _matrix((rows, 0, 0), (0, columns, 0), (0, 0, 1))


def rotation(angle: jax.Array | float) -> jax.Array:
    """[3, 3], radians, counter-clockwise as one sees the picture, whose rows count downwards."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return _matrix((cos, -sin, 0), (sin, cos, 0), (0, 0, 1))


def translation(down: jax.Array | float, right: jax.Array | float) -> jax.Array:
    """[3, 3], in pixels."""
    return _matrix((1, 0, down), (0, 1, right), (0, 0, 1))


def compose_shift(inverse: jax.Array, offset: jax.Array) -> jax.Array:
    """The inverse transform of a picture that is first moved by [2] pixels down and right."""
    return _product(translation(-offset[0], -offset[1]), inverse)


def _upsampling_matrix(side: int) -> np.ndarray:
    """[4 side - 3, side]: the reflected line at twice the rate, from -period/2 to period/2, where
    the line's first pixel is sample 0 and the period is 4 (side - 1) samples."""
    half = 2 * (side - 1)
    matrix = np.zeros((2 * half + 1, side))
    for row in range(2 * half + 1):
        for tap in range((row + DELAY) % 2, len(SYM6), 2):
            pixel = (row - half + DELAY - tap) // 2
            matrix[row, abs((pixel + half // 2) % half - half // 2)] += np.sqrt(2) * SYM6[tap]
    return matrix.astype(np.float32)


def _downsampling_matrix(side: int) -> np.ndarray:
    """[side, 2 side + 10]: the transpose of upsampling, of samples from -5."""
    matrix = np.zeros((side, 2 * side + len(SYM6) - 2))
    for row in range(side):
        matrix[row, 2 * row : 2 * row + len(SYM6)] = SYM6 / np.sqrt(2)
    return matrix.astype(np.float32)


def resample(x: jax.Array, inverse: jax.Array) -> jax.Array:
    """The picture [h, w, c], sides of at least 2, through the transform of which [3, 3] is the
    inverse (see `draw`)."""
    height, width, channels = x.shape
    samples = _einsum("qh,hwc->qwc", _upsampling_matrix(height), x)
    samples = _einsum("rw,qwc->qrc", _upsampling_matrix(width), samples)

    # Where the samples of the new picture come from, in samples from the centre, then the corner.
    row = (jnp.arange(2 * height + len(SYM6) - 2.0) - DELAY - (height - 1))[:, None]
    column = (jnp.arange(2 * width + len(SYM6) - 2.0) - DELAY - (width - 1))[None, :]
    starts, shares = [], []
    for axis, side in enumerate((height, width)):
        at = inverse[axis, 0] * row + inverse[axis, 1] * column + 2 * inverse[axis, 2] + (side - 1)
        half = 2 * (side - 1)
        at = jnp.mod(at + half, 2 * half)
        start = jnp.clip(jnp.floor(at), 0, 2 * half - 1)
        starts.append(start.astype(jnp.int32).reshape(-1))
        shares.append((at - start).reshape(-1, 1))

    pitch, (down, right) = samples.shape[1], shares
    first, flat = starts[0] * pitch + starts[1], samples.reshape(-1, channels)

    def neighbour(offset: int) -> jax.Array:
        return flat.at[first + offset].get(mode="promise_in_bounds")

    above = (1 - right) * neighbour(0) + right * neighbour(1)
    below = (1 - right) * neighbour(pitch) + right * neighbour(pitch + 1)
    samples = ((1 - down) * above + down * below).reshape(row.size, column.size, channels)
    samples = _einsum("hq,qrc->hrc", _downsampling_matrix(height), samples)
    return _einsum("wr,hrc->hwc", _downsampling_matrix(width), samples)

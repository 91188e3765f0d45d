"""Scaling, rotation, stretching and fractional shifts, as one affine transform.

Karras et al. 2020 (2006.06676), appendix B. The image, extended by periodic reflection, is
upsampled by a factor of 2 with the low-pass filter of the symlet of order 6, sampled bilinearly at
the positions that the inverse transform maps to, and downsampled with the same filter. The filter
is orthogonal to its shifts by two, so these steps cancel exactly for the identity and for shifts by
whole pixels.

Deviations from the authors' code: the reflection is periodic, while theirs is mid-gray beyond the
first one; and the delay of the filter is taken as 5 samples (it is 5.1 at low frequencies), not as
half of its length, 5.5, which displaces rotated images by up to 0.4 pixels.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int32, Key

# Daubechies 1992, "Ten Lectures on Wavelets", sec. 8.1.1; the squares sum to 1.
SYM6 = np.asarray(
    [
        *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
        *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
        *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
    ]
)
DELAY = 5  # delay of the filter, in samples
SCALE, STRETCH, SHIFT = 0.2, 0.2, 0.125  # standard deviations; log2, log2, fraction of the side

Scalar = float | Float[Array, ""]

_product = functools.partial(jnp.matmul, precision="highest")
_einsum = functools.partial(jnp.einsum, precision="highest")


def sample_inverse(
    key: Key[Array, ""], p: float | Float[Array, ""], shape: tuple[int, ...]
) -> Float[Array, "3 3"]:
    """Sample the inverse of an affine transform, each part of which occurs with probability p.

    The parts are scaling by 2^N(0, 0.2^2); rotation by U(-pi, pi), before or after stretching;
    stretching by 2^N(0, 0.2^2) along one axis and its inverse along the other; and a shift by
    N(0, 0.125^2) of each side.

    Args:
        key: PRNG key.
        p: Probability of each part.
        shape: Shape of the image [h, w, c].

    Returns:
        The matrix that maps a position (row, column, 1) in the transformed image, in pixels from
        the center, to the position in the original image.
    """
    uniform_key, normal_key = jax.random.split(key)
    u, z = jax.random.uniform(uniform_key, (7,)), jax.random.normal(normal_key, (4,))
    # The probability of each of the two rotations, one of which occurs with probability p.
    p_rotation = 1 - jnp.sqrt(1 - jnp.clip(jnp.asarray(p, jnp.float32), 0, 1))
    scale = jnp.exp2(jnp.where(u[0] < p, SCALE * z[0], 0.0))
    stretch = jnp.exp2(jnp.where(u[1] < p, STRETCH * z[1], 0.0))
    before, after = (
        jnp.where(u[i] < p_rotation, jnp.pi * (2 * u[j] - 1), 0.0) for i, j in ((2, 3), (4, 5))
    )
    side = jnp.asarray(shape[:2], jnp.float32)
    down, right = jnp.where(u[6] < p, SHIFT * z[2:] * side, 0.0)
    transforms = [
        scaling(1 / scale, 1 / scale),
        rotation(-before),
        scaling(1 / stretch, stretch),
        rotation(-after),
        translation(-down, -right),
    ]
    return functools.reduce(_product, transforms)


def _matrix(*rows: tuple) -> jax.Array:
    return jnp.stack([jnp.stack([jnp.asarray(x, jnp.float32) for x in row]) for row in rows])


def scaling(rows: Scalar, columns: Scalar) -> Float[Array, "3 3"]:
    """Return the matrix that scales positions by the two factors."""
    return _matrix((rows, 0, 0), (0, columns, 0), (0, 0, 1))


def rotation(angle: Scalar) -> Float[Array, "3 3"]:
    """Return the matrix of a rotation, counter-clockwise on the screen (rows point down)."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return _matrix((cos, -sin, 0), (sin, cos, 0), (0, 0, 1))


def translation(down: Scalar, right: Scalar) -> Float[Array, "3 3"]:
    """Return the matrix of a translation, in pixels."""
    return _matrix((1, 0, down), (0, 1, right), (0, 0, 1))


def compose_shift(inverse: Float[Array, "3 3"], offset: Int32[Array, "2"]) -> Float[Array, "3 3"]:
    """Return the inverse of a transform that follows a shift down and right, in pixels."""
    return _product(translation(-offset[0], -offset[1]), inverse)


def _upsampling_matrix(side: int) -> np.ndarray:
    """Return the matrix [4 side - 3, side] that upsamples a reflected line by a factor of 2.

    The samples are those from -period/2 to period/2. The first pixel of the line is sample 0, and
    the period is 4 (side - 1) samples.
    """
    half = 2 * (side - 1)
    matrix = np.zeros((2 * half + 1, side))
    for row in range(2 * half + 1):
        for tap in range((row + DELAY) % 2, len(SYM6), 2):
            pixel = (row - half + DELAY - tap) // 2
            matrix[row, abs((pixel + half // 2) % half - half // 2)] += np.sqrt(2) * SYM6[tap]
    return matrix.astype(np.float32)


def _downsampling_matrix(side: int) -> np.ndarray:
    """Return the matrix [side, 2 side + 10], the transpose of upsampling, for samples from -5."""
    matrix = np.zeros((side, 2 * side + len(SYM6) - 2))
    for row in range(side):
        matrix[row, 2 * row : 2 * row + len(SYM6)] = SYM6 / np.sqrt(2)
    return matrix.astype(np.float32)


def resample(x: Float[Array, "h w c"], inverse: Float[Array, "3 3"]) -> Float[Array, "h w c"]:
    """Transform an image with sides of at least 2.

    Args:
        x: Image.
        inverse: Inverse of the transform, as from `sample_inverse`.

    Returns:
        The transformed image.
    """
    height, width, channels = x.shape
    samples = _einsum("qh,hwc->qwc", _upsampling_matrix(height), x)
    samples = _einsum("rw,qwc->qrc", _upsampling_matrix(width), samples)

    # Positions of the new samples in the original image, in samples from the center, then corner.
    row = (jnp.arange(2 * height + len(SYM6) - 2.0) - DELAY - (height - 1))[:, None]
    column = (jnp.arange(2 * width + len(SYM6) - 2.0) - DELAY - (width - 1))[None, :]
    starts, fractions = [], []
    for axis, side in enumerate((height, width)):
        half = 2 * (side - 1)
        position = (
            inverse[axis, 0] * row + inverse[axis, 1] * column + 2 * inverse[axis, 2] + (side - 1)
        )
        position = jnp.mod(position + half, 2 * half)
        start = jnp.clip(jnp.floor(position), 0, 2 * half - 1)
        starts.append(start.astype(jnp.int32).reshape(-1))
        fractions.append((position - start).reshape(-1, 1))

    stride, (down, right) = samples.shape[1], fractions
    first, flat = starts[0] * stride + starts[1], samples.reshape(-1, channels)

    def neighbor(offset: int) -> Float[Array, "samples c"]:
        return flat.at[first + offset].get(mode="promise_in_bounds")

    above = (1 - right) * neighbor(0) + right * neighbor(1)
    below = (1 - right) * neighbor(stride) + right * neighbor(stride + 1)
    samples = ((1 - down) * above + down * below).reshape(row.size, column.size, channels)
    samples = _einsum("hq,qrc->hrc", _downsampling_matrix(height), samples)
    return _einsum("wr,hrc->hwc", _downsampling_matrix(width), samples)

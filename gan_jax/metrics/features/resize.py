"""Resizing of images for the FID network, as in TensorFlow 1.

Bilinear with `align_corners=False, half_pixel_centers=False`: output pixel i lies at i * scale of
the input, not at (i + 0.5) * scale - 0.5, and downsampling has no antialiasing. FID depends on the
method of resizing (Parmar et al. 2022, 2104.11222).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

SIZE = 299


def resize_matrix(length: int, size: int) -> Float[np.ndarray, "size length"]:
    """Return the interpolation weights of one axis, at most two in a row, with sum 1.

    Example:
        >>> resize_matrix(2, 4).tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.0, 1.0]]
    """
    # TensorFlow computes positions in float32, and rounding decides where they are integers.
    positions = np.arange(size, dtype=np.float32) * np.float32(length / size)
    low = positions.astype(np.int32)
    high = np.minimum(low + 1, length - 1)
    fraction, rows = positions - low.astype(np.float32), np.arange(size)
    weights = np.zeros((size, length), np.float32)
    weights[rows, low] = 1 - fraction
    weights[rows, high] += fraction  # at the border, low and high are the same pixel
    return weights


def resize(images: Shaped[Array, "n h w c"], size: int = SIZE) -> Float[Array, "n size size 3"]:
    """Resize images, uint8 or float, with 1 or 3 channels; gray is repeated three times."""
    n, height, width, _ = images.shape
    x = images.astype(jnp.float32)
    # At default precision, accelerators round pixels to 8 or 10 bits of mantissa.
    x = jnp.einsum("xw,nhwc->nhxc", resize_matrix(width, size), x, precision="highest")
    x = jnp.einsum("yh,nhxc->nyxc", resize_matrix(height, size), x, precision="highest")
    return jnp.broadcast_to(x, (n, size, size, 3))

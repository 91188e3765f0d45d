"""The resize in front of the FID network, as TensorFlow 1 did it.

Bilinear with `align_corners=False, half_pixel_centers=False`: output pixel i lies at i * scale of
the input, not at (i + 0.5) * scale - 0.5, and nothing is averaged where pictures shrink. Another
resize is another FID (Parmar et al. 2022, 2104.11222).
"""

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 299


def resize_matrix(length: int, size: int) -> np.ndarray:
    """Weights float32 [size, length] of one axis: a row has at most two entries, of sum 1."""
    # TensorFlow takes scale and place in float32, which decides between neighbours at whole places.
    place = np.arange(size, dtype=np.float32) * np.float32(length / size)
    low = place.astype(np.int32)
    high = np.minimum(low + 1, length - 1)
    share, rows = place - low.astype(np.float32), np.arange(size)
    weights = np.zeros((size, length), np.float32)
    weights[rows, low] = 1 - share
    weights[rows, high] += share  # at the border both are one pixel
    return weights


def resize(images: jax.Array, size: int = SIZE) -> jax.Array:
    """Images [n, h, w, 1 or 3], uint8 or float -> float32 [n, size, size, 3], grey three times."""
    n, height, width, _ = images.shape
    x = images.astype(jnp.float32)
    # Accelerators would round pixels to 8 or 10 bits of mantissa.
    x = jnp.einsum("xw,nhwc->nhxc", resize_matrix(width, size), x, precision="highest")
    x = jnp.einsum("yh,nhxc->nyxc", resize_matrix(height, size), x, precision="highest")
    return jnp.broadcast_to(x, (n, size, size, 3))

"""DiffAugment: color, translation and cutout, always applied.

Zhao et al. 2020 (2006.10738), sec. 3.3.

The ranges are those of the authors' code, for pixels in [-1, 1]. Fractions of a side are rounded to
whole pixels, with halves up: an eighth of 28 pixels is 4.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gan_jax.training.augment import blit


def color(x: Float[Array, "h w c"], key: Key[Array, ""]) -> Float[Array, "h w c"]:
    """Change brightness by U(-0.5, 0.5), saturation by U(0, 2) and contrast by U(0.5, 1.5).

    Brightness is added. Saturation scales the difference from the mean over the channels of a
    pixel, contrast the difference from the mean over the image.
    """
    brightness, saturation, contrast = jax.random.uniform(key, (3,))
    x = x + (brightness - 0.5)
    gray = x.mean(-1, keepdims=True)
    x = gray + 2 * saturation * (x - gray)
    mean = x.mean(keepdims=True)
    return mean + (contrast + 0.5) * (x - mean)


def translation(x: Float[Array, "h w c"], key: Key[Array, ""]) -> Float[Array, "h w c"]:
    """Shift by whole pixels, uniform up to an eighth of the side, padded with zero (mid-gray)."""
    max_shift = jnp.asarray([round_fraction(side, blit.MAX_SHIFT) for side in x.shape[:2]])
    offset = jax.random.randint(key, (2,), -max_shift, max_shift + 1)
    return blit.shift(x, offset, "constant")


def cutout(x: Float[Array, "h w c"], key: Key[Array, ""]) -> Float[Array, "h w c"]:
    """Set a rectangle of half the sides to zero.

    Its center is uniform over the image, so the rectangle may extend beyond the border.
    """
    inside = []
    for axis, axis_key in enumerate(jax.random.split(key)):
        side = x.shape[axis]
        size = round_fraction(side, 0.5)
        first = jax.random.randint(axis_key, (), 0, side + 1 - size % 2) - size // 2
        distance = jnp.arange(side) - first
        inside.append((distance >= 0) & (distance < size))
    mask = inside[0][:, None, None] & inside[1][None, :, None]
    return jnp.where(mask, 0.0, x)


def round_fraction(side: int, fraction: float) -> int:
    """Return a fraction of a side in whole pixels, with halves rounded up.

    Example:
        >>> round_fraction(28, 0.125)
        4
    """
    return int(side * fraction + 0.5)


PARTS = {"color": color, "translation": translation, "cutout": cutout}

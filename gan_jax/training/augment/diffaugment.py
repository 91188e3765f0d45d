"""DiffAugment: colour, translation and cutout, always on (Zhao et al. 2020, 2006.10738, sec. 3.3).

The ranges are those of the authors' code, for pixels in [-1, 1]. Where a share of the side is no
whole number of pixels, halves go up: of 28 pixels an eighth is 4.
"""

import jax
import jax.numpy as jnp

from gan_jax.training.augment import blit


def color(x: jax.Array, key: jax.Array) -> jax.Array:
    """Brightness + U(-0.5, 0.5); distance from the pixel's own grey times U(0, 2); distance from
    the picture's mean times U(0.5, 1.5)."""
    brightness, saturation, contrast = jax.random.uniform(key, (3,))
    x = x + (brightness - 0.5)
    grey = x.mean(-1, keepdims=True)
    x = grey + 2 * saturation * (x - grey)
    mean = x.mean(keepdims=True)
    return mean + (contrast + 0.5) * (x - mean)


def translation(x: jax.Array, key: jax.Array) -> jax.Array:
    """Moved by whole pixels, each way up to an eighth of the side, all equally likely; zero, that
    is mid-grey, comes in."""
    reach = jnp.asarray([round_share(side, blit.MAX_SHIFT) for side in x.shape[:2]])
    by = jax.random.randint(key, (2,), -reach, reach + 1)
    return blit.shift(x, by, "constant")


def cutout(x: jax.Array, key: jax.Array) -> jax.Array:
    """Zero in a rectangle of half the sides, whose centre is anywhere in the picture, so that a
    part of it may lie outside."""
    inside = []
    for axis, own in enumerate(jax.random.split(key)):
        side = x.shape[axis]
        size = round_share(side, 0.5)
        first = jax.random.randint(own, (), 0, side + 1 - size % 2) - size // 2
        distance = jnp.arange(side) - first
        inside.append((distance >= 0) & (distance < size))
    hole = inside[0][:, None, None] & inside[1][None, :, None]
    return jnp.where(hole, 0.0, x)


def round_share(side: int, share: float) -> int:
    """A share of the side in whole pixels; halves go up."""
    return int(side * share + 0.5)


PARTS = {"colour": color, "translation": translation, "cutout": cutout}

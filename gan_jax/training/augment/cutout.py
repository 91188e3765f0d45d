"""Cutout: a rectangle of half the sides of the image becomes zero, which is mid-gray.

DeVries & Taylor 2017 (1708.04552); as in Karras et al. 2020 (2006.06676), appendix B.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

SIZE = 0.5  # side of the rectangle, as a fraction of the side of the image


def sample_cutout(key: Key[Array, ""], p: float | Float[Array, ""]) -> Float[Array, "3"]:
    """Sample a rectangle: row and column of its center, U(0, 1), and its size.

    All are fractions of the sides of the image. The size is 0.5 with probability p, else 0.
    """
    u = jax.random.uniform(key, (3,))
    return jnp.stack([u[0], u[1], jnp.where(u[2] < p, SIZE, 0.0)])


def apply_cutout(x: Float[Array, "h w c"], rectangle: Float[Array, "3"]) -> Float[Array, "h w c"]:
    """Set the pixels whose centers lie inside the rectangle to zero."""
    inside = []
    for axis in (0, 1):
        centers = (jnp.arange(x.shape[axis]) + 0.5) / x.shape[axis]
        inside.append(jnp.abs(centers - rectangle[axis]) < rectangle[2] / 2)
    mask = inside[0][:, None, None] & inside[1][None, :, None]
    return jnp.where(mask, 0.0, x)

"""Cutout: a rectangle of half the picture's width and height becomes zero, that is mid-grey.

DeVries & Taylor 2017 (1708.04552); as in Karras et al. 2020 (2006.06676), appendix B.
"""

import jax
import jax.numpy as jnp

SIZE = 0.5  # of the rectangle, a share of the side


def sample_cutout(key: jax.Array, p: float | jax.Array) -> jax.Array:
    """[3]: the centre's row and column as shares of the sides, U(0, 1), and the rectangle's size:
    0.5 with probability p, else 0."""
    u = jax.random.uniform(key, (3,))
    return jnp.stack([u[0], u[1], jnp.where(u[2] < p, SIZE, 0.0)])


def apply_cutout(x: jax.Array, rectangle: jax.Array) -> jax.Array:
    """The picture [h, w, c] with zeros where a pixel's centre lies inside the rectangle."""
    inside = []
    for axis in (0, 1):
        at = (jnp.arange(x.shape[axis]) + 0.5) / x.shape[axis]
        inside.append(jnp.abs(at - rectangle[axis]) < rectangle[2] / 2)
    hole = inside[0][:, None, None] & inside[1][None, :, None]
    return jnp.where(hole, 0.0, x)

"""Pixel blitting: mirror images, quarter turns and whole-pixel shifts, exact copies of pixels.

Karras et al. 2020 (2006.06676), appendix B: the first three transformations of ADA.
"""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

MAX_SHIFT = 0.125  # the largest shift, as a share of the picture's side


class Blit(NamedTuple):
    """What is done to one picture, in this order."""

    flip: jax.Array
    """Whether left and right change places, bool."""
    quarter_turns: jax.Array
    """Quarter turns, counter-clockwise, int32 in 0 to 3."""
    shift: jax.Array
    """Pixels down and to the right [2], int32."""


def sample_blit(key: jax.Array, p: float | jax.Array, shape: tuple[int, ...]) -> Blit:
    """Each of the three with probability p: mirrored or not, 0 to 3 turns, a shift uniform within
    an eighth of the side, rounded; all equally likely. Pictures that are not square are turned by
    0 or 2 quarters."""
    u = jax.random.uniform(key, (7,))
    apply = u[:3] < p
    turns = jnp.floor(4 * u[4]).astype(jnp.int32)
    if shape[0] != shape[1]:
        turns = turns // 2 * 2
    reach = MAX_SHIFT * jnp.asarray(shape[:2], jnp.float32)
    shift = jnp.round((2 * u[5:7] - 1) * reach).astype(jnp.int32)
    return Blit(apply[0] & (u[3] < 0.5), apply[1] * turns, apply[2] * shift)


def flip_and_rotate(x: jax.Array, blit: Blit) -> jax.Array:
    """The picture mirrored and turned, not shifted."""
    x = jnp.where(blit.flip, x[:, ::-1], x)
    x = jnp.where(blit.quarter_turns >= 2, x[::-1, ::-1], x)
    if x.shape[0] == x.shape[1]:
        x = jnp.where(blit.quarter_turns % 2 == 1, jnp.rot90(x), x)
    return x


def shift(x: jax.Array, offset: jax.Array, mode: Literal["reflect", "constant"]) -> jax.Array:
    """The picture moved by [2] whole pixels down and to the right, at most an eighth of its side,
    rounded up. What comes in is its reflection (the edge not repeated) or zero."""
    reach = [math.ceil(MAX_SHIFT * side) for side in x.shape[:2]]
    padded = jnp.pad(x, [(pixels, pixels) for pixels in reach] + [(0, 0)], mode=mode)
    start = [pixels - offset[axis] for axis, pixels in enumerate(reach)]
    return jax.lax.dynamic_slice(padded, [*start, jnp.zeros_like(offset[0])], x.shape)

"""Pixel blitting: flips, quarter turns and whole-pixel shifts, which copy pixels exactly.

Karras et al. 2020 (2006.06676), appendix B: the first three transformations of ADA.
"""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int32, Key

MAX_SHIFT = 0.125  # fraction of the side of the image


class Blit(NamedTuple):
    """Transformations of one image, in the order of application."""

    flip: Bool[Array, ""]
    """Horizontal flip."""
    quarter_turns: Int32[Array, ""]
    """Number of counter-clockwise quarter turns, 0 to 3."""
    shift: Int32[Array, "2"]
    """Shift down and to the right, in pixels."""


def sample_blit(key: Key[Array, ""], p: float | Float[Array, ""], shape: tuple[int, ...]) -> Blit:
    """Sample a flip, quarter turns and a shift, each with probability p.

    Args:
        key: PRNG key.
        p: Probability that each of the three is drawn from its uniform distribution: flipped or
            not, 0 to 3 quarter turns, a shift of up to `MAX_SHIFT` of the side, rounded.
        shape: Shape of the image [h, w, c]. Images that are not square get 0 or 2 quarter turns.

    Returns:
        The sampled transformations.
    """
    u = jax.random.uniform(key, (7,))
    apply = u[:3] < p
    turns = jnp.floor(4 * u[4]).astype(jnp.int32)
    if shape[0] != shape[1]:
        turns = turns // 2 * 2
    max_shift = MAX_SHIFT * jnp.asarray(shape[:2], jnp.float32)
    shift = jnp.round((2 * u[5:7] - 1) * max_shift).astype(jnp.int32)
    return Blit(apply[0] & (u[3] < 0.5), apply[1] * turns, apply[2] * shift)


def flip_and_rotate(x: Float[Array, "h w c"], blit: Blit) -> Float[Array, "h w c"]:
    """Apply the flip and the quarter turns, but not the shift."""
    x = jnp.where(blit.flip, x[:, ::-1], x)
    x = jnp.where(blit.quarter_turns >= 2, x[::-1, ::-1], x)
    if x.shape[0] == x.shape[1]:
        x = jnp.where(blit.quarter_turns % 2 == 1, jnp.rot90(x), x)
    return x


def shift(
    x: Float[Array, "h w c"], offset: Int32[Array, "2"], mode: Literal["reflect", "constant"]
) -> Float[Array, "h w c"]:
    """Shift an image by whole pixels.

    Args:
        x: Image.
        offset: Pixels down and to the right, at most `MAX_SHIFT` of the side, rounded up.
        mode: Padding: "reflect" (without repeating the edge), or "constant" for zeros.

    Returns:
        The shifted image.

    Example:
        >>> image = jnp.arange(4.0).reshape(2, 2, 1)
        >>> shift(image, jnp.array([0, 1]), "constant")[..., 0].tolist()
        [[0.0, 0.0], [0.0, 2.0]]
    """
    padding = [math.ceil(MAX_SHIFT * side) for side in x.shape[:2]]
    padded = jnp.pad(x, [(pixels, pixels) for pixels in padding] + [(0, 0)], mode=mode)
    start = [pixels - offset[axis] for axis, pixels in enumerate(padding)]
    return jax.lax.dynamic_slice(padded, [*start, jnp.zeros_like(offset[0])], x.shape)

"""Brightness, contrast, luma flip, hue and saturation: one affine map of a picture's colours.

Karras et al. 2020 (2006.06676), appendix B. Each of the five keeps the luma axis (1, 1, 1) and the
plane across it apart, so a pixel is split into its mean over the channels and the rest. A grey
picture has no rest, and neither hue nor saturation.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0  # standard deviations, the last two of log2


class Color(NamedTuple):
    """What is done to one picture, in this order; float32 scalars."""

    brightness: jax.Array
    """Added."""
    contrast: jax.Array
    """Factor."""
    luma: jax.Array
    """-1 turns light into dark and leaves hues, 1 does not."""
    hue: jax.Array
    """Angle around the luma axis."""
    saturation: jax.Array
    """Factor of the distance from the luma axis."""


def sample_color(key: jax.Array, p: float | jax.Array) -> Color:
    """Each with probability p: N(0, 0.2^2), 2^N(0, 0.5^2), -1 or 1, U(-pi, pi), 2^N(0, 1)."""
    chance, size = jax.random.split(key)
    u, z = jax.random.uniform(chance, (7,)), jax.random.normal(size, (3,))
    return Color(
        brightness=jnp.where(u[0] < p, BRIGHTNESS * z[0], 0.0),
        contrast=jnp.exp2(jnp.where(u[1] < p, CONTRAST * z[1], 0.0)),
        luma=jnp.where((u[2] < p) & (u[5] < 0.5), -1.0, 1.0),
        hue=jnp.where(u[3] < p, jnp.pi * (2 * u[6] - 1), 0.0),
        saturation=jnp.exp2(jnp.where(u[4] < p, SATURATION * z[2], 0.0)),
    )


def adjust_color(x: jax.Array, color: Color) -> jax.Array:
    """The picture [h, w, 1 or 3] in other colours."""
    mean = x.mean(-1, keepdims=True)
    luma = color.luma * color.contrast * (mean + color.brightness)
    if x.shape[-1] == 1:
        return luma
    # Rodrigues' formula for a vector across the axis; the cross product with (1, 1, 1) / sqrt(3).
    rest = x - mean
    across = (jnp.roll(rest, -2, -1) - jnp.roll(rest, -1, -1)) / math.sqrt(3)
    turned = jnp.cos(color.hue) * rest + jnp.sin(color.hue) * across
    return luma + color.contrast * color.saturation * turned

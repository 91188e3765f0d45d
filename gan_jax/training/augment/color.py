"""Brightness, contrast, luma flip, hue and saturation, as one affine transformation.

Karras et al. 2020 (2006.06676), appendix B. None of the five mixes the luma axis (1, 1, 1) with the
plane orthogonal to it. A pixel is therefore split into its mean over the channels, the luma, and
the remainder, the chroma. Grayscale images have no chroma, so hue and saturation do not apply.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0  # standard deviations; the last two of log2


class Color(NamedTuple):
    """Transformations of one image, in the order of application."""

    brightness: Float[Array, ""]
    """Offset of all channels."""
    contrast: Float[Array, ""]
    """Factor of all channels."""
    luma: Float[Array, ""]
    """Sign of the luma, 1 or -1; -1 inverts lightness and keeps hues."""
    hue: Float[Array, ""]
    """Angle of the rotation about the luma axis, in radians."""
    saturation: Float[Array, ""]
    """Factor of the chroma."""


def sample_color(key: Key[Array, ""], p: float | Float[Array, ""]) -> Color:
    """Sample color transformations, each with probability p.

    They are N(0, 0.2^2), 2^N(0, 0.5^2), -1 or 1, U(-pi, pi) and 2^N(0, 1), in the order of `Color`.
    """
    uniform_key, normal_key = jax.random.split(key)
    u, z = jax.random.uniform(uniform_key, (7,)), jax.random.normal(normal_key, (3,))
    return Color(
        brightness=jnp.where(u[0] < p, BRIGHTNESS * z[0], 0.0),
        contrast=jnp.exp2(jnp.where(u[1] < p, CONTRAST * z[1], 0.0)),
        luma=jnp.where((u[2] < p) & (u[5] < 0.5), -1.0, 1.0),
        hue=jnp.where(u[3] < p, jnp.pi * (2 * u[6] - 1), 0.0),
        saturation=jnp.exp2(jnp.where(u[4] < p, SATURATION * z[2], 0.0)),
    )


def adjust_color(x: Float[Array, "h w c"], color: Color) -> Float[Array, "h w c"]:
    """Transform the colors of an image with 1 or 3 channels."""
    mean = x.mean(-1, keepdims=True)
    luma = color.luma * color.contrast * (mean + color.brightness)
    if x.shape[-1] == 1:
        return luma
    # Rodrigues' formula for a vector orthogonal to the axis, with its cross product with the axis.
    chroma = x - mean
    cross = (jnp.roll(chroma, -2, -1) - jnp.roll(chroma, -1, -1)) / math.sqrt(3)
    rotated = jnp.cos(color.hue) * chroma + jnp.sin(color.hue) * cross
    return luma + color.contrast * color.saturation * rotated

"""Perceptual distance in the feature space of a classifier."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from gan_jax.metrics.features.extractor import Extractor


def perceptual(features: Extractor, weight: float) -> Partial:
    """Make the perceptual term weight * |f(x) - f(y)|^2 / |f(x)|^2 for `invert`.

    Images are not rounded to 256 levels first.

    Args:
        features: Extractor of the features f.
        weight: Weight of the term.

    Returns:
        Function of target images x and images y, float32 [n, h, w, c] in [0, 1], that returns the
        term of each image [n].
    """
    return Partial(functools.partial(_perceptual, features.function, weight), features.variables)


def _perceptual(function: Any, weight: float, variables: Any, x: jax.Array, y: jax.Array):
    f, g = (
        function(variables, 255 * jnp.clip(images, 0, 1))
        .astype(jnp.float32)
        .reshape(len(images), -1)
        for images in (x, y)
    )
    return weight * jnp.square(f - g).sum(1) / jnp.maximum(jnp.square(f).sum(1), 1e-12)

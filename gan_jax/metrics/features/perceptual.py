"""A perceptual distance in the feature space of a classifier."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from gan_jax.metrics.features.extractor import Extractor


def perceptual(features: Extractor, weight: float) -> Partial:
    """A perceptual term for `invert`: `weight` times |f(x) - f(y)|^2 / |f(x)|^2 of the features f
    of target x and picture y, which are not rounded to 256 levels."""
    return Partial(functools.partial(_perceptual, features.function, weight), features.variables)


def _perceptual(function: Any, weight: float, variables: Any, x: jax.Array, y: jax.Array):
    f, g = (
        function(variables, 255 * jnp.clip(one, 0, 1)).astype(jnp.float32).reshape(len(one), -1)
        for one in (x, y)
    )
    return weight * jnp.square(f - g).sum(1) / jnp.maximum(jnp.square(f).sum(1), 1e-12)

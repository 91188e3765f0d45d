"""From the stored data set to the batches that networks see, inside the compiled program."""

import jax
import jax.numpy as jnp

from gan_jax.config import Config
from gan_jax.state import Batch


def scale(real: jax.Array, *, symmetric: bool) -> jax.Array:
    """uint8 pixels to float32 in [0, 1], or [-1, 1] if `symmetric`; float32 ones as they are."""
    if real.dtype != jnp.uint8:
        return real
    unit = real.astype(jnp.float32) / 255
    return unit * 2 - 1 if symmetric else unit


def take(config: Config, examples: Batch, chosen: jax.Array) -> Batch:
    """The chosen examples as the networks see them; leaves [*chosen.shape, ...]."""
    batch = jax.tree.map(lambda leaf: leaf[chosen], examples)
    return batch.replace(real=scale(batch.real, symmetric=config.data.symmetric))

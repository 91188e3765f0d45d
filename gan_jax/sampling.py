"""Samples from a generator: example i depends on the key and on i, not on how many are drawn."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import keys
from gan_jax.config import Config
from gan_jax.errors import UserError

_BATCH = 128  # examples in one program


def classes(config: Config) -> int:
    """How many class labels the generator is conditioned on, 0 for none."""
    return getattr(config.gen, "classes", 0)


def cycled_labels(config: Config, n: int) -> np.ndarray | None:
    """Labels 0, 1, 2, ... over and over, int32 [n]; None for an unconditional generator."""
    return np.arange(n, dtype=np.int32) % classes(config) if classes(config) else None


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _generate(
    gen: nn.Module,
    z_dim: int,
    latent: str,
    variables: Any,
    key: jax.Array,
    first: jax.Array,
    cond: Any,
) -> jax.Array:
    index = first + jnp.arange(_BATCH)
    z = keys.latents(jax.vmap(jax.random.fold_in, (None, 0))(key, index), z_dim, latent)
    return jnp.asarray(gen.apply(variables, z, cond, train=False), jnp.float32)


def sample(
    config: Config, variables: Any, key: jax.Array, n: int, cond: np.ndarray | None = None
) -> np.ndarray:
    """`n` examples float32 [n, ...] of the generator with `variables`, in evaluation mode.

    `cond` [n] are their labels, 0, 1, 2, ... in turn by default. Made in batches of one size, so
    that one program serves any n.
    """
    cond = cycled_labels(config, n) if cond is None else np.asarray(cond)
    if n < 1 or (cond is not None and len(cond) != n):
        raise UserError(f"{n} samples asked for, {n if cond is None else len(cond)} labels given")
    made = []
    for first in range(0, n, _BATCH):
        part = None if cond is None else np.resize(cond[first : first + _BATCH], _BATCH)
        what = (config.gen, config.z_dim, config.latent)
        made.append(_generate(*what, variables, key, first, part))
    return np.concatenate(jax.device_get(made))[:n]

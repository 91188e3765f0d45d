"""Samples from a generator: example i depends on the key and on i, not on how many are drawn."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import Config
from gan_jax.core import devices as core_devices
from gan_jax.core import keys
from gan_jax.core.errors import UserError

_BATCH = 128  # examples in one program


def num_classes(config: Config) -> int:
    """How many class labels the generator is conditioned on, 0 for none."""
    return config.gen.classes


def cycled_labels(config: Config, n: int, first: int = 0) -> np.ndarray | None:
    """Labels of examples `first` to `first` + n - 1: 0, 1, 2, ... over and over, int32 [n]; None
    for an unconditional generator."""
    if not (count := num_classes(config)):
        return None
    return (first + np.arange(n, dtype=np.int32)) % count


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _generate(
    gen: nn.Module,
    z_dim: int,
    latent: str,
    variables: Any,
    key: jax.Array,
    index: jax.Array,
    cond: Any,
) -> jax.Array:
    z = keys.latents(keys.indexed_keys(key, index), z_dim, latent)
    return jnp.asarray(gen.apply(variables, z, cond, train=False), jnp.float32)


def sample(
    config: Config,
    variables: Any,
    key: jax.Array,
    n: int,
    cond: Any = None,
    *,
    first: int = 0,
    devices: Sequence[jax.Device] | None = None,
) -> np.ndarray:
    """Examples `first` to `first` + n - 1 of the generator with `variables`, in evaluation mode:
    float32 [n, ...].

    `cond` (leaves [n, ...]) is what they are conditioned on; by default example i has label i mod
    classes. Made in batches of one size, so that one program serves any n; each is cut over
    `devices`, by default one. Raises UserError where n < 1, or cond is not of n examples.
    """
    if cond is None and config.masks.kinds:
        raise UserError(f"{config.name} repairs pictures: it needs some (gan-jax inpaint)")
    if cond is None and config.data.cond:
        raise UserError(f"{config.name} is conditioned on {config.data.cond}: it needs such arrays")
    if cond is None:
        cond = cycled_labels(config, n, first)
    elif isinstance(cond, list | tuple):
        cond = np.asarray(cond)
    given = {len(leaf) for leaf in jax.tree.leaves(cond)} or {n}
    if n < 1 or given != {n}:
        raise UserError(f"{n} samples asked for, {max(given)} labels given")
    devices = devices or jax.local_devices()[:1]
    devices = devices[: math.gcd(len(devices), _BATCH)]
    variables, key = core_devices.replicate((variables, key), devices)
    made = []
    for start in range(0, n, _BATCH):
        index = first + start + np.arange(_BATCH, dtype=np.int32)
        rows = (start + np.arange(_BATCH)) % n
        part = jax.tree.map(lambda leaf: leaf[rows], cond)  # noqa: B023
        index, part = core_devices.shard((index, part), devices)
        what = (config.gen, config.prior.dim, config.prior.distribution)
        made.append(_generate(*what, variables, key, index, part))
    return np.concatenate(jax.device_get(made))[:n]

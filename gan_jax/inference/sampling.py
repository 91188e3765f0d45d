"""Sampling from a generator.

Sample i depends only on the key, i and its condition, not on the number of samples.
"""

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
    """Return the number of classes that the generator is conditioned on, 0 for none."""
    return config.gen.classes


def cycled_labels(config: Config, n: int, first: int = 0) -> np.ndarray | None:
    """Return labels 0, 1, 2, ... in turn.

    Args:
        config: Config of the run.
        n: Number of examples.
        first: Index of the first example.

    Returns:
        Labels of examples `first` to `first` + n - 1, int32 [n]; None for unconditional generators.

    Example:
        >>> from gan_jax.networks import mlp
        >>> gen, disc = mlp.Generator((2,), (8,), classes=3), mlp.Discriminator((8,), classes=3)
        >>> config = Config(name="example", gen=gen, disc=disc, steps=1)
        >>> cycled_labels(config, 5).tolist()
        [0, 1, 2, 0, 1]
    """
    if not (count := num_classes(config)):
        return None
    return (first + np.arange(n, dtype=np.int32)) % count


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _generate(
    gen: nn.Module,
    z_dim: int,
    distribution: str,
    variables: Any,
    key: jax.Array,
    index: jax.Array,
    cond: Any,
) -> jax.Array:
    z = keys.latents(keys.indexed_keys(key, index), z_dim, distribution)
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
    """Generate samples, in evaluation mode.

    Samples are computed in batches of one size, so that one program serves any `n`.

    Args:
        config: Config of the run.
        variables: Variables of its generator.
        key: PRNG key of the latents.
        n: Number of samples.
        cond: Inputs to condition on, leaves [n, ...]. By default example i has label i mod classes.
        first: Index of the first sample.
        devices: Devices over which each batch is sharded; one by default.

    Returns:
        Samples `first` to `first` + n - 1, float32 [n, ...], in the range of the network.

    Raises:
        UserError: If `n` is below 1, or `cond` is missing or does not have `n` examples.

    Example:
        >>> from gan_jax.networks import mlp
        >>> gen, disc = mlp.Generator((2,), (8,)), mlp.Discriminator((8,))
        >>> config = Config(name="example", gen=gen, disc=disc, steps=1)
        >>> z = jnp.zeros((1, config.prior.dim))
        >>> variables = gen.init(jax.random.key(0), z, train=False)
        >>> sample(config, variables, jax.random.key(1), n=5).shape
        (5, 2)
    """
    if cond is None and config.masks.kinds:
        raise UserError(f"{config.name} inpaints: it needs images, see `gan-jax inpaint`")
    if cond is None and config.data.cond:
        raise UserError(f"{config.name} is conditioned on {config.data.cond}: it needs such arrays")
    if cond is None:
        cond = cycled_labels(config, n, first)
    elif isinstance(cond, list | tuple):
        cond = np.asarray(cond)
    if n < 1:
        raise UserError(f"n must be at least 1, got {n}")
    lengths = {len(leaf) for leaf in jax.tree.leaves(cond)} or {n}
    if lengths != {n}:
        raise UserError(f"cond must have {n} examples, got {max(lengths)}")
    devices = devices or jax.local_devices()[:1]
    devices = devices[: math.gcd(len(devices), _BATCH)]
    variables, key = core_devices.replicate((variables, key), devices)
    settings = (config.gen, config.prior.dim, config.prior.distribution)
    batches = []
    for start in range(0, n, _BATCH):
        index = first + start + np.arange(_BATCH, dtype=np.int32)
        rows = (start + np.arange(_BATCH)) % n
        part = jax.tree.map(lambda leaf: leaf[rows], cond)  # noqa: B023
        index, part = core_devices.shard((index, part), devices)
        batches.append(_generate(*settings, variables, key, index, part))
    return np.concatenate(jax.device_get(batches))[:n]

"""Members of a population: one config per seed and combination of swept values."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config.schema import Config, bind
from gan_jax.core import keys


def is_population(config: Config) -> bool:
    """Return whether the state and the metrics of a run have an axis of members."""
    return bool(config.seeds or config.sweep)


def sweep_cells(config: Config) -> list[dict[str, float]]:
    """Return all combinations of swept values, by field; without a sweep, one empty cell.

    Example:
        >>> from gan_jax.config.sweeps import Sweep
        >>> from gan_jax.networks import mlp
        >>> config = Config("example", mlp.Generator(), mlp.Discriminator(), steps=100)
        >>> sweep_cells(config.replace(sweep=(Sweep("gen_opt.lr", (0.1, 0.2)),)))
        [{'gen_opt.lr': 0.1}, {'gen_opt.lr': 0.2}]
    """
    names = [sweep.field for sweep in config.sweep]
    product = itertools.product(*(sweep.values for sweep in config.sweep))
    return [dict(zip(names, values, strict=True)) for values in product]


def member_configs(config: Config) -> list[Config]:
    """Return the config of each member; for a config without a population, the config itself."""
    seeds = config.seeds or (config.seed,)
    solo = config.replace(seeds=(), sweep=())
    return [bind(solo, {**cell, "seed": seed}) for cell in sweep_cells(config) for seed in seeds]


def root_keys(config: Config) -> jax.Array:
    """Return the root keys [members]; for a config without a population, one root key []."""
    member_keys = [keys.root_key(member.seed) for member in member_configs(config)]
    return jnp.stack(member_keys) if is_population(config) else member_keys[0]


def swept_values(config: Config) -> dict[str, np.ndarray]:
    """Return the value of each swept field for each member, float32 [members]."""
    cells = [cell for cell in sweep_cells(config) for _ in config.seeds or (config.seed,)]
    return {name: np.asarray([cell[name] for cell in cells], np.float32) for name in cells[0]}

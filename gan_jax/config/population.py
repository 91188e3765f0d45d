"""Members of a population: one config per seed and combination of swept values."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config.schema import Config, bind
from gan_jax.core import keys


def is_population(config: Config) -> bool:
    """Whether the run's state and metrics have an axis of members."""
    return bool(config.seeds or config.sweep)


def sweep_cells(config: Config) -> list[dict[str, float]]:
    """The product of the swept values, by field; one empty cell where nothing is swept."""
    names = [sweep.field for sweep in config.sweep]
    product = itertools.product(*(sweep.values for sweep in config.sweep))
    return [dict(zip(names, values, strict=True)) for values in product]


def member_configs(config: Config) -> list[Config]:
    """The members' own configs; of a config that is no population only itself."""
    seeds = config.seeds or (config.seed,)
    solo = config.replace(seeds=(), sweep=())
    return [bind(solo, {**cell, "seed": seed}) for cell in sweep_cells(config) for seed in seeds]


def root_keys(config: Config) -> jax.Array:
    """The members' root keys [members]; of a config that is no population its one root key."""
    found = [keys.root_key(one.seed) for one in member_configs(config)]
    return jnp.stack(found) if is_population(config) else found[0]


def swept_values(config: Config) -> dict[str, np.ndarray]:
    """The members' values of each swept field, float32 [members]."""
    found = [cell for cell in sweep_cells(config) for _ in config.seeds or (config.seed,)]
    return {name: np.asarray([one[name] for one in found], np.float32) for name in found[0]}

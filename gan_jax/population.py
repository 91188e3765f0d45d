"""Many GANs in one program: the members of a config with several seeds or swept numbers.

Every member is the run that its own config alone would be: `members` gives these configs, `member`
one of them with its part of the population's state. The order is that of nested loops, the first
sweep outermost, the seeds innermost. In a program all members share one config whose swept numbers
are traced (`bind`), so they may be whatever does not decide the program's shape.
"""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import keys
from gan_jax.config import Config
from gan_jax.state import Batch, TrainState, init_state


def is_population(config: Config) -> bool:
    """Whether the run's state and metrics have an axis of members."""
    return bool(config.seeds or config.sweep)


def _replace(tree: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    return dataclasses.replace(
        tree, **{name: _replace(getattr(tree, name), rest, value) if rest else value}
    )


def bind(config: Config, values: dict[str, Any]) -> Config:
    """The config with other values, numbers or traced scalars, by dotted field name."""
    for field, value in values.items():
        config = _replace(config, field.split("."), value)
    return config


def cells(config: Config) -> list[dict[str, float]]:
    """The product of the swept values, by field; one empty cell where nothing is swept."""
    names = [sweep.field for sweep in config.sweep]
    product = itertools.product(*(sweep.values for sweep in config.sweep))
    return [dict(zip(names, values, strict=True)) for values in product]


def members(config: Config) -> list[Config]:
    """The members' own configs; of a config that is no population only itself."""
    seeds = config.seeds or (config.seed,)
    solo = dataclasses.replace(config, seeds=(), sweep=())
    return [bind(solo, {**cell, "seed": seed}) for cell in cells(config) for seed in seeds]


def roots(config: Config) -> jax.Array:
    """The members' root keys [members]; of a config that is no population its one root key."""
    found = [keys.root(one.seed) for one in members(config)]
    return jnp.stack(found) if is_population(config) else found[0]


def swept(config: Config) -> dict[str, np.ndarray]:
    """The members' values of each swept field, float32 [members]."""
    found = [cell for cell in cells(config) for _ in config.seeds or (config.seed,)]
    return {name: np.asarray([one[name] for one in found], np.float32) for name in found[0]}


def init(config: Config, keys: jax.Array, batch: Batch) -> TrainState:
    """The state before the first step (`state.init_state`), of a population with a leading axis of
    members on all leaves but `step`. `keys` are `roots(config)`."""
    if not is_population(config):
        return init_state(config, keys, batch)

    def one(key: jax.Array, values: dict[str, Any]) -> TrainState:
        return init_state(bind(config, values), key, batch).replace(step=None)

    return jax.vmap(one)(keys, swept(config)).replace(step=jnp.zeros((), jnp.int32))


def select(config: Config, tree: Any, number: int) -> Any:
    """One member's part of what has an axis of members; of no population the whole."""
    return jax.tree.map(lambda leaf: leaf[number], tree) if is_population(config) else tree


def member(config: Config, state: TrainState, number: int) -> tuple[Config, TrainState]:
    """One member as a run of its own: its config and its state."""
    rest = select(config, state.replace(step=None), number)
    return members(config)[number], rest.replace(step=state.step)

"""Training state of a population: GANs of several seeds or swept values in one program.

Each member is the run that its own config describes: `member_configs` lists these configs, and
`member_run` returns one of them with its part of the state. Members are in the order of nested
loops, with the first sweep outermost and the seeds innermost. In a program all members share one
config with traced swept values (`bind`), so a swept field must not change the program's shapes.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gan_jax.config import Config
from gan_jax.config.population import bind, is_population, member_configs, swept_values
from gan_jax.data.batch import Batch
from gan_jax.training.state import TrainState, init_state


def init_population(config: Config, keys: jax.Array, batch: Batch) -> TrainState:
    """Initialize the state of a run or a population before the first step.

    Args:
        config: Config of the run, which may be a population.
        keys: Root keys of the members, from `config.population.root_keys`; a single key for a run
            that is no population.
        batch: Batch with leaves [n, ...], used for its shapes and dtypes alone.

    Returns:
        The state. In a population, all leaves but `step` have a leading axis of members.
    """
    if not is_population(config):
        return init_state(config, keys, batch)

    def init_member(key: jax.Array, values: dict[str, Any]) -> TrainState:
        return init_state(bind(config, values), key, batch).replace(step=None)

    return jax.vmap(init_member)(keys, swept_values(config)).replace(step=jnp.zeros((), jnp.int32))


def select_member(config: Config, tree: Any, index: int) -> Any:
    """Select one member of a pytree whose leaves have a leading axis of members.

    Args:
        config: Config of the run, which may be a population.
        tree: Pytree with leaves [members, ...].
        index: Index of the member.

    Returns:
        The pytree of the member; `tree` itself if the run is no population.
    """
    return jax.tree.map(lambda leaf: leaf[index], tree) if is_population(config) else tree


def member_run(config: Config, state: TrainState, index: int) -> tuple[Config, TrainState]:
    """Extract one member of a population as a run with its own config.

    Args:
        config: Config of the run, which may be a population.
        state: State of the run.
        index: Index of the member.

    Returns:
        The config and the state of the member.
    """
    member_state = select_member(config, state.replace(step=None), index)
    return member_configs(config)[index], member_state.replace(step=state.step)

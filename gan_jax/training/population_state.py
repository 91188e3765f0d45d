"""Many GANs in one program: the members of a config with several seeds or swept numbers.

Every member is the run that its own config alone would be: `members` gives these configs, `member`
one of them with its part of the population's state. The order is that of nested loops, the first
sweep outermost, the seeds innermost. In a program all members share one config whose swept numbers
are traced (`bind`), so they may be whatever does not decide the program's shape.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gan_jax.config import Config
from gan_jax.config.population import bind, is_population, member_configs, swept_values
from gan_jax.data.batch import Batch
from gan_jax.training.state import TrainState, init_state


def init_population(config: Config, keys: jax.Array, batch: Batch) -> TrainState:
    """The state before the first step (`state.init_state`), of a population with a leading axis of
    members on all leaves but `step`. `keys` are `roots(config)`."""
    if not is_population(config):
        return init_state(config, keys, batch)

    def one(key: jax.Array, values: dict[str, Any]) -> TrainState:
        return init_state(bind(config, values), key, batch).replace(step=None)

    return jax.vmap(one)(keys, swept_values(config)).replace(step=jnp.zeros((), jnp.int32))


def select_member(config: Config, tree: Any, index: int) -> Any:
    """One member's part of what has an axis of members; of no population the whole."""
    return jax.tree.map(lambda leaf: leaf[index], tree) if is_population(config) else tree


def member_run(config: Config, state: TrainState, index: int) -> tuple[Config, TrainState]:
    """One member as a run of its own: its config and its state."""
    rest = select_member(config, state.replace(step=None), index)
    return member_configs(config)[index], rest.replace(step=state.step)

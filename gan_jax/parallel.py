"""Devices and whole chunks of steps: the only file that says pmap, or loops over steps.

A chunk is one program: it takes the state, how many steps to do, and the data set, which rests on
every device as it is stored (uint8 pixels); it picks each step's examples itself, trains, and
returns the state and a row of metrics a step. The number of steps is an argument, not a constant,
so a run has one program whatever its chunks are, and where they are cut changes no bit.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax import population
from gan_jax.config import Config
from gan_jax.data.feeds import take
from gan_jax.data.order import indices
from gan_jax.errors import UserError
from gan_jax.state import Batch, Metrics, TrainState
from gan_jax.step import make_train_step

AXIS = "devices"
Chunk = Callable[[TrainState, int, Batch], tuple[TrainState, Metrics]]


def pick_devices(count: int | None, batch_size: int) -> list[jax.Device]:
    """The first `count` devices of this process, or all. Raises UserError if there are fewer, or if
    they cannot share the batch evenly."""
    found = jax.local_devices()
    count = len(found) if count is None else count
    if not 1 <= count <= len(found):
        hint = (
            f"; on CPUs, XLA_FLAGS=--xla_force_host_platform_device_count={count} makes that many"
        )
        raise UserError(
            f"devices is {count}: it must be from 1 to {len(found)}, the devices found"
            + (hint if count > 1 and found[0].platform == "cpu" else "")
        )
    if batch_size % count:
        raise UserError(f"batch_size is {batch_size}: it must be divisible by the {count} devices")
    return found[:count]


def place(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """The pytree whole on each of the devices: where a chunk wants its state and its data."""
    mesh = Mesh(np.asarray(devices), (AXIS,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def make_chunk(
    config: Config, devices: Sequence[jax.Device], longest: int, at_once: int | None = None
) -> Chunk:
    """chunk(state, steps, examples) -> (state, metrics): `steps` train steps, at most `longest`.

    `state` and `examples` (leaves [examples, ...]) must have been placed; `state` is consumed.
    Metrics have leaves [longest], of which the first `steps` count; of a population [members,
    longest]. Its members train in groups of `at_once` (by default all together): one group does
    all the steps, then the next.
    """
    axis = AXIS if len(devices) > 1 else None
    shards, n = len(devices), config.batch_size // len(devices)

    def solo(config: Config, state: TrainState, steps: Any, examples: Batch, shard: Any):
        train_step = jax.jit(make_train_step(config, axis))  # one trace serves both uses below

        def one_step(state: TrainState) -> tuple[TrainState, Metrics]:
            total = len(examples.real)
            chosen = indices(state.key, state.step, config.n_critic, config.batch_size, total)
            chosen = lax.dynamic_slice_in_dim(chosen, shard * n, n, axis=1)
            return train_step(state, take(config, examples, chosen))

        def body(done: jax.Array, carry: tuple[TrainState, Metrics]):
            state, metrics = one_step(carry[0])
            return state, jax.tree.map(lambda rows, row: rows.at[done].set(row), carry[1], metrics)

        rows = jax.tree.map(
            lambda row: jnp.zeros((longest, *row.shape), row.dtype),
            jax.eval_shape(one_step, state)[1],
        )
        return lax.fori_loop(0, steps, body, (state, rows))

    def every_member(state: TrainState, steps: Any, examples: Batch, shard: Any):
        def one(member: tuple[TrainState, dict[str, Any]]) -> tuple[TrainState, Metrics]:
            rest, values = member  # the step is everyone's: what depends on it alone is not mapped
            mine = population.bind(config, values)
            mine, rows = solo(mine, rest.replace(step=state.step), steps, examples, shard)
            return mine.replace(step=None), rows

        everyone = (state.replace(step=None), population.swept(config))
        if at_once is None or at_once >= len(population.members(config)):
            rest, rows = jax.vmap(one)(everyone)
        else:
            rest, rows = lax.map(one, everyone, batch_size=at_once if at_once > 1 else None)
        return rest.replace(step=state.step + steps), rows

    def chunk(state: TrainState, steps: Any, examples: Batch, shard: Any):
        if population.is_population(config):
            return every_member(state, steps, examples, shard)
        return solo(config, state, steps, examples, shard)

    if axis is None:
        program = jax.jit(chunk, donate_argnums=0)
        return lambda state, steps, examples: program(state, np.int32(steps), examples, np.int32(0))
    program = jax.pmap(
        chunk,
        axis_name=axis,
        in_axes=(None, None, None, 0),
        out_axes=(None, None),
        devices=devices,
        donate_argnums=0,
    )
    numbers = np.arange(shards, dtype=np.int32)
    return lambda state, steps, examples: program(state, np.int32(steps), examples, numbers)

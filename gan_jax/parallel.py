"""Whole chunks of steps, on one device or several, of one process or many, of one GAN or many.

The only file that says pmap, vmaps over members, or loops over steps. A chunk is one program: it
takes the state, how many steps to do, and the data; it picks each step's examples itself, trains,
and returns the state and a row of metrics a step. The number of steps is an argument, not a
constant, so a run has one program whatever its chunks are, and where they are cut changes no bit.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax import memory, population, remat
from gan_jax.config import Config
from gan_jax.data.feeds import Block, batch_at
from gan_jax.placement import AXIS, local_places
from gan_jax.pretrain import make_train_step
from gan_jax.state import Batch, Metrics, TrainState

FEW_PARAMETERS = 100_000
Data = Batch | Block  # a whole set, which rests on every device; or the batches of some steps


class Chunk:
    """chunk(state, steps, data) -> (state, metrics), compiled at the first call."""

    def __init__(self, program: Callable[[Any], Any], *last: Any):
        """Of program(data), the function to compile, and what it takes after state, steps, data."""
        self.program, self.last = program, last
        self._compiled: dict[Any, Any] = {}

    def __call__(self, state: TrainState, steps: int, data: Data) -> tuple[TrainState, Metrics]:
        args = state, np.int32(steps), data, *self.last
        if jax.process_count() > 1:  # compiled ahead, `pmap` wants other processes' shards (0.12)
            return self.program(data)(*args)
        leaves, structure = jax.tree.flatten(args)
        kind = structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if kind not in self._compiled:
            self._compiled[kind] = self.program(data).lower(*args).compile()
        return self._compiled[kind](*args)

    def memory(self) -> dict[str, int] | None:
        """What the program compiled last takes of each device (gan_jax/memory.py)."""
        return memory.of_program([*self._compiled.values()][-1]) if self._compiled else None


def members_at_once(config: Config, state: TrainState, devices: Sequence[jax.Device]) -> int:
    """How many members train at a time where nobody says: all; on CPUs one if they are large.

    There one large network fills the machine already, and products batched over members fill it
    less: on two cores eight members of 370,000 parameters took 1.27 times as long together as one
    after another, of 35,000 parameters 0.78 times.
    """
    members = len(population.members(config))
    parameters = sum(leaf.size for leaf in jax.tree.leaves((state.gen.params, state.disc.params)))
    large = parameters > FEW_PARAMETERS * members
    return 1 if large and devices[0].platform == "cpu" else members


def make_chunk(
    config: Config, devices: Sequence[jax.Device], longest: int, at_once: int | None = None
) -> Chunk:
    """chunk(state, steps, data) -> (state, metrics): `steps` train steps, at most `longest`.

    `state` must have been placed, and is consumed; `data` is what gan_jax/data/feeds.py yields.
    Metrics have leaves [longest], of which the first `steps` count; of a population [members,
    longest]. Its members train in groups of `at_once` (by default all together): one group does
    all the steps, then the next.
    """
    axis = AXIS if len(devices) > 1 else None
    members = len(population.members(config))

    def train(config: Config, state: TrainState, steps: Any, data: Data, shard: Any):
        step = remat.inside(make_train_step(config, axis), config.remat)
        train_step = jax.jit(step)  # one trace serves both uses below

        def one_step(state: TrainState) -> tuple[TrainState, Metrics]:
            batch = batch_at(config, data, state.key, state.step, shard, len(devices))
            return train_step(state, batch)

        def body(done: jax.Array, carry: tuple[TrainState, Metrics]):
            state, metrics = one_step(carry[0])
            return state, jax.tree.map(lambda rows, row: rows.at[done].set(row), carry[1], metrics)

        rows = jax.tree.map(
            lambda row: jnp.zeros((longest, *row.shape), row.dtype),
            jax.eval_shape(one_step, state)[1],
        )
        return lax.fori_loop(0, steps, body, (state, rows))

    def train_members(state: TrainState, steps: Any, data: Data, shard: Any):
        own = data if isinstance(data, Block) else None  # every member has batches of its own

        def one(member: tuple[TrainState, dict[str, Any], Block | None]):
            rest, values, block = member
            start = rest.replace(step=state.step)  # everyone's: what needs it alone is not mapped
            mine = population.bind(config, values)
            end, rows = train(mine, start, steps, data if block is None else block, shard)
            return end.replace(step=None), rows

        everyone = (state.replace(step=None), population.swept(config), own)
        if at_once is None or at_once >= members:
            rest, rows = jax.vmap(one)(everyone)
        else:
            rest, rows = lax.map(one, everyone, batch_size=at_once if at_once > 1 else None)
        return rest.replace(step=state.step + steps), rows

    def chunk(state: TrainState, steps: Any, data: Data, shard: Any):
        if population.is_population(config):
            return train_members(state, steps, data, shard)
        return train(config, state, steps, data, shard)

    if axis is None:

        def alone(state: TrainState, steps: Any, data: Data):
            one = jax.tree.map(lambda leaf: leaf[0], data) if isinstance(data, Block) else data
            return chunk(state, steps, one, 0)

        program = jax.jit(alone, donate_argnums=0)
        return Chunk(lambda _: program)

    def sharded(data_axis: int | None) -> Callable:
        return jax.pmap(
            chunk,
            axis_name=axis,
            in_axes=(None, None, data_axis, 0),
            out_axes=(None, None),
            devices=devices,
            donate_argnums=0,
        )

    whole, blocks = sharded(None), sharded(0)
    numbers = np.asarray(local_places(devices), np.int32)
    return Chunk(lambda data: blocks if isinstance(data, Block) else whole, numbers)


def compile_step(config: Config, devices: Sequence[jax.Device], state: Any, batch: Any) -> Any:
    """One train step for several devices, as a chunk holds it, compiled and not run: what it costs
    can be read off the jax.stages.Compiled. `state` and the whole `batch`, leaves [n_critic, n,
    ...], may be ShapeDtypeStructs."""
    shards = len(devices)

    def cut(leaf: Any) -> jax.ShapeDtypeStruct:
        critic, n, *rest = leaf.shape
        return jax.ShapeDtypeStruct((shards, critic, n // shards, *rest), leaf.dtype)

    step = make_train_step(config, AXIS)
    mapped = jax.pmap(step, AXIS, in_axes=(None, 0), out_axes=None, devices=devices)
    return mapped.lower(state, jax.tree.map(cut, batch)).compile()

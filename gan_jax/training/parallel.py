"""Whole runs as programs: scan over steps, vmap over members, pmap over devices.

The only file that says pmap, maps over members, or loops over steps. A program takes the state, the
number of steps, and the data; it picks each step's examples itself, trains, and returns the state
and one row of metrics per step. The number of steps is an argument, not a constant, so a run
compiles one program, and where it is cut into calls changes no bit.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax.config import Config, population
from gan_jax.core import memory
from gan_jax.core.devices import AXIS, local_indices
from gan_jax.data.batch import Batch
from gan_jax.data.feeds import Block, batch_at
from gan_jax.training.pretrain import with_pretraining
from gan_jax.training.remat import rematerialize
from gan_jax.training.state import Metrics, TrainState
from gan_jax.training.step import TrainStep, make_train_step

LARGE_NETWORK = 100_000
Data = Batch | Block  # a whole set, which rests on every device; or the batches of some steps
# (state, steps, data, shard) -> (state, metrics), where `shard` numbers the device.
Function = Callable[[TrainState, Array, Data, Array], tuple[TrainState, Metrics]]


class Program:
    """A compiled function (state, steps, data) -> (state, metrics).

    Metrics have leaves [longest], for a population [members, longest], of which the first `steps`
    count. The state must be placed (gan_jax/core/devices.py) and is consumed.
    """

    def __init__(self, function: Callable[[Data], Any], *arguments: Any):
        """Store the function to compile for a kind of data, and its last arguments."""
        self.function, self.arguments = function, arguments
        self._compiled: dict[Any, Any] = {}

    def __call__(self, state: TrainState, steps: int, data: Data) -> tuple[TrainState, Metrics]:
        """Train for some steps; compile at the first call."""
        args = state, np.int32(steps), data, *self.arguments
        if jax.process_count() > 1:  # compiled ahead, `pmap` wants other processes' shards (0.12)
            return self.function(data)(*args)
        leaves, structure = jax.tree.flatten(args)
        kind = structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if kind not in self._compiled:
            self._compiled[kind] = self.function(data).lower(*args).compile()
        return self._compiled[kind](*args)

    def memory(self) -> dict[str, int] | None:
        """Memory that the last compiled program takes on each device (gan_jax/core/memory.py)."""
        return memory.program_memory([*self._compiled.values()][-1]) if self._compiled else None


def make_program(
    config: Config,
    devices: Sequence[jax.Device],
    max_steps: int,
    max_concurrent_members: int | None = None,
    *,
    microbatch: int = 0,
    remat: bool = False,
) -> Program:
    """Compose the program of a run: scan over steps, vmap over members, pmap over devices.

    Args:
        config: The run, or a population.
        devices: Devices that share each batch.
        longest: Most steps of one call.
        at_once: Members that train together; None: all. Each group does all its steps before the
            next one starts.
        microbatch: Examples that a device processes at a time, accumulating gradients; 0 for all.
        remat: Recompute the activations inside of blocks for gradients.

    Returns:
        The program, a function (state, steps, data) -> (state, metrics). `data` is what
        gan_jax/data/feeds.py yields.
    """
    train = partial(
        loop_steps, max_steps=max_steps, shards=len(devices), microbatch=microbatch, remat=remat
    )
    if population.is_population(config):
        function = partial(vmap_members, train, config, max_concurrent_members)
    else:
        function = partial(train, config)
    return pmap_devices(function, devices) if len(devices) > 1 else jit_device(function)


def make_step_with_pretraining(config: Config, axis: str | None, microbatch: int = 0) -> TrainStep:
    """Make the train step of a config, including pretraining.

    Args:
        config: The run, or a member of a population with its swept values bound.
        axis: Name of the mapped device axis that shards the batch; None on one device.
        microbatch: Examples that a device processes at a time, accumulating gradients; 0 for all.

    Returns:
        A pure function (state, batch) -> (state, metrics).
    """
    train_step = make_train_step(config, axis, microbatch=microbatch)
    return with_pretraining(train_step, config, axis, microbatch=microbatch)


def loop_steps(
    config: Config,
    state: TrainState,
    steps: Array,
    data: Data,
    shard: Array,
    *,
    max_steps: int,
    shards: int,
    microbatch: int = 0,
    remat: bool = False,
) -> tuple[TrainState, Metrics]:
    """Train one GAN for `steps` steps.

    Args:
        config: The run, or a member of a population with its swept values bound.
        state: State before the steps.
        steps: Number of steps, at most `longest`.
        data: The data set, or this shard's batches of the steps.
        shard: Number of the device among those that share each batch.
        longest: Rows of the metrics.
        shards: Devices that share each batch.
        microbatch: Examples that a device processes at a time, accumulating gradients; 0 for all.
        remat: Recompute the activations inside of blocks for gradients.

    Returns:
        The state after the steps, and metrics with leaves [longest].
    """
    step = make_step_with_pretraining(config, AXIS if shards > 1 else None, microbatch)
    train_step = jax.jit(rematerialize(step, remat))  # one trace serves both uses below

    def next_step(state: TrainState) -> tuple[TrainState, Metrics]:
        batch = batch_at(config, data, state.key, state.step, shard, shards)
        return train_step(state, batch)

    def body(i: Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        state, metrics = next_step(carry[0])
        return state, jax.tree.map(lambda rows, row: rows.at[i].set(row), carry[1], metrics)

    shapes = jax.eval_shape(next_step, state)[1]
    rows = jax.tree.map(lambda row: jnp.zeros((max_steps, *row.shape), row.dtype), shapes)
    return lax.fori_loop(0, steps, body, (state, rows))


def vmap_members(
    train: Callable[..., tuple[TrainState, Metrics]],
    config: Config,
    max_concurrent_members: int | None,
    state: TrainState,
    steps: Array,
    data: Data,
    shard: Array,
) -> tuple[TrainState, Metrics]:
    """Train all members of a population.

    Args:
        train: Function (config, state, steps, data, shard) -> (state, metrics) of one member.
        config: The population.
        at_once: Members that train together; None: all.
        state: State of the population: all leaves but `step` have an axis of members.
        steps: Number of steps.
        data: The data set, or this shard's batches of all members.
        shard: Number of the device among those that share each batch.

    Returns:
        The state after the steps, and metrics with leaves [members, ...].
    """

    def train_member(
        member: tuple[TrainState, dict[str, Any], Block | None],
    ) -> tuple[TrainState, Metrics]:
        own_state, values, block = member
        # The step is not mapped: decisions that depend on it alone stay a `cond` for all members.
        start = own_state.replace(step=state.step)
        own_data = data if block is None else block
        end, metrics = train(population.bind(config, values), start, steps, own_data, shard)
        return end.replace(step=None), metrics

    blocks = data if isinstance(data, Block) else None  # batches of each member
    members = (state.replace(step=None), population.swept_values(config), blocks)
    if max_concurrent_members is None or max_concurrent_members >= len(
        population.member_configs(config)
    ):
        end, metrics = jax.vmap(train_member)(members)
    else:
        batch_size = max_concurrent_members if max_concurrent_members > 1 else None
        end, metrics = lax.map(train_member, members, batch_size=batch_size)
    return end.replace(step=state.step + steps), metrics


def jit_device(function: Function) -> Program:
    """Compile a function for one device."""

    def alone(state: TrainState, steps: Array, data: Data) -> tuple[TrainState, Metrics]:
        if isinstance(data, Block):
            data = jax.tree.map(lambda leaf: leaf[0], data)  # of the only shard
        return function(state, steps, data, 0)  # pyright: ignore[reportArgumentType]

    program = jax.jit(alone, donate_argnums=0)
    return Program(lambda _: program)


def pmap_devices(function: Function, devices: Sequence[jax.Device]) -> Program:
    """Compile a function for several devices that share each batch."""
    whole, blocks = (
        jax.pmap(
            function,
            axis_name=AXIS,
            in_axes=(None, None, data_axis, 0),
            out_axes=(None, None),
            devices=devices,
            donate_argnums=0,
        )
        for data_axis in (None, 0)
    )
    shards = np.asarray(local_indices(devices), np.int32)
    return Program(lambda data: blocks if isinstance(data, Block) else whole, shards)


def default_max_concurrent_members(
    config: Config, state: TrainState, devices: Sequence[jax.Device]
) -> int:
    """Choose how many members of a population train at a time: all, or one large one on CPUs.

    There one large network fills the machine already, and products batched over members fill it
    less: on two cores eight members of 370,000 parameters took 1.27 times as long together as one
    after another, of 35,000 parameters 0.78 times.

    Args:
        config: The population.
        state: Its state.
        devices: Devices that train it.

    Returns:
        A number from 1 to the number of members.
    """
    members = len(population.member_configs(config))
    parameters = sum(leaf.size for leaf in jax.tree.leaves((state.gen.params, state.disc.params)))
    large = parameters > LARGE_NETWORK * members
    return 1 if large and devices[0].platform == "cpu" else members


def compile_step(config: Config, devices: Sequence[jax.Device], state: Any, batch: Any) -> Any:
    """Compile one train step for several devices, as programs hold it, without running it.

    Args:
        config: The run.
        devices: Devices that share each batch.
        state: State of the run; shapes and dtypes suffice.
        batch: The whole batch, leaves [n_critic, n, ...]; shapes and dtypes suffice.

    Returns:
        The `jax.stages.Compiled`, from which its cost can be read.
    """

    def shard(leaf: Any) -> jax.ShapeDtypeStruct:
        critic, n, *rest = leaf.shape
        shape = (len(devices), critic, n // len(devices), *rest)
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    step = make_step_with_pretraining(config, AXIS)
    mapped = jax.pmap(step, AXIS, in_axes=(None, 0), out_axes=None, devices=devices)
    return mapped.lower(state, jax.tree.map(shard, batch)).compile()

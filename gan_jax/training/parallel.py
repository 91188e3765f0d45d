"""Compiled programs of a run: loop over steps, vmap over members, pmap over devices.

This file composes the transformations of a training run. A program takes the state, the number of
steps and the data. It selects the examples of each step, trains, and returns the state and one row
of metrics per step. The number of steps is an argument, not a constant, so a run compiles a single
program, and results do not depend on how the run is divided into calls.

Batches are sharded by pmap, as the goals of the project require. The step is written for the share
of one device and the name of the mapped axis, so its reductions over devices are explicit.
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

LARGE_NETWORK = 100_000  # parameters of both networks
Data = Batch | Block  # the data set, resident on every device; or the batches of some steps
# (state, steps, data, shard) -> (state, metrics), where `shard` is the index of the device.
Function = Callable[[TrainState, Array, Data, Array], tuple[TrainState, Metrics]]


class Program:
    """A compiled function (state, steps, data) -> (state, metrics).

    Metrics have leaves [max_steps], or [members, max_steps] for a population; only the first
    `steps` entries are valid. The state must be on the devices (gan_jax/core/devices.py), and its
    buffers are donated.
    """

    def __init__(self, function: Callable[[Data], Any], *arguments: Any):
        """Create a program, without compiling it.

        Args:
            function: Function from the data to the jitted function that trains on data of its type.
            *arguments: Last arguments of the jitted function.
        """
        self.function, self.arguments = function, arguments
        self._compiled: dict[Any, Any] = {}

    def __call__(self, state: TrainState, steps: int, data: Data) -> tuple[TrainState, Metrics]:
        """Train for `steps` steps. The first call compiles."""
        args = state, np.int32(steps), data, *self.arguments
        if jax.process_count() > 1:  # `pmap` compiled ahead of time needs all shards (jax 0.12)
            return self.function(data)(*args)
        leaves, structure = jax.tree.flatten(args)
        signature = structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if signature not in self._compiled:
            self._compiled[signature] = self.function(data).lower(*args).compile()
        return self._compiled[signature](*args)

    def memory(self) -> dict[str, int] | None:
        """Return the memory per device of the last compiled program (gan_jax/core/memory.py)."""
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
    """Compose the program of a run: loop over steps, vmap over members, pmap over devices.

    Args:
        config: Config of the run, which may be a population.
        devices: Devices that share each batch.
        max_steps: Maximum number of steps per call.
        max_concurrent_members: Number of population members trained concurrently; None for all.
            Each group of members completes all steps of a call before the next group starts.
        microbatch: Examples per device and microbatch, for gradient accumulation; 0 for the whole
            batch.
        remat: Recompute the activations inside blocks during the backward pass.

    Returns:
        The program, a function (state, steps, data) -> (state, metrics). `data` comes from
        gan_jax/data/feeds.py.
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
    """Make the train step of a config, with its pretraining phase.

    Args:
        config: Config of the run, or of a population member with its swept values bound.
        axis: Name of the mapped device axis that shards the batch; None on one device.
        microbatch: Examples per device and microbatch, for gradient accumulation; 0 for the whole
            batch.

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
    """Train a single GAN for `steps` steps.

    Args:
        config: Config of the run, or of a population member with its swept values bound.
        state: State before the steps.
        steps: Number of steps, at most `max_steps`.
        data: The data set, or the batches of this shard for the steps.
        shard: Index of the device among those that share each batch.
        max_steps: Number of rows of the metrics.
        shards: Number of devices that share each batch.
        microbatch: Examples per device and microbatch, for gradient accumulation; 0 for the whole
            batch.
        remat: Recompute the activations inside blocks during the backward pass.

    Returns:
        The state after the steps, and metrics with leaves [max_steps].
    """
    step = make_step_with_pretraining(config, AXIS if shards > 1 else None, microbatch)
    train_step = jax.jit(rematerialize(step, remat))  # traced once for the two uses below

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
        config: Config of the population.
        max_concurrent_members: Number of members trained concurrently; None for all.
        state: State of the population: all leaves but `step` have an axis of members.
        steps: Number of steps.
        data: The data set, or the batches of this shard for all members.
        shard: Index of the device among those that share each batch.

    Returns:
        The state after the steps, and metrics with leaves [members, ...].
    """

    def train_member(
        member: tuple[TrainState, dict[str, Any], Block | None],
    ) -> tuple[TrainState, Metrics]:
        member_state, values, block = member
        # The step is not mapped: a `cond` on the step alone then stays a `cond` under vmap.
        start = member_state.replace(step=state.step)
        member_data = data if block is None else block
        end, metrics = train(population.bind(config, values), start, steps, member_data, shard)
        return end.replace(step=None), metrics

    num_members = len(population.member_configs(config))
    concurrent = max_concurrent_members or num_members
    blocks = data if isinstance(data, Block) else None  # batches per member
    members = (state.replace(step=None), population.swept_values(config), blocks)
    if concurrent >= num_members:
        end, metrics = jax.vmap(train_member)(members)
    else:
        batch_size = concurrent if concurrent > 1 else None
        end, metrics = lax.map(train_member, members, batch_size=batch_size)
    return end.replace(step=state.step + steps), metrics


def jit_device(function: Function) -> Program:
    """Make a program for a single device."""

    def train_on_device(state: TrainState, steps: Array, data: Data) -> tuple[TrainState, Metrics]:
        if isinstance(data, Block):
            data = jax.tree.map(lambda leaf: leaf[0], data)  # blocks have an axis of shards
        return function(state, steps, data, 0)  # pyright: ignore[reportArgumentType]

    jitted = jax.jit(train_on_device, donate_argnums=0)
    return Program(lambda _: jitted)


def pmap_devices(function: Function, devices: Sequence[jax.Device]) -> Program:
    """Make a program for several devices that share each batch."""
    resident, streamed = (
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
    return Program(lambda data: streamed if isinstance(data, Block) else resident, shards)


def default_max_concurrent_members(
    config: Config, state: TrainState, devices: Sequence[jax.Device]
) -> int:
    """Choose the number of members to train concurrently: all, or one if large on CPU.

    On CPU a large network already uses all cores, and products batched over members use them less
    well. On two cores, training eight members concurrently took 1.27 times as long as one after
    another at 370,000 parameters per member, and 0.78 times as long at 35,000.

    Args:
        config: Config of the population.
        state: State of the population.
        devices: Devices that share each batch.

    Returns:
        1, or the number of members.
    """
    members = len(population.member_configs(config))
    parameters = sum(leaf.size for leaf in jax.tree.leaves((state.gen.params, state.disc.params)))
    large = parameters > LARGE_NETWORK * members
    return 1 if large and devices[0].platform == "cpu" else members


def compile_step(config: Config, devices: Sequence[jax.Device], state: Any, batch: Any) -> Any:
    """Compile a single train step for several devices, to analyze it.

    Args:
        config: Config of the run.
        devices: Devices that share each batch.
        state: State of the run; shapes and dtypes suffice.
        batch: The whole batch, leaves [n_critic, n, ...]; shapes and dtypes suffice.

    Returns:
        The `jax.stages.Compiled` step, with its HLO text and cost analysis.
    """

    def shard(leaf: Any) -> jax.ShapeDtypeStruct:
        critic, n, *rest = leaf.shape
        shape = (len(devices), critic, n // len(devices), *rest)
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    step = make_step_with_pretraining(config, AXIS)
    mapped = jax.pmap(step, AXIS, in_axes=(None, 0), out_axes=None, devices=devices)
    return mapped.lower(state, jax.tree.map(shard, batch)).compile()

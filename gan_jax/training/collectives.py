"""List of the collective operations of a train step, from its compiled program."""

import dataclasses
import math
import re
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from gan_jax.config import Config, population
from gan_jax.data import feeds, sources
from gan_jax.data.sources import Dataset
from gan_jax.training import parallel, population_state
from gan_jax.training.update import ALL_REDUCE

GRADIENTS, LOGITS = "gradients and metrics", "logits"
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "f64": 8}
_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
_LINE = re.compile(rf"= (.*?) ({_KINDS})(?:-start)?\((.*)")


@dataclasses.dataclass(frozen=True)
class Collective:
    """A collective operation of a compiled program."""

    kind: str
    """Name of the operation in XLA: all-reduce, all-gather, reduce-scatter, ..."""
    source: str
    """Origin of the operation: `gradients and metrics` (the all-reduce of an update), `logits` (the
    gather of logits for losses over the whole batch, and its gradient), or the class of a layer."""
    bytes: int
    """Size of the full array on each device, before a reduce-scatter or after other operations."""
    count: int
    """Number of executions in a train step: once, or once per discriminator update. Lazy terms
    execute theirs only when they are due."""


def compiled_step(
    config: Config, dataset: Dataset, devices: Sequence[jax.Device]
) -> jax.stages.Compiled:
    """Compile the train step of a run for several devices, without data or parameters.

    Args:
        config: Config of a run that is no population.
        dataset: Data set of the run.
        devices: Devices that share each batch.

    Returns:
        The compiled step.
    """
    example = sources.dummy_examples(dataset, config.batch_size)
    root_keys = population.root_keys(config)
    state = jax.eval_shape(
        lambda key: population_state.init_population(config, key, example), root_keys
    )
    indices = jnp.zeros((config.n_critic, config.batch_size), jnp.int32)
    batch = jax.eval_shape(lambda examples: feeds.take_examples(config, examples, indices), example)
    return parallel.compile_step(config, devices, state, batch)


def list_collectives(hlo: str, devices: int, n_critic: int) -> list[Collective]:
    """List the collective operations of a compiled train step, in program order.

    Args:
        hlo: Text of the program (`jax.stages.Compiled.as_text`).
        devices: Number of devices that the program runs on.
        n_critic: Discriminator updates per step.

    Returns:
        The operations. Those inside the loop over discriminator updates count `n_critic` times.

    Example:
        >>> hlo = 'all-reduce.1 = f32[10,2] all-reduce(x), op_name="jit(step)/BatchNorm_0/psum"'
        >>> list_collectives(hlo, devices=2, n_critic=1)
        [Collective(kind='all-reduce', source='BatchNorm', bytes=80, count=1)]
    """
    operations = []
    for line in hlo.splitlines():
        if not (match := _LINE.search(line)):
            continue
        shape, kind, attributes = match.groups()
        name = (re.findall(r'op_name="([^"]*)"', attributes) or [""])[0]
        arrays = re.findall(r"(\w+)\[([\d,]*)\]", shape)
        size = sum(_BYTES[dtype] * _product(sides) for dtype, sides in arrays)
        size *= devices if kind == "reduce-scatter" else 1
        count = n_critic if "while/body" in name else 1
        operations.append(Collective(kind, _source(name), size, count))
    return operations


def _product(sides: str) -> int:
    return math.prod(int(side) for side in sides.split(",") if side)


def _source(name: str) -> str:
    if ALL_REDUCE in name:
        return GRADIENTS
    if "logits_of_all_devices" in name:
        return LOGITS
    layers = re.findall(r"[A-Z]\w*_\d+", name)
    return layers[-1].rsplit("_", 1)[0] if layers else "other"

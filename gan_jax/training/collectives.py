"""What the devices of one run tell each other in a train step, read off the compiled program."""

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
    """One of the program's collectives."""

    kind: str
    """As XLA calls it: all-reduce, all-gather, reduce-scatter, ..."""
    source: str
    """`gradients and metrics`: the one all-reduce of a player's update; `logits`: gathered for the
    loss of the whole batch, and their gradients on the way back; else the layer that asks."""
    bytes: int
    """Of the whole array, as each device holds it before (reduce-scatter) or after."""
    count: int
    """A train step: as often as the critic's update, or once; lazy terms only where due."""


def compiled_step(
    config: Config, dataset: Dataset, devices: Sequence[jax.Device]
) -> jax.stages.Compiled:
    """The step of a run of one GAN, compiled for several devices."""
    example = sources.dummy_examples(dataset, config.batch_size)
    roots = population.root_keys(config)
    state = jax.eval_shape(
        lambda key: population_state.init_population(config, key, example), roots
    )
    chosen = jnp.zeros((config.n_critic, config.batch_size), jnp.int32)
    batch = jax.eval_shape(lambda examples: feeds.take_examples(config, examples, chosen), example)
    return parallel.compile_step(config, devices, state, batch)


def list_collectives(hlo: str, devices: int, n_critic: int) -> list[Collective]:
    """Those of a compiled step, in the order of its text (`jax.stages.Compiled.as_text`)."""
    found = []
    for line in hlo.splitlines():
        if not (hit := _LINE.search(line)):
            continue
        shape, kind, rest = hit.groups()
        name = (re.findall(r'op_name="([^"]*)"', rest) or [""])[0]
        arrays = re.findall(r"(\w+)\[([\d,]*)\]", shape)
        size = sum(_BYTES[dtype] * _product(sides) for dtype, sides in arrays)
        size *= devices if kind == "reduce-scatter" else 1
        times = n_critic if "while/body" in name else 1
        found.append(Collective(kind, _source(name), size, times))
    return found


def _product(sides: str) -> int:
    return math.prod(int(side) for side in sides.split(",") if side)


def _source(name: str) -> str:
    if ALL_REDUCE in name:
        return GRADIENTS
    if "logits_of_all_devices" in name:
        return LOGITS
    layers = re.findall(r"[A-Z]\w*_\d+", name)
    return layers[-1].rsplit("_", 1)[0] if layers else "other"

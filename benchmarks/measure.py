"""Ways to train, made ready, and how fast they are: what is timed is a number of whole steps.

Examples are the real ones that a critic update sees: batch size x n_critic a step, of every member
of a population. A step is all critic updates and the generator's.

jit         the jitted step, called from Python step after step, on a batch that rests on the device
scan        steps in one program (training/parallel.py), which also picks the examples: what runs do
population  the same for many members, in groups
pmap        the same as scan, the batch cut over all devices
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval

from gan_jax.config import Config, population
from gan_jax.core import devices as core_devices
from gan_jax.data import feeds
from gan_jax.data.batch import Batch
from gan_jax.data.sources import Dataset
from gan_jax.training import parallel
from gan_jax.training.initialize import initialize
from gan_jax.training.step import make_train_step

LONGEST = 1000  # steps of a measurement
LONG = 60.0  # seconds of a step that is not measured more than twice


@dataclasses.dataclass
class Way:
    """A way to train that is compiled and has done its first steps."""

    name: str
    examples: int
    """Of a step."""
    run: Callable[[int], None]
    """Does so many steps, and waits until they are done."""
    warm: float
    """Seconds of a step, the first after warm-up."""
    facts: dict[str, Any]
    """What is known of it beside its speed."""


def seconds(function: Callable, *arguments: Any) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def critic_batch(config: Config, dataset: Dataset) -> Batch:
    """The batch of one train step [n_critic, n, ...], as the networks see it: the set's first."""
    chosen = np.arange(config.n_critic * config.batch_size) % len(dataset)
    return feeds.take_examples(
        config, dataset.batch, jnp.asarray(chosen.reshape(config.n_critic, -1))
    )


def step_way(config: Config, dataset: Dataset) -> Way:
    """jit."""
    devices = jax.local_devices()[:1]
    state = initialize(config, dataset, devices)
    batch = core_devices.replicate(critic_batch(config, dataset), devices)
    step = jax.jit(make_train_step(config), donate_argnums=0)
    began = time.perf_counter()
    compiled = step.lower(state, batch).compile()
    took = time.perf_counter() - began

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state, _ = compiled(state, batch)
        jax.block_until_ready(state)

    run(1)
    facts = {"compile_seconds": took, "memory_bytes": _bytes(compiled.memory_analysis())}
    return Way("jit", config.n_critic * config.batch_size, run, seconds(run, 1), facts)


def chunk_way(
    name: str,
    config: Config,
    dataset: Dataset,
    devices: Sequence[jax.Device],
    at_once: int | None = None,
) -> Way:
    """scan, population or pmap: whichever `config` and the devices make of it."""
    state = initialize(config, dataset, devices)
    data = core_devices.replicate(dataset.batch, devices)
    program = parallel.make_program(config, devices, LONGEST, at_once)

    def run(steps: int) -> None:
        nonlocal state
        state, _ = jax.block_until_ready(program(state, steps, data))

    before = devices[0].client.live_executables()
    first, second = seconds(run, 1), seconds(run, 1)
    new = [one for one in devices[0].client.live_executables() if one not in before]
    members = len(population.member_configs(config))
    facts = {
        "compile_seconds": max(first - second, 0.0),  # with tracing, as above
        "memory_bytes": max(_bytes(one.get_compiled_memory_stats()) for one in new),
    }
    if members > 1:
        facts |= {"members": members, "members_at_once": at_once or members}
    if len(devices) > 1:
        facts |= {"devices": len(devices)}
    return Way(name, config.n_critic * config.batch_size * members, run, second, facts)


def _bytes(stats: Any) -> int:
    """What a program holds on a device while it runs: arguments, results that are not in place of
    an argument, and everything between."""
    return (
        stats.argument_size_in_bytes
        + stats.output_size_in_bytes
        + stats.temp_size_in_bytes
        - stats.alias_size_in_bytes
    )


def alternate(ways: Sequence[Way], repeats: int, duration: float) -> dict[str, list[float]]:
    """Examples a second of each way, measured `repeats` times in turn, each time for about
    `duration` seconds (a step at least, LONGEST at most); one whose step takes LONG
    seconds only twice."""
    rates: dict[str, list[float]] = {way.name: [] for way in ways}
    steps = {way.name: _fitting(way, duration) for way in ways}
    for repeat in range(repeats):
        for way in ways:
            if repeat < 2 or way.warm < LONG:
                took = seconds(way.run, steps[way.name])
                rates[way.name].append(steps[way.name] * way.examples / took)
    return rates


def _fitting(way: Way, duration: float) -> int:
    steps, took = 1, way.warm
    while took < duration / 4 and steps < LONGEST:
        steps = min(4 * steps, LONGEST)
        took = seconds(way.run, steps)
    return int(np.clip(round(steps * duration / took), 1, LONGEST))


def figures(way: Way, rates: list[float], flops: float, peak: float) -> dict[str, Any]:
    """All that was found of a way. `flops` are an example's, `peak` is in flops a second."""
    rate = statistics.median(rates)
    return {
        "examples_per_second": rate,
        "measured": rates,
        "step_seconds": way.examples / rate,
        "share_of_peak": rate * flops / peak,
        **way.facts,
    }


def step_flops(config: Config, dataset: Dataset) -> float:
    """Floating-point operations of a train step, by XLA's count of the step as written.

    XLA counts a loop's body once, and CPUs compute convolutions by loops of gan_jax's own; so the
    loop over critic updates is unrolled, and convolutions are counted as accelerators have them.
    """
    state, batch = (
        initialize(config, dataset, jax.local_devices()[:1]),
        critic_batch(config, dataset),
    )
    with jax.disable_jit():  # under which `lax.scan` is a loop of Python
        traced = jax.make_jaxpr(make_train_step(config))(state, batch)
    needed, _ = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.out_avals))
    closed = jax.extend.core.ClosedJaxpr(needed, traced.consts)
    function = jax.jit(jax.extend.core.jaxpr_as_fun(closed))
    lowered = function.trace(*jax.tree.leaves((state, batch))).lower(lowering_platforms=("cuda",))
    cost = lowered.cost_analysis()
    return float(cost["flops"])  # pyright: ignore[reportOptionalSubscript]


def matmul_peak(repeats: int = 10, size: int = 3072) -> float:
    """Floating-point operations a second of the best of `repeats` float32 matrix products."""
    a, b = jax.random.normal(jax.random.key(0), (2, size, size))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(a, b))
    took = [seconds(lambda: jax.block_until_ready(product(a, b))) for _ in range(repeats)]
    return 2 * size**3 / min(took)

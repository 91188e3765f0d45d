"""Compiled variants of training, and their speed over whole steps.

Examples are real ones: batch size times n_critic per step, for every member of a population. A step
is all discriminator updates and the generator's.

    jit         the jitted step, called from Python, on a batch that stays on the device
    scan        steps in one program (training/parallel.py), which also selects the examples: as in
                runs
    population  the same for many members, in groups
    pmap        like scan, with the batch sharded over all devices
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

MAX_STEPS = 1000  # largest number of steps of a measurement
SLOW_STEP_SECONDS = 60.0  # a step that takes longer is measured only twice


@dataclasses.dataclass
class Variant:
    """A compiled variant of training that has made its first steps."""

    name: str
    """Name in the record."""
    examples: int
    """Number of real examples per step."""
    run: Callable[[int], None]
    """Function that makes the given number of steps and waits for them."""
    step_seconds: float
    """Duration of the first step after warm-up, in seconds."""
    facts: dict[str, Any]
    """Further figures: compile time, memory, members, devices."""


def seconds(function: Callable, *arguments: Any) -> float:
    """Return the wall time of a call, in seconds."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def disc_batch(config: Config, dataset: Dataset) -> Batch:
    """Return the first batch of the data set, [n_critic, n, ...], in the network's range."""
    indices = np.arange(config.n_critic * config.batch_size) % len(dataset)
    return feeds.take_examples(
        config, dataset.batch, jnp.asarray(indices.reshape(config.n_critic, -1))
    )


def step_variant(config: Config, dataset: Dataset) -> Variant:
    """Return the variant `jit`."""
    devices = jax.local_devices()[:1]
    state = initialize(config, dataset, devices)
    batch = core_devices.replicate(disc_batch(config, dataset), devices)
    step = jax.jit(make_train_step(config), donate_argnums=0)
    start = time.perf_counter()
    compiled = step.lower(state, batch).compile()
    elapsed = time.perf_counter() - start

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state, _ = compiled(state, batch)
        jax.block_until_ready(state)

    run(1)
    facts = {"compile_seconds": elapsed, "memory_bytes": _bytes(compiled.memory_analysis())}
    return Variant("jit", config.n_critic * config.batch_size, run, seconds(run, 1), facts)


def program_variant(
    name: str,
    config: Config,
    dataset: Dataset,
    devices: Sequence[jax.Device],
    group_size: int | None = None,
) -> Variant:
    """Return the variant scan, population or pmap, depending on `config` and the devices.

    Args:
        name: Name of the variant.
        config: Run, or population.
        dataset: Data set.
        devices: Devices that share each batch.
        group_size: Number of members trained at once; None for the default.

    Returns:
        The variant, after two steps.
    """
    state = initialize(config, dataset, devices)
    data = core_devices.replicate(dataset.batch, devices)
    program = parallel.make_program(config, devices, MAX_STEPS, group_size)

    def run(steps: int) -> None:
        nonlocal state
        state, _ = jax.block_until_ready(program(state, steps, data))

    before = devices[0].client.live_executables()
    first, second = seconds(run, 1), seconds(run, 1)
    executables = [
        executable
        for executable in devices[0].client.live_executables()
        if executable not in before
    ]
    members = len(population.member_configs(config))
    facts = {
        "compile_seconds": max(first - second, 0.0),  # tracing included
        "memory_bytes": max(
            _bytes(executable.get_compiled_memory_stats()) for executable in executables
        ),
    }
    if members > 1:
        facts |= {"members": members, "members_at_once": group_size or members}
    if len(devices) > 1:
        facts |= {"devices": len(devices)}
    return Variant(name, config.n_critic * config.batch_size * members, run, second, facts)


def _bytes(stats: Any) -> int:
    """Return the memory of a program on a device: arguments, results and temporaries."""
    return (
        stats.argument_size_in_bytes
        + stats.output_size_in_bytes
        + stats.temp_size_in_bytes
        - stats.alias_size_in_bytes
    )


def alternate(variants: Sequence[Variant], repeats: int, duration: float) -> dict[str, list[float]]:
    """Measure the variants in turn.

    Args:
        variants: Variants of training.
        repeats: Number of measurements of each; two if a step takes `SLOW_STEP_SECONDS`.
        duration: Approximate duration of a measurement in seconds: one step at least, `MAX_STEPS`
            at most.

    Returns:
        Examples per second of each measurement, by name of the variant.
    """
    rates: dict[str, list[float]] = {variant.name: [] for variant in variants}
    steps = {variant.name: _num_steps(variant, duration) for variant in variants}
    for repeat in range(repeats):
        for variant in variants:
            if repeat < 2 or variant.step_seconds < SLOW_STEP_SECONDS:
                elapsed = seconds(variant.run, steps[variant.name])
                rates[variant.name].append(steps[variant.name] * variant.examples / elapsed)
    return rates


def _num_steps(variant: Variant, duration: float) -> int:
    steps, elapsed = 1, variant.step_seconds
    while elapsed < duration / 4 and steps < MAX_STEPS:
        steps = min(4 * steps, MAX_STEPS)
        elapsed = seconds(variant.run, steps)
    return int(np.clip(round(steps * duration / elapsed), 1, MAX_STEPS))


def figures(variant: Variant, rates: list[float], flops: float, peak: float) -> dict[str, Any]:
    """Return all figures of a variant.

    Args:
        variant: Variant of training.
        rates: Measured examples per second.
        flops: Operations per example.
        peak: Peak operations per second of the device.

    Returns:
        Figures by name.
    """
    rate = statistics.median(rates)
    return {
        "examples_per_second": rate,
        "measured": rates,
        "step_seconds": variant.examples / rate,
        "share_of_peak": rate * flops / peak,
        **variant.facts,
    }


def step_flops(config: Config, dataset: Dataset) -> float:
    """Return XLA's count of the floating-point operations of a train step.

    XLA counts a loop's body once, and gan_jax computes convolutions on CPUs by loops. The loop over
    discriminator updates is therefore unrolled, and convolutions are lowered as for accelerators.
    """
    state, batch = (
        initialize(config, dataset, jax.local_devices()[:1]),
        disc_batch(config, dataset),
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
    """Return the operations per second of the fastest of `repeats` float32 matrix products."""
    a, b = jax.random.normal(jax.random.key(0), (2, size, size))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(a, b))
    elapsed = [seconds(lambda: jax.block_until_ready(product(a, b))) for _ in range(repeats)]
    return 2 * size**3 / min(elapsed)

"""Dry run: an estimate of the parameters, memory and time of a run, without a run folder."""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import jax

from gan_jax.config import Config, Runtime, population
from gan_jax.config.validation import validate
from gan_jax.core import devices as core_devices
from gan_jax.data import feeds, sources
from gan_jax.data.sources import Dataset
from gan_jax.training import parallel
from gan_jax.training.initialize import initialize
from gan_jax.training.loop import MAX_CHUNK_STEPS
from gan_jax.training.state import TrainState

MIN_MEASURED_SECONDS = 3.0  # approximate time of the measurement of a phase
MAX_CYCLE_SECONDS = 30.0  # a cycle of lazy terms that takes longer is estimated from one step


@dataclasses.dataclass(frozen=True)
class Phase:
    """Steps of a run with the same losses: pretraining, or adversarial training."""

    name: str
    """Name in the output."""
    first: int
    """Number of completed steps at the beginning of the phase."""
    steps: int
    """Number of steps of the phase."""


@dataclasses.dataclass(frozen=True)
class Speed:
    """Measured speed of the train step."""

    compile_seconds: float
    """Time to compile the program (or to load it from the cache) and run it for one step."""
    step_seconds: dict[str, float]
    """Time per step, by name of the phase."""
    program: dict[str, int] | None
    """Memory analysis of the program (`memory.program_memory`), in bytes per device."""
    data_bytes: int
    """Size of the data in bytes per device."""


def dry_run(
    config: Config,
    *,
    devices: Sequence[jax.Device] | None = None,
    runtime: Runtime = Runtime(),  # noqa: B008
) -> None:
    """Print the estimated number of parameters, memory and training time of a run.

    The train step is compiled and runs for some seconds. Nothing is written to disk. The time
    excludes samples, scores and checkpoints.

    Args:
        config: Config of the run.
        devices: Devices to train on, by default those of `runtime`.
        runtime: Execution settings.

    Raises:
        UserError: If config, data and devices do not fit together.
    """
    validate(config)
    devices = devices or core_devices.pick_devices(runtime.devices, config.batch_size)
    dataset = sources.load(config.data)
    shapes = jax.eval_shape(lambda: initialize(config, dataset, devices, runtime.microbatch))
    members = len(population.member_configs(config))
    print(f"device      {len(devices)} x {devices[0].device_kind}")
    print(f"parameters  {_format_parameters(shapes, members)}", flush=True)
    phases = _phases(config)
    speed = measure(config, dataset, devices, runtime)
    print(f"memory      {_format_memory(shapes, speed)}")
    seconds = sum(phase.steps * speed.step_seconds[phase.name] for phase in phases)
    phase_times = ", ".join(
        f"{phase.steps} steps of {phase.name} at {1000 * speed.step_seconds[phase.name]:.3g} ms"
        for phase in phases
    )
    compile_time = f"compiled in {speed.compile_seconds:.0f} s"
    print(f"time        {format_duration(seconds)}: {phase_times}; {compile_time}")


def measure(
    config: Config,
    dataset: Dataset,
    devices: Sequence[jax.Device],
    runtime: Runtime = Runtime(),  # noqa: B008
) -> Speed:
    """Compile the train step and measure its speed in each phase of the run.

    Args:
        config: Config of the run.
        dataset: Data set of the run.
        devices: Devices that share each batch.
        runtime: Execution settings.

    Returns:
        The measured times and sizes.
    """
    state = initialize(config, dataset, devices, runtime.microbatch)
    program = parallel.make_program(
        config,
        devices,
        MAX_CHUNK_STEPS,
        runtime.members_at_once or parallel.default_max_concurrent_members(config, state, devices),
        microbatch=runtime.microbatch,
        remat=runtime.remat,
    )
    compile_seconds, data_bytes, step_seconds = None, 0, {}
    for phase in _phases(config):
        blocks = None
        if runtime.stream:
            blocks = feeds.streamed(config, dataset, devices, phase.first, runtime.workers)
        data, end = next(blocks or feeds.resident(dataset, devices))
        data_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(data))
        if runtime.stream:  # blocks are split over the devices, resident data is replicated
            data_bytes //= len(devices)
        if compile_seconds is None:
            state, compile_seconds = _timed(program, state, phase.first, 1, data)
        max_steps = min(MAX_CHUNK_STEPS, phase.steps, end - phase.first)
        steps = 1
        for _ in range(2):  # the first estimate decides the number of steps of the second
            state, seconds = _timed(program, state, phase.first, steps, data)
            step_seconds[phase.name] = seconds / steps
            steps = min(max_steps, _steps_to_measure(config, seconds / steps))
        if blocks:
            blocks.close()
    assert compile_seconds is not None
    return Speed(compile_seconds, step_seconds, program.memory(), data_bytes)


def _timed(
    program: parallel.Program, state: TrainState, first: int, steps: int, data: Any
) -> tuple[TrainState, float]:
    """Train for `steps` steps from step `first`, and return the state and the time in seconds."""
    state = state.replace(step=state.step * 0 + first)
    start = time.perf_counter()
    state, _ = jax.block_until_ready(program(state, steps, data))
    return state, time.perf_counter() - start


def _steps_to_measure(config: Config, step_seconds: float) -> int:
    """Return the number of steps in about MIN_MEASURED_SECONDS, in full cycles of lazy terms."""
    cycle = math.lcm(config.objective.penalty_every, config.objective.path_length_every)
    if cycle * step_seconds > MAX_CYCLE_SECONDS:
        return 1
    return cycle * max(1, round(MIN_MEASURED_SECONDS / (cycle * step_seconds)))


def _phases(config: Config) -> list[Phase]:
    pretraining = min(config.pretrain.steps, config.steps)
    phases = (
        Phase("pretraining", 0, pretraining),
        Phase("training", pretraining, config.steps - pretraining),
    )
    return [phase for phase in phases if phase.steps]


def _format_parameters(state: TrainState, members: int) -> str:
    counts = {
        name: sum(leaf.size for leaf in jax.tree.leaves(player.params)) // members
        for name, player in (("generator", state.gen), ("discriminator", state.disc))
    }
    suffix = f", per member ({members} members)" if members > 1 else ""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) + suffix


def _format_memory(state: TrainState, speed: Speed) -> str:
    state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    parts = [f"state {_format_bytes(state_bytes)}", f"data {_format_bytes(speed.data_bytes)}"]
    if speed.program is not None:
        kinds = ("argument_size", "output_size", "temp_size", "generated_code_size")
        total = sum(speed.program[kind] for kind in kinds) - speed.program["alias_size"]
        parts += [
            f"temporaries {_format_bytes(speed.program['temp_size'])}",
            f"total {_format_bytes(total)}",
        ]
    return ", ".join(parts) + " per device"


def _format_bytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count < 2**30 else f"{count / 2**30:.2f} GiB"


def format_duration(seconds: float) -> str:
    """Format a duration in its largest unit.

    Example:
        >>> format_duration(45), format_duration(750), format_duration(12600)
        ('45 s', '12 min', '3.5 h')
    """
    for unit, length, digits in (("days", 86400, 1), ("h", 3600, 1), ("min", 60, 0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.{digits}f} {unit}"
    return f"{seconds:.0f} s"

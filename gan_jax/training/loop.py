"""Training loop, an iterator over the state and metrics after each chunk of steps."""

import time
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from gan_jax.config import Config, Logging, Runtime, population
from gan_jax.config.validation import validate_runtime
from gan_jax.core import devices as core_devices
from gan_jax.core import processes
from gan_jax.core.errors import UserError
from gan_jax.data import feeds, sources
from gan_jax.data.sources import Dataset
from gan_jax.training import parallel
from gan_jax.training.initialize import initialize
from gan_jax.training.state import TrainState

MAX_CHUNK_STEPS = 1000  # the device holds a row of metrics for each of them
CHUNK_SECONDS = 1.0  # approximate length of a chunk, between which a run reports and can stop
Steps = Iterator[tuple[int, TrainState, dict[str, np.ndarray]]]


def iterate(
    config: Config,
    dataset: Dataset | Sequence[Dataset] | None = None,
    state: TrainState | None = None,
    devices: Sequence[jax.Device] | None = None,
    *,
    runtime: Runtime = Runtime(),  # noqa: B008
    logging: Logging = Logging(),  # noqa: B008
    on_compiled: Callable[[dict[str, int] | None], None] | None = None,
) -> Steps:
    """Train to `config.steps`, from the beginning or from `state`, which is donated.

    Chunks end where samples, scores and checkpoints are due. Results do not depend on the lengths
    of the chunks.

    Args:
        config: Config of the run, which may be a population.
        dataset: Data set, loaded if None. A population accepts one data set per member, all of the
            same size; these are streamed.
        state: State to continue from.
        devices: Devices that share each batch, by default those of `runtime`.
        runtime: Execution settings.
        logging: Settings that decide where chunks end.
        on_compiled: Callback, called once with the memory of the program per device
            (core/memory.py).

    Returns:
        An iterator over chunks: the number of completed steps, the state (valid until the next
        chunk is requested), and the metrics of the chunk, float32 [steps], or [steps, members].

    Raises:
        UserError: Before the first chunk, if config, data and devices do not fit together.
    """
    validate_runtime(runtime)
    if devices is None:
        devices = core_devices.pick_devices(runtime.devices, config.batch_size)
    dataset = sources.load(config.data) if dataset is None else dataset
    if isinstance(dataset, Dataset):
        example = dataset
    else:
        sizes = sorted({len(member_dataset) for member_dataset in dataset})
        num_members = len(population.member_configs(config))
        if len(dataset) != num_members or len(sizes) > 1:
            raise UserError(
                f"dataset must be {num_members} data sets of one size, got {len(dataset)} of "
                f"sizes {sizes}"
            )
        example = dataset[0]
    if state is None:
        state = initialize(config, example, devices, runtime.microbatch)
    return _chunks(config, dataset, state, devices, runtime, logging, on_compiled)


def _chunks(
    config: Config,
    dataset: Dataset | Sequence[Dataset],
    state: TrainState,
    devices: Sequence[jax.Device],
    runtime: Runtime,
    logging: Logging,
    on_compiled: Callable[[dict[str, int] | None], None] | None,
) -> Steps:
    step, length, compiled = int(state.step), 1, False
    if step >= config.steps:
        return
    if isinstance(dataset, Dataset) and not runtime.stream:
        feed = feeds.resident(dataset, devices)
    else:
        feed = feeds.streamed(config, dataset, devices, step, runtime.workers)
    data, end = next(feed)
    program = parallel.make_program(
        config,
        devices,
        MAX_CHUNK_STEPS,
        runtime.members_at_once or parallel.default_max_concurrent_members(config, state, devices),
        microbatch=runtime.microbatch,
        remat=runtime.remat,
    )
    while step < config.steps:
        if step == end:
            data, end = next(feed)
        steps = min(length, _steps_to_next_event(config, logging, step, end))
        steps = processes.broadcast_int(steps)  # wall clocks differ between hosts
        start = time.monotonic()
        state, metrics = program(state, steps, data)
        metrics = {name: rows.T[:steps] for name, rows in jax.device_get(metrics).items()}
        if on_compiled and not compiled:
            on_compiled(program.memory())
        if compiled:  # the time of the first step includes compilation
            steps_in_time = CHUNK_SECONDS * steps / max(time.monotonic() - start, 1e-9)
            length = int(np.clip(steps_in_time, 1, min(MAX_CHUNK_STEPS, 10 * length)))
        step, compiled = step + steps, True
        yield step, state, metrics


def _steps_to_next_event(config: Config, logging: Logging, step: int, end: int) -> int:
    """Return the number of steps after `step` to the next one at which a chunk must end."""
    every = (logging.sample_every, logging.checkpoint_every, logging.score_every or config.steps)
    ends = [event - step for event in (end, config.pretrain.steps, config.steps) if event > step]
    return min(*ends, *(interval - step % interval for interval in every))

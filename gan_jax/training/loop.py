"""The training loop: yields the state and metrics after each chunk of steps."""

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

MAX_CHUNK_STEPS = 1000  # steps in one program: a row of metrics each is held on the device
CHUNK_SECONDS = 1.0  # a chunk ends after about this long, so that the run can be seen and stopped
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
    """Trains to `config.steps`, from the beginning or from `state`, which it consumes.

    Chunks end where samples, scores, and checkpoints are due. Their lengths change no number.

    Args:
        config: The run, or a population.
        dataset: The data, loaded if None. A population may be given one data set per member, all of
            one size; these are streamed.
        state: State to continue from.
        devices: Devices that share each batch, by default those of `runtime`.
        runtime: How the run is executed.
        logging: When chunks end.
        on_compiled: Called once with the memory that the program takes on each device
            (core/memory.py).

    Returns:
        An iterator over chunks: the number of steps done, the state (valid until the next item is
        requested), and the metrics of the chunk's steps, float32 [steps], or [steps, members].

    Raises:
        UserError: At once, if config, data, and devices do not fit together.
    """
    validate_runtime(runtime)
    if devices is None:
        devices = core_devices.pick_devices(runtime.devices, config.batch_size)
    dataset = sources.load(config.data) if dataset is None else dataset
    if isinstance(dataset, Dataset):
        example = dataset
    else:
        sizes, count = {len(part) for part in dataset}, len(population.member_configs(config))
        if len(dataset) != count or len(sizes) > 1:
            raise UserError(
                f"{len(dataset)} data sets of {sorted(sizes)} examples: {count} of one size allowed"
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
        began = time.monotonic()
        state, metrics = program(state, steps, data)
        metrics = {name: rows.T[:steps] for name, rows in jax.device_get(metrics).items()}
        if on_compiled and not compiled:
            on_compiled(program.memory())
        if compiled:  # the time of the first step includes compilation
            fitting = CHUNK_SECONDS * steps / max(time.monotonic() - began, 1e-9)
            length = int(np.clip(fitting, 1, min(MAX_CHUNK_STEPS, 10 * length)))
        step, compiled = step + steps, True
        yield step, state, metrics


def _steps_to_next_event(config: Config, logging: Logging, step: int, end: int) -> int:
    """Counts the steps to the next one at which a chunk must end, after which `step` are done."""
    every = (logging.sample_every, logging.checkpoint_every, logging.score_every or config.steps)
    ends = [event - step for event in (end, config.pretrain.steps, config.steps) if event > step]
    return min(*ends, *(interval - step % interval for interval in every))

"""The training loop: yields the state and metrics after each chunk of steps."""

import time
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from gan_jax.config import Config, population
from gan_jax.core import devices as core_devices
from gan_jax.core import processes as core_processes
from gan_jax.core.errors import UserError
from gan_jax.data import feeds, sources
from gan_jax.data.sources import Dataset
from gan_jax.training import parallel
from gan_jax.training.initialize import start
from gan_jax.training.state import TrainState

LONGEST_CHUNK = 1000  # steps in one program: a row of metrics each is held on the device


CHUNK_SECONDS = 1.0  # a chunk ends after about this long, so that the run can be seen and stopped


def iterate(
    config: Config,
    dataset: Dataset | Sequence[Dataset] | None = None,
    state: TrainState | None = None,
    devices: Sequence[jax.Device] | None = None,
    members_at_once: int | None = None,
    stream: bool = False,
    workers: int = 0,
    tell: Callable[[dict[str, int] | None], None] | None = None,
) -> Iterator[tuple[int, TrainState, dict[str, np.ndarray]]]:
    """Trains to `config.steps`, from the beginning or from `state`, which it consumes.

    Yields after each chunk: the steps done, the state (whole until the next item is asked for), and
    the metrics of the chunk's steps, float32 [steps of the chunk] each; of a population [steps,
    members]. Chunks end where samples, scores and checkpoints are due; their lengths change no
    number. Instead of one data set that all share, the members of a population may be given one
    each, all of one size; these are streamed. So many `workers` processes read a prepared set that
    is streamed. `tell` is called once, with what the program takes of each device
    (core/memory.py). Raises UserError at once if config, data and devices do not fit together.
    """
    dataset = sources.load(config.data) if dataset is None else dataset
    devices = core_devices.pick_devices(None, config.batch_size) if devices is None else devices
    if members_at_once is not None and members_at_once < 1:
        raise UserError(f"members_at_once is {members_at_once}: at least 1 is allowed")
    if workers and not stream:
        raise UserError(f"workers is {workers}: only a set that is streamed has them (--stream)")
    if isinstance(dataset, Dataset):
        example = dataset
    else:
        sizes, count = {len(one) for one in dataset}, len(population.members(config))
        if len(dataset) != count or len(sizes) > 1:
            raise UserError(
                f"{len(dataset)} data sets of {sorted(sizes)} examples: {count} of one size allowed"
            )
        example, stream = dataset[0], True
    state = start(config, example, devices) if state is None else state
    return _chunks(config, dataset, state, devices, members_at_once, stream, workers, tell)


def _chunks(
    config: Config,
    dataset: Dataset | Sequence[Dataset],
    state: TrainState,
    devices: Sequence[jax.Device],
    members_at_once: int | None,
    stream: bool,
    workers: int,
    tell: Callable[[dict[str, int] | None], None] | None,
) -> Iterator[tuple[int, TrainState, dict[str, np.ndarray]]]:
    done, length, compiled = int(state.step), 1, False
    if done >= config.steps:
        return
    if isinstance(dataset, Dataset) and not stream:
        feed = feeds.resident(dataset, devices)
    else:
        feed = feeds.streamed(config, dataset, devices, done, workers)
    data, end = next(feed)
    at_once = members_at_once or parallel.members_at_once(config, state, devices)
    program = parallel.make_program(config, devices, LONGEST_CHUNK, at_once)
    while done < config.steps:
        every = (config.sample_every, config.checkpoint_every, config.score_every or config.steps)
        if done == end:
            data, end = next(feed)
        ends = [one - done for one in (end, config.pretrain.steps, config.steps) if one > done]
        steps = min(length, *ends, *(e - done % e for e in every))
        steps = core_processes.broadcast_int(steps)  # its clock decides for all
        began = time.monotonic()
        state, metrics = program(state, steps, data)
        metrics = {name: rows.T[:steps] for name, rows in jax.device_get(metrics).items()}
        if tell and not compiled:
            tell(program.memory())
        if compiled:  # the first step's time says nothing of the others'
            fitting = CHUNK_SECONDS * steps / max(time.monotonic() - began, 1e-9)
            length = int(np.clip(fitting, 1, min(LONGEST_CHUNK, 10 * length)))
        done, compiled = done + steps, True
        yield done, state, metrics

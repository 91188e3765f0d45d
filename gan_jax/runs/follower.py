"""Training in the processes that do not write the run folder.

They take the same steps, stops and checkpoints as process 0, and do nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from gan_jax.config import Config
from gan_jax.core import devices as core_devices
from gan_jax.core import processes, signals
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.training.nonfinite import Skips
from gan_jax.training.state import TrainState


def begin(state: TrainState, devices: Sequence[jax.Device]) -> TrainState:
    """The state that process 0 starts from, on the devices. Every process calls it."""
    if jax.process_count() == 1:
        return state
    processes.barrier()
    processes.connect_devices(devices)
    return core_devices.place(processes.broadcast_tree(state), devices)


def is_kept(config: Config, done: int, stop_signal: int, skips: Skips) -> bool:
    """Whether a checkpoint is due at step `done`; `stop_signal` is what stops the run, or 0."""
    # The end of the phase before the game is what the game is compared with.
    last = stop_signal or done in (config.steps, config.pretrain.steps)
    return bool(last or (done % config.checkpoint_every == 0 and not skips.pending))


def follow(
    config: Config,
    workdir: Path,
    state: TrainState,
    devices: Sequence[jax.Device],
    steps: Callable[[TrainState], Iterator[tuple[int, TrainState, dict[str, Any]]]],
) -> TrainState:
    """Train as `train.fit` does, in a process that does not write.

    Args:
      config: The run's config.
      workdir: The run folder.
      state: State before the first step.
      devices: Devices of all processes.
      steps: `train.iterate` from a state on.

    Returns:
      The state after the last step.

    Raises:
      SystemExit: A signal stopped the run.
      UserError: As in `fit`, except for what concerns the folder: process 0 then ends alone.
    """
    processes.barrier()
    with (
        signals.caught() as received,
        Checkpoints(workdir / "checkpoints", config.keep) as checkpoints,
    ):
        checkpoints.restore(state)
        state = begin(state, devices)
        skips, stop_signal = Skips(config, state, saved=int(state.step)), 0
        for done, state, metrics in steps(state):  # noqa: B020
            stop_signal = processes.stop_signal(received)
            skips.count(done, metrics["skipped"])
            if is_kept(config, done, stop_signal, skips):
                checkpoints.save(done, state)
                skips.saved = done
            if stop_signal:
                break
    processes.barrier()
    if stop_signal:
        raise SystemExit(128 + stop_signal)
    return state

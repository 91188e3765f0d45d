"""What the processes of a run do that do not write its folder: the same steps, stops and
checkpoints as process 0, and nothing else."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from gan_jax import distributed, parallel, signals
from gan_jax.checkpoint import Checkpoints
from gan_jax.config import Config
from gan_jax.skips import Skips
from gan_jax.state import TrainState


def begin(state: TrainState, devices: Sequence[jax.Device]) -> TrainState:
    """The state that process 0 starts from, in every process. All call it."""
    distributed.meet()
    return parallel.broadcast_tree(state, devices)


def is_kept(config: Config, done: int, by: int, skips: Skips) -> bool:
    """Whether a checkpoint is due at step `done`; `by` is the signal that stops the run, or 0."""
    # The end of the phase before the game is what the game is compared with.
    last = by or done in (config.steps, config.pretrain.steps)
    return bool(last or (done % config.checkpoint_every == 0 and not skips.pending))


def follow(
    config: Config,
    workdir: Path,
    state: TrainState,
    devices: Sequence[jax.Device],
    steps: Callable[[TrainState], Iterator[tuple[int, TrainState, dict[str, Any]]]],
) -> TrainState:
    """`train.fit` in a process that does not write; `state` is that before the first step, and
    `steps` is `train.iterate` from a state on.

    Raises what `fit` raises, but for what concerns the folder: process 0 then ends alone.
    """
    distributed.meet()
    with (
        signals.caught() as came,
        Checkpoints(workdir / "checkpoints", config.keep) as checkpoints,
    ):
        checkpoints.restore(state)
        state = begin(state, devices)
        skips, by = Skips(config, state, saved=int(state.step)), 0
        for done, state, metrics in steps(state):  # noqa: B020
            by = distributed.stop_signal(came)
            skips.count(done, metrics["skipped"])
            if is_kept(config, done, by, skips):
                checkpoints.save(done, state)
                skips.saved = done
            if by:
                break
    distributed.meet()
    if by:
        raise SystemExit(128 + by)
    return state

"""What happens between chunks of steps: logs, samples, scores, checkpoints."""

import dataclasses
from typing import Protocol

import numpy as np

from gan_jax.core.progress import Progress
from gan_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A chunk of steps that has just ended."""

    first: int
    """Number of its first step; steps count from 1."""
    step: int
    """Number of its last step."""
    state: TrainState
    """State after it. It is valid until the next chunk starts, and must not be consumed."""
    metrics: dict[str, np.ndarray]
    """Metrics of its steps, float32 [steps], or [steps, members]."""
    last: bool
    """Whether it ends the run."""
    stop_signal: int = 0
    """Signal that stops the run after it, or 0."""

    def is_due(self, every: int) -> bool:
        """Returns whether something that happens every so many steps happens now."""
        return self.step % every == 0


class Hook(Protocol):
    """Something that happens between chunks. Subclasses override what they need."""

    def on_chunk(self, chunk: Chunk) -> None:
        """Called after each chunk."""

    def on_end(self, state: TrainState, *, stopped: bool) -> None:
        """Called once, after the last checkpoint is on disk.

        Args:
            state: State after the last step.
            stopped: Whether a signal stopped the run before its end.
        """


class ProgressBar(Hook):
    """Shows the number of steps done, the speed, and the mean losses."""

    def __init__(self, progress: Progress, pretraining_steps: int):
        self._progress, self._pretraining_steps = progress, pretraining_steps

    def on_chunk(self, chunk: Chunk) -> None:
        pretraining = chunk.step <= self._pretraining_steps
        names = ("nll", "l1") if pretraining else ("disc_loss", "gen_loss")
        losses = {n: _finite_mean(chunk.metrics[n]) for n in names if n in chunk.metrics}
        self._progress.update(chunk.step - chunk.first + 1, losses)


def _finite_mean(values: np.ndarray) -> float:
    """Averages the finite values: a diverged member does not hide the others."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")

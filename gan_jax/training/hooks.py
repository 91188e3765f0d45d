"""Hooks, which run between chunks of train steps: logs, samples, scores, checkpoints."""

import dataclasses
from typing import Protocol

import numpy as np

from gan_jax.core.progress import Progress
from gan_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Result of a chunk of train steps."""

    first: int
    """Number of the first step of the chunk, counted from 1."""
    step: int
    """Number of the last step."""
    state: TrainState
    """State after the chunk. It is valid until the next chunk starts, and must not be donated."""
    metrics: dict[str, np.ndarray]
    """Metrics of the steps, float32 [steps], or [steps, members] for a population."""
    last: bool
    """Flag of the last chunk of the run."""
    stop_signal: int = 0
    """Number of the signal that stops the run after this chunk; 0 for none."""

    def is_due(self, every: int) -> bool:
        """Return whether the last step is a multiple of `every`."""
        return self.step % every == 0


class Hook(Protocol):
    """Callbacks between chunks of train steps. The default methods do nothing."""

    def on_chunk(self, chunk: Chunk) -> None:
        """Handle the result of a chunk."""

    def on_end(self, state: TrainState, *, stopped: bool) -> None:
        """Finish, once the last checkpoint is on disk.

        Args:
            state: State after the last step.
            stopped: True if a signal stopped the run before its end.
        """


class ProgressBar(Hook):
    """Progress bar with the completed steps, the speed, and the mean losses."""

    def __init__(self, progress: Progress, pretraining_steps: int):
        """Create the hook for a progress display; pretraining has other losses."""
        self._progress, self._pretraining_steps = progress, pretraining_steps

    def on_chunk(self, chunk: Chunk) -> None:
        """Advance the bar by the steps of the chunk."""
        pretraining = chunk.step <= self._pretraining_steps
        names = ("nll", "l1") if pretraining else ("disc_loss", "gen_loss")
        losses = {
            name: _finite_mean(chunk.metrics[name]) for name in names if name in chunk.metrics
        }
        self._progress.update(chunk.step - chunk.first + 1, losses)


def _finite_mean(values: np.ndarray) -> float:
    """Average the finite values, so that a diverged member does not affect the display."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")

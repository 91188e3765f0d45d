"""Steps whose update was not finite, and so skipped: when there are too many in a row, stop."""

import logging

import numpy as np

from gan_jax.config import Config
from gan_jax.config.population import members
from gan_jax.core.errors import UserError
from gan_jax.training.state import TrainState

log = logging.getLogger(__name__)


class Skips:
    """Counts each member's skipped steps in a row. One with as many as the limit is lost, until it
    does a good step; a population goes on while one of its members is not lost."""

    def __init__(self, config: Config, state: TrainState, saved: int):
        """Goes on from `state`; `saved` is the step of the newest checkpoint, to be kept so."""
        self._limit, self._members, self.saved = config.skip_limit, members(config), saved
        self._row = np.atleast_1d(np.asarray(state.skipped_in_row))

    @property
    def pending(self) -> bool:
        """Whether a member that is not lost has just skipped: no time for a checkpoint."""
        return bool(((self._row > 0) & (self._row < self._limit)).any())

    def count(self, done: int, skipped: np.ndarray) -> None:
        """Takes `skipped` [steps] or [steps, members] of a chunk that ended at step `done`.

        Names a member that is lost. Raises UserError when all are.
        """
        in_row = f"{self._limit} steps in a row had non-finite updates, by step {done}"
        for step in skipped.reshape(len(skipped), -1) > 0:
            self._row = (self._row + 1) * step
            if (self._row >= self._limit).all():
                last = f"the last checkpoint is of step {self.saved}"
                raise UserError(f"{in_row}: stopped; {last}")
            for number in np.flatnonzero(self._row == self._limit):
                log.warning("member %d (seed %d): %s", number, self._members[number].seed, in_row)

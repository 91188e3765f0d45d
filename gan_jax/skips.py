"""Steps whose update was not finite, and so skipped: when there are too many in a row, stop."""

import logging

import numpy as np

from gan_jax.config import Config
from gan_jax.errors import UserError
from gan_jax.population import members
from gan_jax.state import TrainState

log = logging.getLogger(__name__)


class Skips:
    """Counts each member's skipped steps in a row. A population goes on while a member does."""

    def __init__(self, config: Config, state: TrainState, saved: int):
        """Goes on from `state`; `saved` is the step of the newest checkpoint, to be kept so."""
        self._limit, self._members, self.saved = config.skip_limit, members(config), saved
        self._row = np.atleast_1d(np.asarray(state.skipped_in_row))
        self._lost = self._row >= self._limit

    @property
    def pending(self) -> bool:
        """Whether a member that is not lost has just skipped: no time for a checkpoint."""
        return bool(((self._row > 0) & ~self._lost).any())

    def count(self, done: int, skipped: np.ndarray) -> None:
        """Takes `skipped` [steps] or [steps, members] of a chunk that ended at step `done`.

        Names a member whose limit is reached. Raises UserError when it is that of the last one.
        """
        before = self._lost.copy()
        for step in skipped.reshape(len(skipped), -1) > 0:
            self._row = (self._row + 1) * step
            self._lost |= self._row >= self._limit
        in_row = f"{self._limit} steps in a row had non-finite updates, by step {done}"
        if self._lost.all():
            last = f"the last checkpoint is of step {self.saved}"
            raise UserError(f"{in_row}: stopped; {last}")
        for number in np.flatnonzero(self._lost & ~before):
            log.warning("member %d (seed %d): %s", number, self._members[number].seed, in_row)

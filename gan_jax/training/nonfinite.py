"""Stops a run whose updates are not finite, and therefore skipped, for too many steps in a row."""

import logging

import numpy as np

from gan_jax.config import Config
from gan_jax.config.population import member_configs
from gan_jax.core.errors import UserError
from gan_jax.training.hooks import Chunk, Hook
from gan_jax.training.state import TrainState

log = logging.getLogger(__name__)


class NonFiniteGuard(Hook):
    """Counts each member's consecutive skipped steps.

    A member that reaches the limit has diverged, until one of its steps is not skipped. A
    population continues while one of its members has not diverged.
    """

    def __init__(self, config: Config, state: TrainState, limit: int):
        """Continues from `state`, with the step of the newest checkpoint in `saved`."""
        self._limit, self._members, self.saved = limit, member_configs(config), int(state.step)
        self._row = np.atleast_1d(np.asarray(state.skipped_in_row))

    @property
    def pending(self) -> bool:
        """Whether a member that has not diverged skipped the last step: no time to save."""
        return bool(((self._row > 0) & (self._row < self._limit)).any())

    def on_chunk(self, chunk: Chunk) -> None:
        """Logs each member that diverges. Raises UserError if all have."""
        message = f"{self._limit} steps in a row had non-finite updates, by step {chunk.step}"
        skipped = chunk.metrics["skipped"]
        for step in skipped.reshape(len(skipped), -1) > 0:
            self._row = (self._row + 1) * step
            if (self._row >= self._limit).all():
                last = f"the last checkpoint is of step {self.saved}"
                raise UserError(f"{message}: stopped; {last}")
            for number in np.flatnonzero(self._row == self._limit):
                log.warning("member %d (seed %d): %s", number, self._members[number].seed, message)

"""Detection of divergence: too many consecutive steps with non-finite updates."""

import logging

import numpy as np

from gan_jax.config import Config
from gan_jax.config.population import member_configs
from gan_jax.core.errors import UserError
from gan_jax.training.hooks import Chunk, Hook
from gan_jax.training.state import TrainState

log = logging.getLogger(__name__)


class NonFiniteGuard(Hook):
    """Hook that counts consecutive skipped steps and stops a diverged run.

    A member has diverged while its count is at or above the limit. A population continues as long
    as one of its members has not diverged.
    """

    def __init__(self, config: Config, state: TrainState, limit: int):
        """Start counting from a state.

        Args:
            config: Config of the run, which may be a population.
            state: State to continue from. Its step becomes `saved`, the newest checkpoint.
            limit: Number of consecutive skipped steps at which a member has diverged.
        """
        self._limit, self._members, self.saved = limit, member_configs(config), int(state.step)
        self._skipped_in_row = np.atleast_1d(np.asarray(state.skipped_in_row))

    @property
    def pending(self) -> bool:
        """Flag that a member skipped the last step and has not diverged, so saving should wait."""
        return bool(((self._skipped_in_row > 0) & (self._skipped_in_row < self._limit)).any())

    def on_chunk(self, chunk: Chunk) -> None:
        """Log each member that diverges. Raises UserError if all members have diverged."""
        message = f"{self._limit} steps in a row had non-finite updates, by step {chunk.step}"
        skipped = chunk.metrics["skipped"]
        for step in skipped.reshape(len(skipped), -1) > 0:  # [members]
            self._skipped_in_row = (self._skipped_in_row + 1) * step
            if (self._skipped_in_row >= self._limit).all():
                raise UserError(f"{message}; stopped, the last checkpoint is of step {self.saved}")
            for index in np.flatnonzero(self._skipped_in_row == self._limit):
                log.warning("member %d (seed %d): %s", index, self._members[index].seed, message)

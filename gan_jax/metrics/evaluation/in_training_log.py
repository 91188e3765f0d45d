"""The log of scores in training: scores.jsonl, and their protocol in scores_card.json."""

import json
from pathlib import Path
from typing import Any

import jax

from gan_jax.config import Config, population
from gan_jax.core.errors import UserError
from gan_jax.core.files import read_json, write_atomically
from gan_jax.data.sources import Dataset
from gan_jax.runs.metrics_log import MetricsLog
from gan_jax.training.hooks import Chunk, Hook

ROWS, CARD = "scores.jsonl", "scores_card.json"


def read_card(workdir: Path) -> dict[str, Any]:
    """Read the protocol of the rows. Raises UserError if it cannot be read."""
    path = workdir / CARD
    card = read_json(path)
    if not isinstance(card, dict):
        raise UserError(f"{path} cannot be read: it is no card")
    return card


class InTrainingScores(Hook):
    """Scores a run each `score_every` steps; does nothing where that is 0.

    Samples, features and real data are always the same, so a rerun writes the same bytes. A resumed
    run continues after the checkpoint's row, as metrics.jsonl does.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        device: jax.Device,
        score_every: int,
        *,
        quiet: bool = False,
    ):
        """Raises UserError if there is no metric for the data. May train its classifier."""
        self._every, self._solo = score_every, not population.is_population(config)
        if self._every:
            from gan_jax.metrics.evaluation import in_training  # slow to import

            self._card, self._score = in_training.make_scorer(config, dataset, device, quiet=quiet)

    def open(self, workdir: Path, step: int) -> None:
        """Continue after `step`. Raises UserError if the rows there have another protocol."""
        if not self._every:
            return
        if step and (workdir / CARD).exists():
            card = read_card(workdir)
            changed = [name for name, value in self._card.items() if card.get(name) != value]
            if changed:
                raise UserError(
                    f"{workdir / ROWS} has scores of another {', '.join(changed)}: move it and "
                    f"{CARD} away to go on with these, or bring back the cache of the others"
                )
        write_atomically(workdir / CARD, json.dumps(self._card, indent=1) + "\n")
        self._log = MetricsLog(workdir / ROWS, self._every, step)

    def on_chunk(self, chunk: Chunk) -> None:
        """Write the row of the chunk's last step if it is due."""
        if not self._every or not chunk.is_due(self._every):
            return
        scores = self._score(chunk.state)
        rows = {name: column if self._solo else column[None] for name, column in scores.items()}
        self._log.write(chunk.step, rows)

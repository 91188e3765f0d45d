"""Log of scores in training: scores.jsonl, and their protocol in scores_card.json."""

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
        raise UserError(f"{path} must hold a JSON object, got {type(card).__name__}")
    return card


class InTrainingScores(Hook):
    """Hook that scores a run every `score_every` steps; 0 disables it.

    Samples, features and real data are always the same, so a rerun writes the same bytes. A resumed
    run continues after the row of the checkpoint, like metrics.jsonl.
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
        """Make the scorer, which may train a classifier.

        Args:
            config: Config of the run.
            dataset: Data set of the run.
            device: Device to score on.
            score_every: Number of steps between scores; 0 disables scores.
            quiet: Whether to hide the progress bars.

        Raises:
            UserError: If no metric applies to the data.
        """
        self._score_every, self._is_population = score_every, population.is_population(config)
        if self._score_every:
            from gan_jax.metrics.evaluation import in_training  # slow to import

            self._card, self._score = in_training.make_scorer(config, dataset, device, quiet=quiet)

    def open(self, workdir: Path, step: int) -> None:
        """Continue after `step`. Raises UserError if existing rows have another protocol."""
        if not self._score_every:
            return
        if step and (workdir / CARD).exists():
            card = read_card(workdir)
            changed = [name for name, field in self._card.items() if card.get(name) != field]
            if changed:
                raise UserError(
                    f"{workdir / ROWS} has scores with another {', '.join(changed)}: to continue "
                    f"with the new scores, move it and {CARD} away; to continue with the old ones, "
                    "restore their cache"
                )
        write_atomically(workdir / CARD, json.dumps(self._card, indent=1) + "\n")
        self._log = MetricsLog(workdir / ROWS, self._score_every, step)

    def on_chunk(self, chunk: Chunk) -> None:
        """Write the row of the last step of the chunk if it is due."""
        if not self._score_every or not chunk.is_due(self._score_every):
            return
        scores = self._score(chunk.state)
        rows = {
            name: column[None] if self._is_population else column for name, column in scores.items()
        }
        self._log.write(chunk.step, rows)

"""Scores with their evaluation protocol, which shows whether two scores can be compared."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.core.errors import UserError
from gan_jax.core.files import read_json, write_atomically


@dataclasses.dataclass(frozen=True)
class ScoreCard:
    """Values of one metric for a checkpoint, one per member of the run."""

    metric: str
    """Name of the metric, as in gan_jax/metrics: frechet, kernel, precision, ..."""
    values: tuple[float, ...]
    """Value of each member; NaN if the member has diverged."""
    seeds: tuple[int, ...]
    """Training seed of each member."""
    features: str
    """Name of the features: `digits-classifier`, `inception-2048`, `pixels`, `points`, ..."""
    features_note: str
    """Note on the features, such as the accuracy of a classifier."""
    features_sha256: str
    """Hash of the weights and the recipe of the features."""
    resize: str
    """Description of the resizing of images before the features."""
    real: str
    """Data set and split of the real examples."""
    real_sha256: str
    """Fingerprint of the real examples."""
    n_real: int
    """Number of real examples; 0 for metrics of samples alone."""
    n_fake: int
    """Number of samples per member."""
    step: int | None
    """Step of the checkpoint; None if the samples are not from a run."""
    sample_seed: int | None
    """Seed of the sampled latents; None if each member uses its training seed."""
    weights: str | None
    """Weights of the generator: `ema` or `raw`; None if the samples are not from a run."""
    truncation: float | None = None
    """Truncation psi of the latents."""
    temperature: float | None = None
    """Softmax temperature of sampled sequences."""
    expected: float | None = None
    """Expected value for samples of the data distribution, if known."""
    standard_error: tuple[float, ...] | None = None
    """Standard error of each value, if the metric averages over random parts."""

    @property
    def mean(self) -> float:
        """Mean over the members; NaN if a member has diverged."""
        return float(np.mean(self.values))

    @property
    def std(self) -> float | None:
        """Standard deviation over the members (n - 1); None for a single member."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


def write_cards(path: Path, cards: Sequence[ScoreCard], versions: dict[str, Any]) -> None:
    """Write cards as JSON, with means and standard deviations.

    Args:
        path: File to write.
        cards: Scores.
        versions: Versions of code and device, as from `folder.environment`.
    """
    rows = [{**dataclasses.asdict(card), "mean": card.mean, "sd": card.std} for card in cards]
    text = json.dumps({"versions": versions, "cards": rows}, indent=1)
    finite = json.loads(text, parse_constant=lambda _: None)  # NaN of a diverged member: null
    write_atomically(path, json.dumps(finite, indent=1) + "\n")


def read_cards(path: Path) -> list[dict[str, Any]]:
    """Read the cards of a scores.json as dictionaries. Raises UserError if it is damaged."""
    document = read_json(path)
    cards = document.get("cards") if isinstance(document, dict) else None
    if not isinstance(cards, list) or not all(isinstance(card, dict) for card in cards):
        raise UserError(f"{path} cannot be read: it has no list of cards")
    return cards


def format_number(value: float) -> str:
    """Format a number with four significant digits.

    Example:
        >>> format_number(0.123456)
        '0.1235'
    """
    return f"{value:.4g}"


def format_table(cards: Sequence[ScoreCard]) -> str:
    """Format cards as a table for the terminal, one line per metric and checkpoint."""
    lines = [f"{'step':>8}  {'metric':<24}{'mean':>10}{'std':>10}{'expected':>10}   features"]
    for card in cards:
        std = format_number(card.std) if card.std is not None else ""
        expected = format_number(card.expected) if card.expected is not None else ""
        if card.std is None and card.standard_error is not None:
            std = f"(se {format_number(card.standard_error[0])})"
        against = f" against {card.n_real} of {card.real}" if card.n_real else ""
        lines.append(
            f"{'' if card.step is None else card.step:>8}  {card.metric:<24}"
            f"{format_number(card.mean):>10}{std:>10}{expected:>10}"
            f"   {card.features}, {card.n_fake}{against}"
        )
    return "\n".join(lines)

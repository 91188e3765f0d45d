"""A number with its protocol: what was measured on what, so that two scores can be compared."""

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
    """One metric of one checkpoint of a run, a value for each of its members."""

    metric: str
    """As in gan_jax/metrics: frechet, kernel, precision, ..."""
    values: tuple[float, ...]
    """One a member, NaN of one that has diverged."""
    seeds: tuple[int, ...]
    """Of the members' training."""
    features: str
    """Whose features: `digits-classifier`, `inception-2048`, `pixels`, `points`, ..."""
    features_note: str
    """How accurate a classifier is."""
    features_sha256: str
    """Of what they are computed with: weights and recipe."""
    resize: str
    """What becomes of a picture before."""
    real: str
    """Data set and split."""
    real_sha256: str
    """The data's fingerprint."""
    n_real: int
    """0 where a metric looks at samples alone."""
    n_fake: int
    step: int | None
    """Of the checkpoint; None: no run's."""
    sample_seed: int | None
    """Of the noise; None: each member's own."""
    weights: str | None
    """`ema`, the moving average, or `raw`; None: no run's."""
    truncation: float | None = None
    temperature: float | None = None
    """Of samples of sequences."""
    expected: float | None = None
    """Of samples of the real law itself, where that is known."""
    standard_error: tuple[float, ...] | None = None
    """Of each value, where the metric is a mean of random parts."""

    @property
    def mean(self) -> float:
        """Over the members, NaN if one has diverged."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float | None:
        """Standard deviation over the members (n - 1); None of one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


def write_cards(path: Path, cards: Sequence[ScoreCard], versions: dict[str, Any]) -> None:
    """Writes cards as JSON, means and standard deviations beside the values."""
    rows = [{**dataclasses.asdict(card), "mean": card.mean, "sd": card.sd} for card in cards]
    text = json.dumps({"versions": versions, "cards": rows}, indent=1)
    finite = json.loads(text, parse_constant=lambda _: None)  # of a diverged member
    write_atomically(path, json.dumps(finite, indent=1) + "\n")


def read_cards(path: Path) -> list[dict[str, Any]]:
    """The cards of a scores.json, as dictionaries. Raises UserError if it cannot be read."""
    found = read_json(path)
    cards = found.get("cards") if isinstance(found, dict) else None
    if not isinstance(cards, list) or not all(isinstance(card, dict) for card in cards):
        raise UserError(f"{path} cannot be read: it holds no cards")
    return cards


def format_number(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def format_table(cards: Sequence[ScoreCard]) -> str:
    """What a terminal shows: a line a metric and checkpoint, and the protocol that they share."""
    lines = [f"{'step':>8}  {'metric':<24}{'mean':>10}{'sd':>10}{'expected':>10}   features"]
    for card in cards:
        sd = format_number(card.sd) if card.sd is not None else ""
        expected = format_number(card.expected) if card.expected is not None else ""
        if card.sd is None and card.standard_error is not None:
            sd = f"(se {format_number(card.standard_error[0])})"
        against = f" against {card.n_real} of {card.real}" if card.n_real else ""
        lines.append(
            f"{'' if card.step is None else card.step:>8}  {card.metric:<24}"
            f"{format_number(card.mean):>10}{sd:>10}{expected:>10}"
            f"   {card.features}, {card.n_fake}{against}"
        )
    return "\n".join(lines)

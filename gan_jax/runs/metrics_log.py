"""What a run writes as it goes: metrics.jsonl, scores.jsonl, and timing.json."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.core.files import reading, write_atomically, writing
from gan_jax.training.hooks import Chunk, Hook


class MetricsLog(Hook):
    """metrics.jsonl, or scores.jsonl: a row of metrics each `every` steps, in order, no step twice.

    A row holds the step's own values and no times, so a rerun writes the same bytes.
    """

    def __init__(self, path: Path, every: int, step: int):
        """Goes on after `step`: later rows, and a row that was cut short, are dropped."""
        self._path, self._every = path, every
        kept = []
        text, last = path.read_text(errors="replace") if path.exists() else "", 0
        for line in text.splitlines(keepends=True):
            try:
                if last < (found := json.loads(line)["step"]) <= step and line.endswith("\n"):
                    kept.append(line)
                    last = found
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
        write_atomically(path, "".join(kept))

    def on_chunk(self, chunk: Chunk) -> None:
        self.write(chunk.first, chunk.metrics)

    def write(self, first: int, metrics: dict[str, np.ndarray]) -> None:
        """Rows of steps `first`, `first`+1, ... that are due; leaves of `metrics` are [steps], or
        [steps, members]: a list in the row."""
        count = len(next(iter(metrics.values())))
        lines = [
            json.dumps({"step": first + i, **{name: _plain(v[i]) for name, v in metrics.items()}})
            for i in range(count)
            if (first + i) % self._every == 0
        ]
        if not lines:
            return
        with writing(self._path), self._path.open("a") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())


def _plain(value: np.ndarray) -> float | list | None:
    """As JSON has it: null where not finite; else the shortest decimal that is this float."""
    if value.ndim:
        return [_plain(one) for one in value]
    return float(str(value)) if np.isfinite(value) else None


def check_rows(rows: Any) -> list[dict[str, Any]]:
    """Rows of metrics: dictionaries of numbers, nulls and lists of these, with whole numbers as
    `step`. Raises ValueError where they are something else."""
    for row in rows if isinstance(rows, list) else [None]:
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            raise ValueError("a row of it is no row of metrics")
        for value in row.values():
            for one in value if isinstance(value, list) else [value]:
                if not (one is None or type(one) is float or (type(one) is int and one < 2**63)):
                    raise ValueError(f"{str(one)[:40]!r} is no metric")
    return rows


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl or the like. Raises UserError if they cannot be read."""
    with reading(path):
        return check_rows([json.loads(line) for line in path.read_text().splitlines()])


def read_metrics(workdir: Path, name: str = "metrics.jsonl") -> dict[str, np.ndarray]:
    """The rows of metrics.jsonl, or of the file `name`, as float64 arrays [rows], of a population
    [rows, members], by name, `step` among them; NaN for null. Raises UserError if they cannot be
    read."""
    rows = read_rows(workdir / name)
    names = rows[0] if rows else ["step"]
    with reading(workdir / name):  # rows may differ in their metrics
        return {name: np.array([row[name] for row in rows], np.float64) for name in names}

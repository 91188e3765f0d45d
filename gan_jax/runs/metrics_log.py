"""Logs of metrics: metrics.jsonl and scores.jsonl."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.core.files import reading, write_atomically, writing
from gan_jax.training.hooks import Chunk, Hook


class MetricsLog(Hook):
    """Hook that writes a row of metrics every `every` steps, to metrics.jsonl or scores.jsonl.

    Rows are in order of steps, without duplicates. They contain no times, so a rerun writes the
    same bytes.
    """

    def __init__(self, path: Path, every: int, step: int):
        """Open a log, and drop truncated rows and rows after `step`.

        Args:
            path: File to write.
            every: Steps between rows.
            step: Step from which the run continues.
        """
        self._path, self._every = path, every
        valid_lines = []
        text, last_step = path.read_text(errors="replace") if path.exists() else "", 0
        for line in text.splitlines(keepends=True):
            try:
                row_step = json.loads(line)["step"]
                if last_step < row_step <= step and line.endswith("\n"):
                    valid_lines.append(line)
                    last_step = row_step
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
        write_atomically(path, "".join(valid_lines))

    def on_chunk(self, chunk: Chunk) -> None:
        """Append the rows of the chunk."""
        self.write(chunk.first, chunk.metrics)

    def write(self, first: int, metrics: dict[str, np.ndarray]) -> None:
        """Append the rows that are due.

        Args:
            first: Step of the first row.
            metrics: Metrics by name, [steps] or [steps, members]. Members become a list in the row.
        """
        count = len(next(iter(metrics.values())))
        rows = [
            {"step": first + i, **{name: _to_json(array[i]) for name, array in metrics.items()}}
            for i in range(count)
            if (first + i) % self._every == 0
        ]
        lines = [json.dumps(row) for row in rows]
        if not lines:
            return
        with writing(self._path), self._path.open("a") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())


def _to_json(metric: np.ndarray) -> float | list | None:
    """Convert to JSON: null if not finite, else the shortest decimal that rounds to the float."""
    if metric.ndim:
        return [_to_json(member) for member in metric]
    return float(str(metric)) if np.isfinite(metric) else None


def check_rows(rows: Any) -> list[dict[str, Any]]:
    """Check that rows of metrics are dictionaries of numbers, nulls, or lists of these.

    Args:
        rows: Rows to check. Each must have an integer `step`.

    Returns:
        The rows.

    Raises:
        ValueError: If a row is invalid.
    """
    for row in rows if isinstance(rows, list) else [None]:
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            raise ValueError("a row must be a dictionary with an integer step")
        for entry in row.values():
            for metric in entry if isinstance(entry, list) else [entry]:
                if not (metric is None or type(metric) is float or _is_int64(metric)):
                    raise ValueError(f"a metric must be a number, got {str(metric)[:40]!r}")
    return rows


def _is_int64(metric: Any) -> bool:
    return type(metric) is int and metric < 2**63


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a log such as metrics.jsonl. Raises UserError if it is damaged."""
    with reading(path):
        return check_rows([json.loads(line) for line in path.read_text().splitlines()])


def read_metrics(workdir: Path, name: str = "metrics.jsonl") -> dict[str, np.ndarray]:
    """Read a log as arrays by name, with `step` among them.

    Args:
        workdir: Run folder.
        name: File name of the log.

    Returns:
        float64 arrays [rows], or [rows, members] for a population; NaN for null.

    Raises:
        UserError: If the log is damaged.
    """
    rows = read_rows(workdir / name)
    names = rows[0] if rows else ["step"]
    with reading(workdir / name):  # a KeyError if rows have different metrics
        return {name: np.array([row[name] for row in rows], np.float64) for name in names}

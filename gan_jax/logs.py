"""What a run writes as it goes: metrics.jsonl, scores.jsonl, and timing.json."""

import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax import memory
from gan_jax.errors import UserError, reason


def write_atomically(path: Path, text: str) -> None:
    """The file has the old text or the new one, never a part of it. Raises UserError if it cannot
    be written."""
    part = path.with_name(path.name + ".part")
    with writing(path):
        with part.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """An error of the disk becomes a UserError that names the file."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of reading or parsing a file into a UserError that names the file."""
    try:
        yield
    except RecursionError:
        raise UserError(f"{path} cannot be read: it is nested too deep") from None
    except (OSError, ValueError) as error:  # also of UTF-8, and of numbers too long for Python
        raise UserError(f"{path} cannot be read: {reason(error)}") from None
    except (KeyError, TypeError, OverflowError, MemoryError) as error:
        kind = type(error).__name__
        raise UserError(f"{path} cannot be read: {kind}: {reason(error)}") from None


class MetricsLog:
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


def read_json(path: Path) -> Any:
    """What a JSON file says. Raises UserError if it cannot be read."""
    with reading(path):
        return json.loads(path.read_text())


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


def read_timing(workdir: Path) -> list[dict[str, Any]]:
    """What each launch of a run took: timing.json, [] where there is none. Raises UserError if it
    is damaged."""
    path = workdir / "timing.json"
    try:
        found = json.loads(path.read_text()) if path.exists() else []
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ValueError("it is no list of launches")
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}: {error}") from None


def command() -> str:
    """The command that started this process, as the user could have typed it."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    name = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    return shlex.join([*(["python", "-m"] if spec else []), name, *sys.argv[1:]])


class Timing:
    """timing.json: what each launch of the run took. Of a run's records only this one, and the time
    stamps inside checkpoints, differ between reruns."""

    def __init__(
        self,
        path: Path,
        seeds: list[int],
        step: int,
        versions: dict[str, Any],
        devices: Sequence[jax.Device] = (),
    ):
        """Goes on after `step`. Raises UserError if the file is damaged."""
        self._path, self._devices = path, devices
        try:
            self._launches = json.loads(path.read_text()) if path.exists() else []
            for launch in self._launches:
                if launch["to_step"] > step:  # a kill undid the end of it: its speed is not known
                    launch |= {"to_step": step, "from_step": min(launch["from_step"], step)}
                    launch["undone"] = True
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path} is damaged: {type(error).__name__}: {error}") from None
        self._entry: dict[str, Any] = {"command": command(), "seeds": seeds, "from_step": step}
        self._versions = versions
        self._began = time.monotonic()

    def ready(self, seconds: float) -> None:
        """The first step is about to start, so many seconds after the launch."""
        self._entry["ready_seconds"] = seconds
        self._began = time.monotonic()

    def program(self, found: dict[str, int] | None) -> None:
        """The run's program is compiled: what it takes of each device (gan_jax/memory.py)."""
        self._entry["program_bytes"] = found

    def reached(self, step: int) -> None:
        """A chunk ended at this step."""
        self._entry["to_step"] = step
        self._entry["train_seconds"] = time.monotonic() - self._began
        self._entry.setdefault("first_step_seconds", self._entry["train_seconds"])

    def write(self) -> None:
        """Puts this launch on record, if it has done a step."""
        if "to_step" in self._entry:
            self._entry |= memory.peaks(self._devices) if self._devices else {}
            launches = [*self._launches, {**self._entry, "versions": self._versions}]
            write_atomically(self._path, json.dumps(launches, indent=2) + "\n")

    def close(self) -> None:
        """The last checkpoint is on the disk: the launch took until now."""
        if "to_step" in self._entry:
            self.reached(self._entry["to_step"])
        self.write()

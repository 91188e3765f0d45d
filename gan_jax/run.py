"""The run folder: config, versions, metrics, samples, checkpoints, timing."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import gan_jax
from gan_jax import config_json
from gan_jax.config import Config, differences
from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.state import Batch

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow")


def write_atomically(path: Path, text: str) -> None:
    """The file has the old text or the new one, never a part of it."""
    part = path.with_name(path.name + ".part")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _git_commit() -> str | None:
    """The commit of this package's checkout, with + where files differ from it."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        status = [
            *git,
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            ".",
            "../experiments",
        ]
        dirty = subprocess.run(status, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def versions(dataset: Dataset, devices: Sequence[jax.Device]) -> dict[str, Any]:
    """What the numbers of a run depend on beside its config."""
    cond = jax.tree.map(lambda leaf: [list(leaf.shape[1:]), str(leaf.dtype)], dataset.batch.cond)
    return {
        "python": platform.python_version(),
        "gan_jax": gan_jax.__version__,
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "git_commit": _git_commit(),
        "device": {
            "platform": devices[0].platform,
            "kind": devices[0].device_kind,
            "count": len(devices),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        },
        "data": {
            "examples": len(dataset.batch.real),
            "fingerprint": dataset.fingerprint,
            "real": list(dataset.batch.real.shape[1:]),
            "cond": cond,
        },
    }


def load_config(workdir: Path) -> Config:
    """The config of a run folder. Raises UserError if there is none or it is damaged."""
    path = workdir / "config.json"
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        if not path.exists():
            raise UserError(f"{workdir} is not a run folder: it has no config.json") from None
        raise UserError(f"{path} cannot be read: {error}") from None
    try:
        return config_json.loads(text)
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def write_config(workdir: Path, config: Config) -> None:
    """Writes the config of a run folder: at the start, and when its `steps` change."""
    write_atomically(workdir / "config.json", config_json.dumps(config))


def load_example(workdir: Path, n: int) -> Batch:
    """What `n` examples of the run's data look like to a network, without the data: zeros."""
    path = workdir / "versions.json"
    try:
        data = json.loads(path.read_text())["data"]
        real = np.zeros((n, *data["real"]), np.float32)
        cond = None if data["cond"] is None else np.zeros((n, *data["cond"][0]), data["cond"][1])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} cannot be read: {type(error).__name__}: {error}") from None
    return Batch(real, cond)


def open_run(
    workdir: Path, config: Config, dataset: Dataset, devices: Sequence[jax.Device]
) -> None:
    """Makes the run folder, or makes sure that it is of this very config and data.

    Raises UserError, naming the fields that differ, if it is not. Only `steps` may be another.
    """
    found = versions(dataset, devices)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if (workdir / "config.json").exists():
            differing = differences(load_config(workdir), config)
            if differing:
                fields = "; ".join(
                    f"{name} is {a!r} there, {b!r} here" for name, (a, b) in differing.items()
                )
                raise UserError(f"workdir {workdir} holds a run of another config: {fields}")
            there = json.loads((workdir / "versions.json").read_text())["data"]["fingerprint"]
            if there != dataset.fingerprint:
                raise UserError(
                    f"workdir {workdir} holds a run on other data: fingerprint {there[:12]} there, "
                    f"{dataset.fingerprint[:12]} here"
                )
        elif any(workdir.iterdir()):
            raise UserError(f"workdir {workdir} is neither empty nor a run folder")
        else:
            write_atomically(workdir / "versions.json", json.dumps(found, indent=2) + "\n")
            write_config(workdir, config)
        (workdir / "samples").mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"workdir {workdir}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{workdir / 'versions.json'} is damaged: {error}") from None


class MetricsLog:
    """metrics.jsonl: a row of metrics each `every` steps, step by step, no step twice.

    A row holds the step's own values and no times, so a rerun writes the same bytes.
    """

    def __init__(self, path: Path, every: int, step: int):
        """Goes on after `step`: later rows, and a row that was cut short, are dropped."""
        self._path, self._every = path, every
        kept = []
        for line in path.read_text().splitlines(keepends=True) if path.exists() else []:
            try:
                if json.loads(line)["step"] <= step and line.endswith("\n"):
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue
        write_atomically(path, "".join(kept))

    def write(self, first: int, metrics: dict[str, np.ndarray]) -> None:
        """Rows of steps `first`, `first`+1, ... that are due; leaves of `metrics` are [steps]."""
        count = len(next(iter(metrics.values())))
        lines = [
            json.dumps({"step": first + i, **{name: _plain(v[i]) for name, v in metrics.items()}})
            for i in range(count)
            if (first + i) % self._every == 0
        ]
        with self._path.open("a") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())


def _plain(value: np.ndarray) -> float | None:
    """As JSON has it: null where not finite; else the shortest decimal that is this float32."""
    return float(str(value)) if np.isfinite(value) else None


def read_metrics(workdir: Path) -> dict[str, np.ndarray]:
    """The rows of metrics.jsonl as float64 arrays by name, `step` among them; NaN for null."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    names = rows[0] if rows else ["step"]
    nan = float("nan")
    return {n: np.asarray([nan if r[n] is None else r[n] for r in rows], np.float64) for n in names}


def command() -> str:
    """The command that started this process, as the user could have typed it."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    name = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    return " ".join([f"python -m {name}" if spec else name, *sys.argv[1:]])

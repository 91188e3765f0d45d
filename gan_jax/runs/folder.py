"""Run folders: config, settings, versions, and the lock of the run that writes them."""

import contextlib
import importlib.metadata
import json
import logging
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import gan_jax
from gan_jax.config import Config, Logging, Runtime, differences, serialization
from gan_jax.core import locking, processes
from gan_jax.core.errors import UserError
from gan_jax.core.files import read_json, reading, write_atomically, writing
from gan_jax.data import sources
from gan_jax.data.audio import sounds
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.data.batch import Batch
from gan_jax.data.sources import Dataset

log = logging.getLogger(__name__)
FLAGS = ("XLA_FLAGS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION")
# Files that an interrupted start may leave in a folder without a config.
STARTUP_FILES = {"versions.json", "versions.json.part", "config.json.part"}
STARTUP_FILES |= {"vocabulary.json", "vocabulary.json.part", locking.NAME}
MAX_EXAMPLE_SIZE = 2**28  # entries of an example, as a limit for damaged files
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow")


def _git_commit() -> str | None:
    """Return the commit of the checkout, with + if Python files have uncommitted changes.

    None if the package is not part of a checkout, but installed.
    """
    package = Path(gan_jax.__file__)
    command = ["git", "-C", str(package.parent)]

    def git(*args: str) -> str:
        return subprocess.run([*command, *args], capture_output=True, text=True, check=True).stdout

    try:
        git("ls-files", "--error-unmatch", package.name)
        commit = git("rev-parse", "HEAD").strip()
        return commit + ("+" if git("status", "--porcelain", "--", "*.py", "../*.py") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def processor_name() -> str:
    """Return the name of the host's CPU, on which the code that XLA compiles depends."""
    try:
        match = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match[1] if match else platform.processor()


def environment(devices: Sequence[jax.Device], extra: Sequence[str] = ()) -> dict[str, Any]:
    """Describe the software and hardware on which results depend, besides config and data.

    Args:
        devices: Devices in use.
        extra: Names of further packages to record.

    Returns:
        Versions of Python and packages, the commit, XLA flags, and the device; as JSON.
    """
    return {
        "python": platform.python_version(),
        "gan_jax": gan_jax.__version__,
        "packages": {name: importlib.metadata.version(name) for name in (*PACKAGES, *extra)},
        "git_commit": _git_commit(),
        "flags": {name: text for name in FLAGS if (text := os.environ.get(name))},
        "device": {
            "platform": devices[0].platform,
            "kind": devices[0].device_kind,
            "count": len(devices),
            "machine": platform.machine(),
            "processor": processor_name(),
            "cores": os.cpu_count(),
        },
    }


def run_versions(dataset: Dataset, devices: Sequence[jax.Device]) -> dict[str, Any]:
    """Describe the environment and the data of a run, as in versions.json."""
    cond = jax.tree.map(
        lambda leaf: [list(leaf.shape[1:]), str(leaf.dtype)],
        sources.dummy_examples(dataset, 1).cond,
    )
    data = {
        "examples": len(dataset.batch.real),
        "fingerprint": dataset.fingerprint,
        "real": list(dataset.shape),
        "cond": cond,
    }
    if dataset.audio_format:
        data["sound"] = sounds.to_json(dataset.audio_format)
    return {**environment(devices), "data": data}


def load_config(workdir: Path) -> Config:
    """Load the config of a run folder. Raises UserError if it is missing or damaged."""
    path = workdir / "config.json"
    if not path.exists():
        raise UserError(f"{workdir} is not a run folder: it has no config.json")
    with reading(path):
        text = path.read_text()
    try:
        return serialization.loads(text)
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def write_config(workdir: Path, config: Config) -> None:
    """Write the config of a run folder, at the start and when `steps` changes."""
    write_atomically(workdir / "config.json", serialization.dumps(config))


def write_settings(workdir: Path, logging: Logging, runtime: Runtime) -> None:
    """Write settings.json, with the logging and execution settings of this launch.

    Logs a warning if a changed setting affects rounding.

    Args:
        workdir: Run folder.
        logging: Logging settings.
        runtime: Execution settings.
    """
    if (workdir / "settings.json").exists():
        previous = load_settings(workdir)[1]
        for name in ("microbatch", "remat"):
            old, new = getattr(previous, name), getattr(runtime, name)
            if old != new:
                log.warning("%s was %r, is %r: results may differ in rounding", name, old, new)
    write_atomically(workdir / "settings.json", serialization.dumps_settings(logging, runtime))


def load_settings(workdir: Path) -> tuple[Logging, Runtime]:
    """Load the logging and execution settings of the last launch of a run.

    Run folders of version 0.1 have these settings in config.json.

    Raises:
        UserError: If the file is damaged.
    """
    path = workdir / "settings.json"
    path = path if path.exists() else workdir / "config.json"
    return serialization.load_settings(read_json(path), str(path))


def load_versions(workdir: Path) -> dict[str, Any]:
    """Load versions.json of a run folder. Raises UserError if it is damaged or lacks the data."""
    path = workdir / "versions.json"
    versions = read_json(path)
    data = versions.get("data") if isinstance(versions, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("fingerprint"), str):
        raise UserError(f"{path} cannot be read: it does not describe the data of the run")
    return versions


def _zeros(n: int, shape: Any, dtype: str = "float32") -> np.ndarray:
    """Return zeros for n examples. Raises ValueError for invalid shapes, before allocation."""
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"a shape must be a list of sides, got {shape!r}")
    if len(shape) > 8 or math.prod(shape) > MAX_EXAMPLE_SIZE or dtype not in ("float32", "int32"):
        raise ValueError(
            f"examples must be float32 or int32 of a smaller shape, got {dtype} {shape}"
        )
    return np.zeros((n, *shape), dtype)


def load_example(workdir: Path, n: int) -> Batch:
    """Return zeros with the shapes and dtypes of n examples of the run, without its data."""
    data = load_versions(workdir)["data"]
    with reading(workdir / "versions.json"):
        real, cond = _zeros(n, data["real"]), data["cond"]
        if isinstance(cond, dict):
            cond = {name: _zeros(n, *shape_and_dtype) for name, shape_and_dtype in cond.items()}
        elif cond is not None:
            cond = _zeros(n, *cond)
    return Batch(real, cond)


def load_audio_format(workdir: Path) -> AudioFormat | None:
    """Load the audio format of the run's examples, without its data; None if not audio."""
    sound = load_versions(workdir)["data"].get("sound")
    with reading(workdir / "versions.json"):
        return sounds.from_json(sound) if sound else None


@contextlib.contextmanager
def open_folder(
    workdir: Path, config: Config, dataset: Dataset, devices: Sequence[jax.Device]
) -> Iterator[dict[str, Any]]:
    """Create a run folder, or check that it belongs to this config and data, and lock it.

    Logs a warning if versions differ from those of the first launch. In a multi-process run only
    the process that writes calls it; the others wait at the barrier.

    Args:
        workdir: Run folder.
        config: Config of the run. Only `steps` may differ from that in the folder.
        dataset: Data set of the run.
        devices: Devices of this launch.

    Yields:
        The versions of this launch.

    Raises:
        UserError: If the folder is that of another run (the message lists the differing fields), or
            another process has locked it.
    """
    versions = run_versions(dataset, devices)
    if jax.process_count() > 1:
        versions["device"]["processes"] = jax.process_count()
    with writing(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in workdir.iterdir()}
    if "config.json" not in names and names - STARTUP_FILES:
        raise UserError(f"workdir {workdir} is neither empty nor a run folder")
    with locking.lock_folder(workdir):
        with writing(workdir):
            _prepare_folder(workdir, config, dataset, versions)
        processes.barrier()
        yield versions


def _prepare_folder(
    workdir: Path, config: Config, dataset: Dataset, versions: dict[str, Any]
) -> None:
    if (workdir / "config.json").exists():
        _check_same_run(workdir, config, versions)
    else:
        write_atomically(workdir / "versions.json", json.dumps(versions, indent=2) + "\n")
        if dataset.vocabulary is not None:
            write_atomically(workdir / "vocabulary.json", json.dumps(dataset.vocabulary) + "\n")
        write_config(workdir, config)
    (workdir / "samples").mkdir(exist_ok=True)


def _check_same_run(workdir: Path, config: Config, versions: dict[str, Any]) -> None:
    changed_fields = differences(load_config(workdir), config)
    if changed_fields:
        fields = "; ".join(
            f"{name} must be {old!r}, got {new!r}" for name, (old, new) in changed_fields.items()
        )
        raise UserError(f"workdir {workdir} holds a run of another config: {fields}")
    first = load_versions(workdir)
    try:
        recorded, current = first["data"]["fingerprint"], versions["data"]["fingerprint"]
        sections = ("packages", "device", "flags")
        changed_sections = [name for name in sections if first[name] != versions[name]]
    except (KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{workdir / 'versions.json'} is damaged: {reason}") from None
    if recorded != current:
        raise UserError(
            f"workdir {workdir} holds a run on other data: fingerprint must be {recorded[:12]}, "
            f"got {current[:12]}"
        )
    for name in changed_sections:
        log.warning("%s differ from those of the first launch: results may differ", name)

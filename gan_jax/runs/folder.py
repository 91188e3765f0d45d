"""The run folder: config, versions, metrics, samples, checkpoints, timing."""

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
# What a folder may hold that was started and not yet ready.
STARTUP_FILES = {"versions.json", "versions.json.part", "config.json.part"}
STARTUP_FILES |= {"vocabulary.json", "vocabulary.json.part", locking.NAME}
MAX_EXAMPLE_SIZE = 2**28  # numbers in an example, of what a run folder may say
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow")


def _git_commit() -> str | None:
    """The commit of this package's checkout, with + where its Python files differ from it; None
    where the package is not the checkout's own (but installed into some environment)."""
    package = Path(gan_jax.__file__)
    git = ["git", "-C", str(package.parent)]

    def ask(*words: str) -> str:
        return subprocess.run([*git, *words], capture_output=True, text=True, check=True).stdout

    try:
        ask("ls-files", "--error-unmatch", package.name)
        commit = ask("rev-parse", "HEAD").strip()
        return commit + ("+" if ask("status", "--porcelain", "--", "*.py", "../*.py") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def processor_name() -> str:
    """Name of the host's CPU, as far as it is known: what XLA compiles for depends on it."""
    try:
        found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def environment(devices: Sequence[jax.Device], extra: Sequence[str] = ()) -> dict[str, Any]:
    """What numbers depend on beside config and data: versions, those of `extra` packages too, code
    and device."""
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
    """What the numbers of a run depend on beside its config."""
    seen = sources.dummy_examples(dataset, 1).cond
    cond = jax.tree.map(lambda leaf: [list(leaf.shape[1:]), str(leaf.dtype)], seen)
    data = {
        "examples": len(dataset.batch.real),
        "fingerprint": dataset.fingerprint,
        "real": list(dataset.shape),
        "cond": cond,
    }
    if dataset.sound:
        data["sound"] = sounds.to_json(dataset.sound)
    return {**environment(devices), "data": data}


def load_config(workdir: Path) -> Config:
    """The config of a run folder. Raises UserError if there is none or it is damaged."""
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
    """Writes the config of a run folder: at the start, and when its `steps` change."""
    write_atomically(workdir / "config.json", serialization.dumps(config))


def write_settings(workdir: Path, logging: Logging, runtime: Runtime) -> None:
    """Writes settings.json: how the last launch was executed and logged.

    Args:
        workdir: Run folder.
        logging: What the launch writes, and when.
        runtime: How it is executed. A warning says so if the bits may differ from before.
    """
    if (workdir / "settings.json").exists():
        before = load_settings(workdir)[1]
        for name in ("microbatch", "remat"):
            was, now = getattr(before, name), getattr(runtime, name)
            if was != now:
                log.warning("%s was %r, is %r: the run's bits may differ", name, was, now)
    write_atomically(workdir / "settings.json", serialization.dumps_settings(logging, runtime))


def load_settings(workdir: Path) -> tuple[Logging, Runtime]:
    """Reads how the last launch of a run was executed and logged.

    Folders of version 0.1 have these settings in config.json.

    Raises:
        UserError: If the file is damaged.
    """
    path = workdir / "settings.json"
    path = path if path.exists() else workdir / "config.json"
    return serialization.load_settings(read_json(path), str(path))


def load_versions(workdir: Path) -> dict[str, Any]:
    """The versions.json of a run folder. Raises UserError if it cannot be read, or does not say
    what data there is."""
    path = workdir / "versions.json"
    found = read_json(path)
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("fingerprint"), str):
        raise UserError(f"{path} cannot be read: it does not say what data the run is on")
    return found


def _zeros(n: int, shape: Any, kind: str = "float32") -> np.ndarray:
    """Raises ValueError, before anything is allocated, for what no examples are."""
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"{shape!r} is no shape")
    if len(shape) > 8 or math.prod(shape) > MAX_EXAMPLE_SIZE or kind not in ("float32", "int32"):
        raise ValueError(f"examples {kind} {shape}")
    return np.zeros((n, *shape), kind)


def load_example(workdir: Path, n: int) -> Batch:
    """What `n` examples of the run's data look like to a network, without the data: zeros."""
    data = load_versions(workdir)["data"]
    with reading(workdir / "versions.json"):
        real, cond = _zeros(n, data["real"]), data["cond"]
        if isinstance(cond, dict):
            cond = {name: _zeros(n, *one) for name, one in cond.items()}
        elif cond is not None:
            cond = _zeros(n, *cond)
    return Batch(real, cond)


def load_audio_format(workdir: Path) -> AudioFormat | None:
    """How the run's examples are heard, without the data; None where they are no sounds."""
    found = load_versions(workdir)["data"].get("sound")
    with reading(workdir / "versions.json"):
        return sounds.from_json(found) if found else None


@contextlib.contextmanager
def open_folder(
    workdir: Path, config: Config, dataset: Dataset, devices: Sequence[jax.Device]
) -> Iterator[dict[str, Any]]:
    """Makes the run folder, or makes sure that it is of this very config and data, and holds its
    lock. Yields the versions of this launch; where they are not those of the first, the log says
    so. Of several processes only the one that writes calls it; the others wait until it is ready.

    Raises UserError, naming the fields that differ, if it is of others, or the process that holds
    it. Only `steps` may differ.
    """
    found = run_versions(dataset, devices)
    if jax.process_count() > 1:
        found["device"]["processes"] = jax.process_count()
    with writing(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in workdir.iterdir()}
    if "config.json" not in there and there - STARTUP_FILES:
        raise UserError(f"workdir {workdir} is neither empty nor a run folder")
    with locking.lock_folder(workdir):
        with writing(workdir):
            _prepare_folder(workdir, config, dataset, found)
        processes.barrier()
        yield found


def _prepare_folder(workdir: Path, config: Config, dataset: Dataset, found: dict[str, Any]) -> None:
    if (workdir / "config.json").exists():
        _check_same_run(workdir, config, found)
    else:
        write_atomically(workdir / "versions.json", json.dumps(found, indent=2) + "\n")
        if dataset.vocabulary is not None:
            write_atomically(workdir / "vocabulary.json", json.dumps(dataset.vocabulary) + "\n")
        write_config(workdir, config)
    (workdir / "samples").mkdir(exist_ok=True)


def _check_same_run(workdir: Path, config: Config, found: dict[str, Any]) -> None:
    differing = differences(load_config(workdir), config)
    if differing:
        fields = "; ".join(f"{n} is {a!r} there, {b!r} here" for n, (a, b) in differing.items())
        raise UserError(f"workdir {workdir} holds a run of another config: {fields}")
    first = load_versions(workdir)
    try:
        there, here = first["data"]["fingerprint"], found["data"]["fingerprint"]
        parted = [name for name in ("packages", "device", "flags") if first[name] != found[name]]
    except (KeyError, TypeError) as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"{workdir / 'versions.json'} is damaged: {said}") from None
    if there != here:
        raise UserError(
            f"workdir {workdir} holds a run on other data: fingerprint {there[:12]} there, "
            f"{here[:12]} here"
        )
    for name in parted:
        log.warning("%s differ from the run's first ones: its bits may too", name)

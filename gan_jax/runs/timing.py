"""timing.json: duration, speed and memory of each launch of a run."""

import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from gan_jax.core import memory
from gan_jax.core.errors import UserError
from gan_jax.core.files import write_atomically
from gan_jax.training.hooks import Chunk, Hook
from gan_jax.training.state import TrainState


def read_timing(workdir: Path) -> list[dict[str, Any]]:
    """Read the launches in timing.json; [] if there is no file. Raises UserError if damaged."""
    path = workdir / "timing.json"
    try:
        launches = json.loads(path.read_text()) if path.exists() else []
        if not isinstance(launches, list) or not all(isinstance(row, dict) for row in launches):
            raise ValueError("it is not a list of launches")
        return launches
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}: {error}") from None


def launch_command() -> str:
    """Return the command line that started this process, quoted for a shell."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    name = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    return shlex.join([*(["python", "-m"] if spec else []), name, *sys.argv[1:]])


class Timing(Hook):
    """Hook that writes timing.json.

    Only this file, and the time stamps inside checkpoints, differ between reruns of a run.
    """

    def __init__(
        self,
        path: Path,
        seeds: list[int],
        step: int,
        versions: dict[str, Any],
        devices: Sequence[jax.Device] = (),
    ):
        """Read the previous launches, and start to measure this one.

        Args:
            path: Path of timing.json.
            seeds: Seeds of the members.
            step: Step from which the run continues; launches beyond it are marked as undone.
            versions: Versions of code, device and data.
            devices: Devices for peak memory.

        Raises:
            UserError: If the file is damaged.
        """
        self._path, self._devices = path, devices
        try:
            self._launches = json.loads(path.read_text()) if path.exists() else []
            for launch in self._launches:
                if launch["to_step"] > step:  # its last steps were lost, so its speed is unknown
                    launch |= {"to_step": step, "from_step": min(launch["from_step"], step)}
                    launch["undone"] = True
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path} is damaged: {type(error).__name__}: {error}") from None
        self._entry: dict[str, Any] = {
            "command": launch_command(),
            "seeds": seeds,
            "from_step": step,
        }
        self._versions = versions
        self._start = time.monotonic()

    def ready(self, seconds: float) -> None:
        """Mark the start of the first step, `seconds` after the launch."""
        self._entry["ready_seconds"] = seconds
        self._start = time.monotonic()

    def program(self, memory_bytes: dict[str, int] | None) -> None:
        """Record the memory of the compiled program per device (gan_jax/core/memory.py)."""
        self._entry["program_bytes"] = memory_bytes

    def on_chunk(self, chunk: Chunk) -> None:
        """Record the time up to the end of the chunk."""
        self._record_step(chunk.step)

    def on_end(self, state: TrainState, *, stopped: bool) -> None:  # noqa: ARG002
        """Record the end of the launch."""
        if "to_step" in self._entry:
            self._record_step(self._entry["to_step"])
        self.write()

    def _record_step(self, step: int) -> None:
        self._entry["to_step"] = step
        self._entry["train_seconds"] = time.monotonic() - self._start
        self._entry.setdefault("first_step_seconds", self._entry["train_seconds"])

    def write(self) -> None:
        """Write timing.json, if this launch has completed a step."""
        if "to_step" in self._entry:
            self._entry |= memory.peak_memory(self._devices) if self._devices else {}
            launches = [*self._launches, {**self._entry, "versions": self._versions}]
            write_atomically(self._path, json.dumps(launches, indent=2) + "\n")

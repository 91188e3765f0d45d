"""timing.json: duration, speed, and memory of each launch of a run."""

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


def launch_command() -> str:
    """The command that started this process, as the user could have typed it."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    name = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    return shlex.join([*(["python", "-m"] if spec else []), name, *sys.argv[1:]])


class Timing(Hook):
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
        self._entry: dict[str, Any] = {
            "command": launch_command(),
            "seeds": seeds,
            "from_step": step,
        }
        self._versions = versions
        self._began = time.monotonic()

    def ready(self, seconds: float) -> None:
        """The first step is about to start, so many seconds after the launch."""
        self._entry["ready_seconds"] = seconds
        self._began = time.monotonic()

    def program(self, found: dict[str, int] | None) -> None:
        """The run's program is compiled: what it takes of each device (gan_jax/core/memory.py)."""
        self._entry["program_bytes"] = found

    def on_chunk(self, chunk: Chunk) -> None:
        self._reached(chunk.step)

    def on_end(self, state: TrainState, *, stopped: bool) -> None:  # noqa: ARG002
        """Records that the launch took until now."""
        if "to_step" in self._entry:
            self._reached(self._entry["to_step"])
        self.write()

    def _reached(self, step: int) -> None:
        self._entry["to_step"] = step
        self._entry["train_seconds"] = time.monotonic() - self._began
        self._entry.setdefault("first_step_seconds", self._entry["train_seconds"])

    def write(self) -> None:
        """Puts this launch on record, if it has done a step."""
        if "to_step" in self._entry:
            self._entry |= memory.peak_memory(self._devices) if self._devices else {}
            launches = [*self._launches, {**self._entry, "versions": self._versions}]
            write_atomically(self._path, json.dumps(launches, indent=2) + "\n")

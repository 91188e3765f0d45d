"""Kill a run again and again, and compare it with one that was never interrupted.

    python -m studies.kill_rounds --out experiments/results/kill_rounds.json

In each round a process trains `digits_mlp`, with small networks and frequent checkpoints, and is
ended with kill -9 at a random moment: one in five while it starts, the others at any time after it
has locked its folder, while it restores, compiles, trains, writes metrics or writes a checkpoint.
Afterwards the run is continued to its end and compared with an uninterrupted run of as many steps:
digests of the states, and every byte of metrics.jsonl.
"""

import dataclasses
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments import digits_mlp
from gan_jax.core import command_line, devices, locking
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.runs import digest
from gan_jax.runs import folder as run_folder
from studies import common

CHECKPOINT_EVERY = 50  # steps
LOG_EVERY = 5  # steps
ENDLESS = 10**8  # steps, which no round completes
FLAGS = "--gen.widths 64 --disc.widths 64 --batch-size 16 --sample-every 1000000 --keep 2"


@dataclasses.dataclass(frozen=True)
class Study:
    """Rounds to run, and the file to write."""

    rounds: int = 100
    """Number of times the run is killed."""
    seed: int = 0
    """Seed of the moments."""
    seconds: float = 3.0
    """Largest time from locking the folder to the kill, in seconds."""
    out: Path | None = None
    """Path of the record; None writes none."""


def start(workdir: Path, steps: int) -> subprocess.Popen:
    """Start the run in a new process."""
    words = f"--workdir {workdir} --steps {steps}"
    words += f" --checkpoint-every {CHECKPOINT_EVERY} --log-every {LOG_EVERY}"
    command = [sys.executable, "-m", "experiments.digits_mlp", *words.split(), *FLAGS.split()]
    return subprocess.Popen([*command, "--devices", "1"], stderr=subprocess.DEVNULL)


def lock_owner(workdir: Path) -> str:
    """Return the owner of the folder's lock, which stays after a kill."""
    path = workdir / locking.NAME
    return path.read_text() if path.exists() else ""


def kill(workdir: Path, moments: random.Random, seconds: float) -> dict[str, Any]:
    """Start the run and kill it at a random moment.

    Args:
        workdir: Run folder.
        moments: Random numbers that decide the moment.
        seconds: Largest time from locking the folder to the kill.

    Returns:
        Work in progress at the kill, and counts of rows and steps.

    Raises:
        UserError: The run ended before the kill.
    """
    process, early = start(workdir, ENDLESS), moments.random() < 0.2
    delay = moments.uniform(0, seconds)
    while not early and f"process {process.pid} " not in lock_owner(workdir):
        if process.poll() is not None:
            raise UserError(
                f"the run must not end before the kill, got status {process.returncode}"
            )
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    text = (workdir / "metrics.jsonl").read_text() if (workdir / "metrics.jsonl").exists() else ""
    steps = [
        json.loads(line)["step"] for line in text.splitlines(keepends=True) if line[-1] == "\n"
    ]
    complete = [
        int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit()
    ]
    return {
        "before_the_folder_was_taken": f"process {process.pid} " not in lock_owner(workdir),
        "while_a_checkpoint_was_written": any((workdir / "checkpoints").glob("*.orbax*")),
        "in_the_middle_of_a_row": bool(text) and text[-1] != "\n",
        "rows_lost": len(set(range(LOG_EVERY, max(steps, default=0) + 1, LOG_EVERY)) - set(steps)),
        "rows_doubled": len(steps) - len(set(steps)),
        "steps_undone": max(0, max(steps, default=0) - max(complete, default=0)),
        "reached": max(complete, default=0),
    }


def finish(workdir: Path, steps: int) -> tuple[bytes, str]:
    """Continue the run to its end; return its rows and the digest of its last state."""
    status = start(workdir, steps).wait()
    if status:
        raise UserError(f"the run in {workdir} must end with status 0, got {status}")
    return (workdir / "metrics.jsonl").read_bytes(), digest.read_digests(workdir)[steps]


def study(flags: Study, folder: Path) -> dict[str, Any]:
    """Run all rounds and the uninterrupted run in `folder`; return the record."""
    moments, kills = random.Random(flags.seed), []
    for number in range(flags.rounds):
        kills.append(kill(folder / "killed", moments, flags.seconds))
        print(f"round {number + 1}: {kills[-1]}", flush=True)
    steps = kills[-1]["reached"] + 4 * CHECKPOINT_EVERY
    rows, last = finish(folder / "killed", steps)
    expected_rows, expected_last = finish(folder / "whole", steps)
    names = [name for name in kills[0] if name not in ("reached", "steps_undone")]
    return {
        "seed": flags.seed,
        "rounds": flags.rounds,
        "steps": steps,
        "checkpoint_every": CHECKPOINT_EVERY,
        "kills": {name: sum(int(entry[name]) for entry in kills) for name in names},
        "steps_undone": sum(entry["steps_undone"] for entry in kills),
        "most_steps_undone": max(entry["steps_undone"] for entry in kills),
        "rows": len(rows.splitlines()),
        "same_rows": rows == expected_rows,
        "same_state": last == expected_last,
        "digest": last,
    }


def main() -> None:
    """Print the figures, and write them to --out; exit status 1 if the runs differ."""
    flags = command_line.parse(Study())
    if flags.rounds < 1:
        raise UserError(f"rounds must be at least 1, got {flags.rounds}")
    with tempfile.TemporaryDirectory() as folder:
        figures = study(flags, Path(folder))
    dataset = sources.load(digits_mlp.config.data)
    figures["versions"] = run_folder.run_versions(dataset, devices.pick_devices(1))
    print(json.dumps({k: v for k, v in figures.items() if k != "versions"}, indent=1))
    if flags.out:
        common.write_record(flags.out, figures)
    lost = figures["kills"]["rows_lost"] + figures["kills"]["rows_doubled"]
    if lost or not (figures["same_rows"] and figures["same_state"]):
        raise SystemExit(1)


if __name__ == "__main__":
    with command_line.user_errors():
        main()

"""A run that is killed again and again: does it end with the bits of one that nobody touched?

Command  python -m studies.kill_rounds --out experiments/results/kill_rounds.json
Result   README.md, from experiments/results/kill_rounds.json

In each round the run of `experiments.digits_mlp`, with small networks and a checkpoint every few
steps, is started in a process of its own and ended with kill -9 at a random moment: one in five
while it starts, the others at any time after it has taken its folder, while it restores, compiles,
trains, writes metrics or writes a checkpoint. Then it is let run to its end, and held against a run
of as many steps in one go: digests of the states, and every byte of metrics.jsonl.
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

EVERY = 50  # steps between checkpoints
ROWS = 5  # steps between rows
MANY = 10**8  # steps: no round comes to its end
FLAGS = "--gen.widths 64 --disc.widths 64 --batch-size 16 --sample-every 1000000 --keep 2"


@dataclasses.dataclass(frozen=True)
class Study:
    """What to do."""

    rounds: int = 100
    """How often the run is killed."""
    seed: int = 0
    """Of the moments."""
    seconds: float = 3.0
    """Longest time from taking the folder to the kill."""
    out: Path | None = None
    """Write what was found there, as JSON."""


def start(workdir: Path, steps: int) -> subprocess.Popen:
    """The run's command, in a process of its own."""
    words = f"--workdir {workdir} --steps {steps} --checkpoint-every {EVERY} --log-every {ROWS}"
    command = [sys.executable, "-m", "experiments.digits_mlp", *words.split(), *FLAGS.split()]
    return subprocess.Popen([*command, "--devices", "1"], stderr=subprocess.DEVNULL)


def holder(workdir: Path) -> str:
    """Who has the folder, or had it when it was killed."""
    path = workdir / locking.NAME
    return path.read_text() if path.exists() else ""


def kill(workdir: Path, moments: random.Random, seconds: float) -> dict[str, Any]:
    """One round. What the kill hit; raises UserError if the run ended by itself before."""
    process, early = start(workdir, MANY), moments.random() < 0.2
    delay = moments.uniform(0, seconds)
    while not early and f"process {process.pid} " not in holder(workdir):
        if process.poll() is not None:
            raise UserError(f"the run ended by itself with status {process.returncode}")
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    text = (workdir / "metrics.jsonl").read_text() if (workdir / "metrics.jsonl").exists() else ""
    steps = [
        json.loads(line)["step"] for line in text.splitlines(keepends=True) if line[-1] == "\n"
    ]
    whole = [int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit()]
    return {
        "before_the_folder_was_taken": f"process {process.pid} " not in holder(workdir),
        "while_a_checkpoint_was_written": any((workdir / "checkpoints").glob("*.orbax*")),
        "in_the_middle_of_a_row": bool(text) and text[-1] != "\n",
        "rows_lost": len(set(range(ROWS, max(steps, default=0) + 1, ROWS)) - set(steps)),
        "rows_doubled": len(steps) - len(set(steps)),
        "steps_undone": max(0, max(steps, default=0) - max(whole, default=0)),
        "reached": max(whole, default=0),
    }


def finished(workdir: Path, steps: int) -> tuple[bytes, str]:
    """The run, let alone until its end: its rows, and the digest of its last state."""
    status = start(workdir, steps).wait()
    if status:
        raise UserError(f"the run in {workdir} ended with status {status}")
    return (workdir / "metrics.jsonl").read_bytes(), digest.read_digests(workdir)[steps]


def study(flags: Study, folder: Path) -> dict[str, Any]:
    """All rounds, and the run that was not killed, in this folder; what to write."""
    moments, found = random.Random(flags.seed), []
    for number in range(flags.rounds):
        found.append(kill(folder / "killed", moments, flags.seconds))
        print(f"round {number + 1}: {found[-1]}", flush=True)
    steps = found[-1]["reached"] + 4 * EVERY
    rows, last = finished(folder / "killed", steps)
    whole_rows, whole_last = finished(folder / "whole", steps)
    names = [name for name in found[0] if name not in ("reached", "steps_undone")]
    return {
        "seed": flags.seed,
        "rounds": flags.rounds,
        "steps": steps,
        "checkpoint_every": EVERY,
        "kills": {name: sum(int(one[name]) for one in found) for name in names},
        "steps_undone": sum(one["steps_undone"] for one in found),
        "most_steps_undone": max(one["steps_undone"] for one in found),
        "rows": len(rows.splitlines()),
        "same_rows": rows == whole_rows,
        "same_state": last == whole_last,
        "digest": last,
    }


def main() -> None:
    """Prints the figures, and writes them to --out. Exit status 1 if the runs differ."""
    flags = command_line.parse(Study())
    if flags.rounds < 1:
        raise UserError(f"rounds is {flags.rounds}: it must be at least 1")
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

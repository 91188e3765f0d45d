"""Overhead of a run over its bare train step, and startup time of a process.

    python -m benchmarks.loop --out experiments/results/loop.json

The bare step is `jax.jit(train_step)`, called from Python on a batch that stays on the device, with
a donated state and nothing read back. The bare program makes all steps, and also selects the
examples. The whole loop is `fit` on the same config, in a run folder, with metrics, grids and
checkpoints, until the last one is on disk. All are timed after their first step, in turn, in one
process; figures are medians of the repeats.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import tyro

from experiments import digits_mlp
from gan_jax import train
from gan_jax.config import Config
from gan_jax.core import devices as core_devices
from gan_jax.core import files
from gan_jax.data import feeds, sources
from gan_jax.data.batch import Batch
from gan_jax.runs import folder as run_folder
from gan_jax.runs import timing as runs_timing
from gan_jax.training import parallel
from gan_jax.training.initialize import initialize
from gan_jax.training.step import make_train_step


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Duration of the benchmark, and the file to write."""

    steps: int = 2000
    """Number of train steps."""
    repeats: int = 3
    """Number of measurements."""
    out: Path | None = None
    """Path of the record; None writes none."""


def bare_step(config: Config) -> float:
    """Return the examples per second of the jitted step alone."""
    dataset, devices = sources.load(config.data), jax.local_devices()[:1]
    state = initialize(config, dataset, devices)
    batch = Batch(dataset.batch.real[: config.batch_size][None])
    batch = batch.replace(real=feeds.to_network_range(batch.real, symmetric=config.data.symmetric))
    step = jax.jit(make_train_step(config), donate_argnums=0)
    batch = core_devices.replicate(batch, devices)
    state, _ = jax.block_until_ready(step(state, batch))
    start = time.perf_counter()
    for _ in range(config.steps - 1):
        state, _ = step(state, batch)
    jax.block_until_ready(state)
    return (config.steps - 1) * config.batch_size / (time.perf_counter() - start)


def bare_chunk(config: Config) -> float:
    """Return the examples per second of all steps as one program."""
    dataset, devices = sources.load(config.data), jax.local_devices()[:1]
    state, examples = (
        initialize(config, dataset, devices),
        core_devices.replicate(dataset.batch, devices),
    )
    program = parallel.make_program(config, devices, config.steps)
    state, _ = jax.block_until_ready(program(state, 1, examples))
    start = time.perf_counter()
    jax.block_until_ready(program(state, config.steps - 1, examples))
    return (config.steps - 1) * config.batch_size / (time.perf_counter() - start)


def whole_loop(config: Config) -> float:
    """Return the examples per second of `fit`."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "run"
        train.fit(config, workdir, devices=jax.local_devices()[:1], quiet=True)
        (timing,) = json.loads((workdir / "timing.json").read_text())
    seconds = timing["train_seconds"] - timing["first_step_seconds"]
    return (config.steps - 1) * config.batch_size / seconds


def one_step_command(config: Config) -> float:
    """Return the seconds of a process that makes one step.

    It imports, loads data, compiles from a warm cache, and writes a grid and a checkpoint.
    """
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--steps", "1", "--workdir", str(Path(folder) / "run")]
        words = [sys.executable, "-m", f"experiments.{config.name}", *flags]
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    """Measure, print, and write JSON if `--out` is set."""
    flags = tyro.cli(Benchmark)
    config = digits_mlp.config.replace(steps=flags.steps)
    functions = {"bare_step": bare_step, "bare_chunk": bare_chunk, "whole_loop": whole_loop}
    rates = {name: [] for name in functions}
    for _ in range(flags.repeats):
        for name, measure in functions.items():
            rates[name].append(measure(config))
        print(", ".join(f"{n} {r[-1]:.0f}" for n, r in rates.items()), "images/s", flush=True)
    medians = {name: statistics.median(rate) for name, rate in rates.items()}
    starts = [one_step_command(config) for _ in range(flags.repeats + 1)][1:]  # without the warm-up
    record = {
        "command": runs_timing.launch_command(),
        "experiment": config.name,
        "steps": flags.steps,
        "images_per_second": rates,
        "loop_over_bare_step": medians["bare_step"] / medians["whole_loop"] - 1,
        "loop_over_bare_chunk": medians["bare_chunk"] / medians["whole_loop"] - 1,
        "one_step_command_seconds": starts,
        "versions": run_folder.run_versions(sources.load(config.data), jax.local_devices()[:1]),
    }
    for name in ("loop_over_bare_step", "loop_over_bare_chunk"):
        print(f"{name}: {100 * record[name]:+.1f} %")
    print(f"a process that makes one step: {statistics.median(starts):.1f} s")
    if flags.out:
        files.write_atomically(Path(flags.out), json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

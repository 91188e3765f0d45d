"""What a run costs over its bare train step: logging, grids and checkpoints included.

Command  python -m experiments.benchmark --out experiments/results/loop.json

The bare step is `jax.jit(train_step)`, called step after step on a batch that rests on the device,
its state donated, nothing read back. The whole loop is `fit` on the same config, in a run folder:
it picks the examples, writes metrics, grids and checkpoints. Both are timed after their first step,
in turn, in one process; medians of the repeats.
"""

import dataclasses
import json
import statistics
import tempfile
import time
from pathlib import Path

import jax
import tyro

from experiments import digits_mlp
from gan_jax import parallel, run, train
from gan_jax.config import Config
from gan_jax.data import sources
from gan_jax.state import Batch
from gan_jax.step import make_train_step


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """How long to measure, and where to put it."""

    steps: int = 2000
    repeats: int = 3
    out: Path | None = None


def bare_step(config: Config) -> float:
    """Examples a second of the jitted step alone."""
    dataset, devices = sources.load(config.data), jax.local_devices()[:1]
    state = train.start(config, dataset, devices)
    batch = Batch(dataset.batch.real[: config.batch_size][None])
    batch = batch.replace(real=parallel.scale(batch.real, symmetric=config.data.symmetric))
    step = jax.jit(make_train_step(config), donate_argnums=0)
    batch = parallel.place(batch, devices)
    state, _ = jax.block_until_ready(step(state, batch))
    began = time.perf_counter()
    for _ in range(config.steps - 1):
        state, _ = step(state, batch)
    jax.block_until_ready(state)
    return (config.steps - 1) * config.batch_size / (time.perf_counter() - began)


def whole_loop(config: Config) -> tuple[float, dict[str, float]]:
    """Examples a second of `fit`, and what it recorded of its time."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "run"
        train.fit(config, workdir, devices=jax.local_devices()[:1], quiet=True)
        (timing,) = json.loads((workdir / "timing.json").read_text())
    seconds = timing["train_seconds"] - timing["first_step_seconds"]
    return (config.steps - 1) * config.batch_size / seconds, timing


def main() -> None:
    """Measures, prints, and writes JSON if asked to."""
    flags = tyro.cli(Benchmark)
    config = dataclasses.replace(digits_mlp.config, steps=flags.steps)
    bare, whole = [], []
    for _ in range(flags.repeats):
        bare.append(bare_step(config))
        whole.append(whole_loop(config)[0])
        print(f"bare step {bare[-1]:.0f} images/s, whole loop {whole[-1]:.0f}", flush=True)
    found = {
        "command": run.command(),
        "experiment": config.name,
        "steps": flags.steps,
        "bare_step_images_per_second": bare,
        "whole_loop_images_per_second": whole,
        "loop_over_bare_step": statistics.median(bare) / statistics.median(whole) - 1,
        "versions": run.versions(sources.load(config.data), jax.local_devices()[:1]),
    }
    print(f"the loop costs {100 * found['loop_over_bare_step']:+.1f} % over the bare step")
    if flags.out:
        run.write_atomically(flags.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

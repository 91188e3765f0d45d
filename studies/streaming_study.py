"""Cost of streaming: speed beside the resident feed, and memory for large data sets.

    python -m studies.streaming_study --out experiments/results/streaming.json

The data are synthetic images of 32x32 pixels, smooth colors with noise, written as PNG files and
prepared. The study answers three questions.

Speed: a DCGAN that keeps the device busy trains on the prepared set, resident on the device and
streamed from disk in turn, in one process. Each turn starts its feed anew. Timing starts after the
first block, when as many steps are prefetched as at the end.

Memory: 100,000 images are prepared, and streamed through a small network, each in a new process.
The figure is the largest resident size of the process.

Bits: every batch of two blocks of steps from disk is compared with that of the resident set.
"""

import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from PIL import Image

from gan_jax.config import Config, ImageData, Prior, Runtime, population
from gan_jax.core import command_line, memory
from gan_jax.core import devices as core_devices
from gan_jax.data import feeds, sources
from gan_jax.data.images import prepare
from gan_jax.networks import dcgan, mlp
from gan_jax.runs import folder as run_folder
from gan_jax.training import loop, parallel
from gan_jax.training.initialize import initialize
from studies import common

SIDE = 32
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Study:
    """Amount of data and of repeats, and the file to write."""

    pictures: int = 100_000
    """Number of images that are prepared and streamed."""
    width: int = 64
    """Number of channels of the DCGAN's last stage."""
    blocks: int = 1
    """Number of blocks of the stream that a turn is timed over, after one that is not timed."""
    repeats: int = 5
    """Number of turns of each feed."""
    workers: int = 0
    """Number of processes that read; 0 uses threads."""
    format: str = "png"
    """Image format of the prepared set."""
    folder: Path | None = None
    """Folder of images and sets; by default a temporary one."""
    out: Path | None = None
    """Path of the record; None writes none."""
    part: Literal["all", "prepare", "stream"] = "all"
    """Part of the study to run; the study starts processes for single parts."""


def make_image(index: int) -> Image.Image:
    """Return an image of the set: smooth colors and noise, like a photograph."""
    random = np.random.Generator(np.random.PCG64(index))
    colors = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
    smooth = np.asarray(colors.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray(
        np.clip(smooth + random.integers(-4, 5, smooth.shape), 0, 255).astype("u1")
    )


def write_images(folder: Path, count: int) -> None:
    """Write the first `count` images, a thousand per folder."""
    for i in range(count):
        part = folder / f"{i // 1000:05d}"
        if i % 1000 == 0:
            part.mkdir(parents=True, exist_ok=True)
        make_image(i).save(part / f"{i:08d}.png")


def run_config(study: Study, folder: Path, steps: int) -> Config:
    """Return the config of the run whose feeds are compared.

    Args:
        study: Settings of the study.
        folder: Folder with the prepared set.
        steps: Number of train steps.

    Returns:
        The config.
    """
    return Config(
        name="streaming",
        gen=dcgan.Generator(size=SIDE, width=study.width),
        disc=dcgan.Discriminator(size=SIDE, width=study.width),
        steps=steps,
        data=ImageData("prepared", path=str(folder / "set"), symmetric=True),
        prior=Prior(dim=64),
    )


def with_small_networks(config: Config) -> Config:
    """Return `config` with networks that need next to no memory."""
    gen = mlp.Generator((SIDE, SIDE, 3), (16,), out="tanh")
    return config.replace(gen=gen, disc=mlp.Discriminator((16,)), z_dim=8)


def measure_speed(study: Study, config: Config) -> dict[str, Any]:
    """Measure the examples per second of both feeds, in turn, and their ratio."""
    devices, dataset = core_devices.pick_devices(1), sources.load(config.data)
    program = parallel.make_program(config, devices, 1000)
    block_end = next(feeds.streamed(config, dataset, devices, 0))[1]
    steps, piece = study.blocks * block_end, max(1, block_end // 16)
    resident_data, _ = next(feeds.resident(dataset, devices))
    states = {name: initialize(config, dataset, devices) for name in ("resident", "streamed")}
    rates: dict[str, list[float]] = {name: [] for name in states}

    def run_turn(name: str) -> float:
        state, done = states[name].replace(step=states[name].step * 0), 0
        feed = feeds.streamed(config, dataset, devices, 0, study.workers)
        is_resident = name == "resident"
        data, end = (resident_data, block_end + steps) if is_resident else next(feed)
        start = 0.0
        while done < block_end + steps:
            if done == block_end:
                start = time.monotonic()
            if done == end:
                data, end = next(feed)
            length = min(piece, end - done, block_end - done if done < block_end else piece)
            state, _ = jax.block_until_ready(program(state, length, data))
            done += length
        elapsed = time.monotonic() - start
        feed.close()
        states[name] = state
        return steps * config.batch_size / elapsed

    for repeat in range(study.repeats + 1):
        for name in sorted(states, reverse=bool(repeat % 2)):
            rate = run_turn(name)
            rates[name] += [rate] if repeat else []  # the first turn is a warm-up
    medians = {name: float(np.median(values)) for name, values in rates.items()}
    ratios = [s / r for s, r in zip(rates["streamed"], rates["resident"], strict=True)]
    facts = {"steps": steps, "block": block_end, "batch_size": config.batch_size, "rates": rates}
    ratio = medians["streamed"] / medians["resident"]
    return facts | {"medians": medians, "ratio": ratio, "ratios": ratios}


def compare_batches(study: Study, config: Config) -> dict[str, Any]:
    """Count the streamed batches, and those equal to the resident ones."""
    devices, dataset = core_devices.pick_devices(1), sources.load(config.data)
    root = population.root_keys(config)
    resident_data, _ = next(feeds.resident(dataset, devices))
    step, same, streamed = 0, 0, feeds.streamed(config, dataset, devices, 0, study.workers)
    batch_at = jax.jit(lambda data, step: feeds.batch_at(config, data, root, step, 0, 1))
    for _ in range(2):
        block, end = next(streamed)
        block = jax.tree.map(lambda leaf: leaf[0], block)
        for number in range(step, end):
            resident_batch, streamed_batch = (
                np.asarray(batch_at(data, np.int32(number)).real) for data in (resident_data, block)
            )
            same += resident_batch.tobytes() == streamed_batch.tobytes()
        step = end
    streamed.close()
    return {"batches": step, "same": same, "real_sha256": dataset.fingerprint}


def run_process(study: Study, folder: Path, part: str) -> dict[str, Any]:
    """Run a part of the study in a new process.

    Args:
        study: Settings of the study.
        folder: Folder of images and sets.
        part: Part to run.

    Returns:
        The figures that the process prints.
    """
    flags = {"part": part, "folder": folder, "workers": study.workers, "pictures": study.pictures}
    flags |= {"format": study.format}
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "studies.streaming_study", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def run_part(study: Study, folder: Path) -> dict[str, Any]:
    """Prepare the images, or stream them once through a small network."""
    start = time.monotonic()
    if study.part == "prepare":
        data = ImageData("folder", path=str(folder / "pictures"), size=SIDE)
        prepared = prepare.prepare(data, folder / "set", study.format)
        facts = {"examples": prepared["examples"], "report": prepared["report"]}
    else:
        config = with_small_networks(run_config(study, folder, 1))
        config = config.replace(steps=max(1, study.pictures // config.batch_size))
        runtime = Runtime(stream=True, workers=study.workers)
        *_, (step, _, _) = loop.iterate(
            config, devices=core_devices.pick_devices(1), runtime=runtime
        )
        facts = {"steps": step, "examples": step * config.batch_size}
    workers = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    facts |= {"peak_bytes": memory.host_peak(), "largest_worker_bytes": workers}
    return facts | {"seconds": time.monotonic() - start}


def table(record: dict[str, Any]) -> str:
    """Return the figures of a record as a Markdown table."""
    medians = record["speed"]["medians"]
    peaks = {part: record[part]["peak_bytes"] / GIB for part in ("prepare", "stream")}
    count, same = record["prepare"]["examples"], record["bits"]["same"]
    rows = [
        ("resident, examples/s", f"{medians['resident']:.0f}"),
        ("streamed, examples/s", f"{medians['streamed']:.0f}"),
        ("ratio", f"**{record['speed']['ratio']:.3f}**"),
        (f"memory to prepare {count} images", f"{peaks['prepare']:.2f} GiB"),
        ("memory to stream them, JAX included", f"{peaks['stream']:.2f} GiB"),
        ("batches equal bit for bit", f"{same} of {record['bits']['batches']}"),
    ]
    return common.table(("quantity", "value"), rows)


def run_study(study: Study, folder: Path) -> dict[str, Any]:
    """Run all parts and return the record."""
    write_images(folder / "pictures", study.pictures)
    figures = {part: run_process(study, folder, part) for part in ("prepare", "stream")}
    config = run_config(study, folder, 2**20)
    figures |= {"bits": compare_batches(study, config), "speed": measure_speed(study, config)}
    settings = {name: str(value) for name, value in vars(study).items() if name != "folder"}
    return {
        "study": settings,
        **figures,
        "versions": run_folder.environment(core_devices.pick_devices(1), ("grain", "array-record")),
    }


def main() -> None:
    """Print the figures, and write them to --out."""
    study = command_line.parse(Study())
    if study.part != "all":
        assert study.folder is not None
        print(json.dumps(run_part(study, study.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        figures = run_study(study, study.folder or Path(temporary))
    print(table(figures))
    if study.out:
        common.write_record(study.out, figures)


if __name__ == "__main__":
    with command_line.user_errors():
        main()

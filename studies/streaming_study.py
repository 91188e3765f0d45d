"""What streaming costs: speed beside the resident feed, memory of a set that need not fit it.

Data     pictures of its own, 32 x 32, soft colours with noise, written as PNG files and prepared
Command  python -m studies.streaming_study --out experiments/results/streaming.json
Result   README.md, from experiments/results/streaming.json

Three questions. Speed: a DCGAN that keeps the device busy trains on the prepared set, held on the
device and streamed from the disk in turn, in one process; each turn starts its feed anew, and the
clock after the first block, when as many steps are ahead as at the end. Memory: 100,000 pictures
are prepared, and streamed through a small network, each in a process of its own, whose largest
resident size the system tells. Bits: every batch of two blocks of steps from the disk beside that
of the resident set.
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

from gan_jax import train
from gan_jax.config import Config, ImageData, Prior
from gan_jax.core import command_line, memory
from gan_jax.core import devices as core_devices
from gan_jax.data import feeds, sources
from gan_jax.data.images import prepare
from gan_jax.networks import dcgan, mlp
from gan_jax.runs import folder as run_folder
from gan_jax.training import loop, parallel
from studies import common

SIDE = 32
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Study:
    """How much to measure."""

    pictures: int = 100_000
    """Prepared and streamed."""
    width: int = 64
    """Channels of the DCGAN's last stage."""
    blocks: int = 1
    """Blocks of the stream that a turn is timed over, after one that is not."""
    repeats: int = 5
    """Turns of each feed."""
    workers: int = 0
    """Processes that read; 0: threads."""
    format: str = "png"
    """Of the prepared set."""
    folder: Path | None = None
    """Where pictures and sets are made; by default they are thrown away."""
    out: Path | None = None
    part: Literal["all", "prepare", "stream"] = "all"
    """What the study's own processes do."""


def picture(number: int) -> Image.Image:
    """The number-th of the set: a few soft colours, and noise, as of a photograph."""
    random = np.random.Generator(np.random.PCG64(number))
    soft = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
    wide = np.asarray(soft.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray(np.clip(wide + random.integers(-4, 5, wide.shape), 0, 255).astype("u1"))


def write_pictures(folder: Path, count: int) -> None:
    """That many of them, a thousand in a folder."""
    for i in range(count):
        place = folder / f"{i // 1000:05d}"
        if i % 1000 == 0:
            place.mkdir(parents=True, exist_ok=True)
        picture(i).save(place / f"{i:08d}.png")


def run_config(study: Study, folder: Path, steps: int) -> Config:
    """The run whose feeds are compared."""
    return Config(
        name="streaming",
        gen=dcgan.Generator(size=SIDE, width=study.width),
        disc=dcgan.Discriminator(size=SIDE, width=study.width),
        steps=steps,
        data=ImageData("prepared", path=str(folder / "set"), symmetric=True),
        prior=Prior(dim=64),
    )


def small(some: Config) -> Config:
    """A run on the same data whose network hardly weighs anything."""
    shape = (SIDE, SIDE, 3)
    return some.replace(gen=mlp.Generator(shape, (16,)), disc=mlp.Discriminator((16,)), z_dim=8)


def speed(study: Study, some: Config) -> dict[str, Any]:
    """Examples a second of both feeds, in turn, and their ratio."""
    devices, dataset = core_devices.pick_devices(1), sources.load(some.data)
    program = parallel.make_program(some, devices, 1000)
    first = next(feeds.streamed(some, dataset, devices, 0))[1]
    steps, piece = study.blocks * first, max(1, first // 16)
    held, _ = next(feeds.resident(dataset, devices))
    states = {name: train.initialize(some, dataset, devices) for name in ("resident", "streamed")}
    rates: dict[str, list[float]] = {name: [] for name in states}

    def turn(name: str) -> float:
        state, done = states[name].replace(step=states[name].step * 0), 0
        feed = feeds.streamed(some, dataset, devices, 0, study.workers)
        data, end = (held, first + steps) if name == "resident" else next(feed)
        began = 0.0
        while done < first + steps:
            if done == first:
                began = time.monotonic()
            if done == end:
                data, end = next(feed)
            now = min(piece, end - done, first - done if done < first else piece)
            state, _ = jax.block_until_ready(program(state, now, data))
            done += now
        took = time.monotonic() - began
        feed.close()
        states[name] = state
        return steps * some.batch_size / took

    for repeat in range(study.repeats + 1):
        for name in sorted(states, reverse=bool(repeat % 2)):
            rate = turn(name)
            rates[name] += [rate] if repeat else []  # the first turn is to warm up
    medians = {name: float(np.median(each)) for name, each in rates.items()}
    ratios = [s / r for s, r in zip(rates["streamed"], rates["resident"], strict=True)]
    facts = {"steps": steps, "block": first, "batch_size": some.batch_size, "rates": rates}
    ratio = medians["streamed"] / medians["resident"]
    return facts | {"medians": medians, "ratio": ratio, "ratios": ratios}


def bits(study: Study, some: Config) -> dict[str, Any]:
    """How many batches of the stream are those of the resident set, of how many; and its hash."""
    devices, dataset = core_devices.pick_devices(1), sources.load(some.data)
    root = parallel.population.roots(some)
    held, _ = next(feeds.resident(dataset, devices))
    step, same, streamed = 0, 0, feeds.streamed(some, dataset, devices, 0, study.workers)
    batch = jax.jit(lambda data, step: feeds.batch_at(some, data, root, step, 0, 1))
    for _ in range(2):
        block, end = next(streamed)
        block = jax.tree.map(lambda leaf: leaf[0], block)
        for now in range(step, end):
            ours, theirs = (np.asarray(batch(data, np.int32(now)).real) for data in (held, block))
            same += ours.tobytes() == theirs.tobytes()
        step = end
    streamed.close()
    return {"batches": step, "same": same, "real_sha256": dataset.fingerprint}


def alone(study: Study, folder: Path, part: str) -> dict[str, Any]:
    """What a part, in a process of its own, says of itself."""
    flags = {"part": part, "folder": folder, "workers": study.workers, "pictures": study.pictures}
    flags |= {"format": study.format}
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "studies.streaming_study", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def do_part(study: Study, folder: Path) -> dict[str, Any]:
    """Prepares the pictures, or streams them once through a small network."""
    began = time.monotonic()
    if study.part == "prepare":
        data = ImageData("folder", path=str(folder / "pictures"), size=SIDE)
        found = prepare.prepare(data, folder / "set", study.format)
        facts = {"examples": found["examples"], "report": found["report"]}
    else:
        some = small(run_config(study, folder, 1))
        some = dataclasses.replace(some, steps=max(1, study.pictures // some.batch_size))
        stream = {"stream": True, "workers": study.workers}
        *_, (done, _, _) = loop.iterate(some, devices=core_devices.pick_devices(1), **stream)
        facts = {"steps": done, "examples": done * some.batch_size}
    workers = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    facts |= {"peak_bytes": memory.host_peak(), "largest_worker_bytes": workers}
    return facts | {"seconds": time.monotonic() - began}


def table(record: dict[str, Any]) -> str:
    """The figures of a record, in Markdown."""
    medians = record["speed"]["medians"]
    peaks = {part: record[part]["peak_bytes"] / GIB for part in ("prepare", "stream")}
    count, same = record["prepare"]["examples"], record["bits"]["same"]
    rows = [
        ("resident, examples/s", f"{medians['resident']:.0f}"),
        ("streamed, examples/s", f"{medians['streamed']:.0f}"),
        ("ratio", f"**{record['speed']['ratio']:.3f}**"),
        (f"memory to prepare {count} pictures", f"{peaks['prepare']:.2f} GiB"),
        ("memory to stream them, JAX in it", f"{peaks['stream']:.2f} GiB"),
        ("batches the same bit for bit", f"{same} of {record['bits']['batches']}"),
    ]
    return common.table(("what", "figure"), rows)


def measured(study: Study, folder: Path) -> dict[str, Any]:
    """All of the study."""
    write_pictures(folder / "pictures", study.pictures)
    found = {"prepare": alone(study, folder, "prepare"), "stream": alone(study, folder, "stream")}
    some = run_config(study, folder, 2**20)
    found |= {"bits": bits(study, some), "speed": speed(study, some)}
    settings = {name: str(value) for name, value in vars(study).items() if name != "folder"}
    return {
        "study": settings,
        **found,
        "versions": run_folder.packages(core_devices.pick_devices(1), ("grain", "array-record")),
    }


def main() -> None:
    """Prints the figures, and writes them to --out."""
    study = command_line.parse(Study())
    if study.part != "all":
        assert study.folder is not None
        print(json.dumps(do_part(study, study.folder)))
        return
    with tempfile.TemporaryDirectory() as beside:
        figures = measured(study, study.folder or Path(beside))
    print(table(figures))
    if study.out:
        common.write_record(study.out, figures)


if __name__ == "__main__":
    with command_line.user_errors():
        main()

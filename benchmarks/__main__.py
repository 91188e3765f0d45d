"""How fast GANs train here, whole steps in whole ways of running them, and beside PyTorch.

Command  python -m benchmarks --against torch --out experiments/results/benchmark.json

Each network is trained in every way of benchmarks/measure.py, in turn, in one process;
medians of the repeats. `--against torch` (extra `bench`) first proves that the network, its losses
and its gradients are the same in PyTorch, then trains that in turn with the others; the ratio is
against the fastest of PyTorch's ways. On CPUs, `--cpu-devices` are what pmap has to share.
"""

import dataclasses
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any, Literal

import jax

from benchmarks import measure, report
from benchmarks.cases import CASES, Case, case
from benchmarks.measure import Way
from gan_jax.core import command_line, files
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.runs import folder, timing


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What to measure, how long, and where to put it."""

    networks: tuple[str, ...] = tuple(CASES)
    against: Literal["torch"] | None = None
    repeats: int = 5
    seconds: float = 2.0
    """About how long a measurement takes, or a step."""
    cpu_devices: int = 2
    """On CPUs, how many devices JAX is to see; only pmap uses more than one."""
    out: Path | None = None


def jax_ways(case: Case, dataset: Dataset) -> list[Way]:
    """All ways of gan_jax; populations in the quickest of the group sizes to try."""
    devices, config = jax.local_devices(), case.config
    ways = [
        measure.step_way(config, dataset),
        measure.chunk_way("scan", config, dataset, devices[:1]),
    ]
    if len(devices) > 1:
        ways.append(measure.chunk_way("pmap", config, dataset, devices))
    for members in case.members:
        many = config.replace(seeds=tuple(range(members)))
        tried = [
            measure.chunk_way(f"population of {members}", many, dataset, devices[:1], at_once)
            for at_once in case.at_once
        ]
        ways.append(max(tried, key=lambda way: way.examples / way.warm))
    return ways


def measured(case: Case, flags: Benchmark, peak: float) -> dict[str, Any]:
    """All figures of one network."""
    dataset = sources.load(case.config.data)
    ways, failed, found = jax_ways(case, dataset), {}, {}
    if flags.against:
        from benchmarks import compare  # PyTorch is an extra

        found["differences"] = compare.prove(case.config, dataset)
        for way in compare.torch_ways(case.config, dataset):
            if isinstance(way, Way):
                ways.append(way)
            else:
                failed |= dict([way])
    rates = measure.alternate(ways, flags.repeats, flags.seconds)
    flops = measure.step_flops(case.config, dataset)
    each = flops / (case.config.n_critic * case.config.batch_size)
    found |= {
        "batch_size": case.config.batch_size,
        "flops_per_step": flops,
        "ways": {way.name: measure.figures(way, rates[way.name], each, peak) for way in ways},
        "failed": failed,
    }
    if flags.against:
        found["ratios"] = report.ratios(found["ways"])
    return found


def main() -> None:
    """Measures, prints, and writes JSON if asked to."""
    with command_line.user_errors():
        flags = command_line.parse(Benchmark())
        chosen = {name: case(name) for name in flags.networks}
    jax.config.update("jax_num_cpu_devices", flags.cpu_devices)
    device = jax.local_devices()[:1]
    peak = measure.matmul_peak()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {device[0].device_kind}:")
    print(f"float32 matrix products reach {peak / 1e9:.0f} GFLOP/s")
    dataset = sources.load(next(iter(chosen.values())).config.data)
    found: dict[str, Any] = {
        "command": timing.launch_command(),
        "matmul_flops_per_second": peak,
        "versions": folder.run_versions(dataset, device),
        "networks": {},
    }
    if flags.against:
        found["versions"]["packages"]["torch"] = importlib.metadata.version("torch")
    for name, one in chosen.items():
        found["networks"][name] = measured(one, flags, peak)
        report.show(name, found["networks"][name])
        if flags.out:  # after every network, as all take long
            files.write_atomically(flags.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

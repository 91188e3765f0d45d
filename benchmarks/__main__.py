"""Training speed of whole steps in several variants, beside PyTorch.

    python -m benchmarks --against torch --out experiments/results/benchmark.json

Each network is trained in every variant of benchmarks/measure.py, in turn, in one process; figures
are medians of the repeats. `--against torch` (extra `bench`) first verifies that the network, its
losses and its gradients are equal in PyTorch, then times PyTorch's variants in turn with the
others. Ratios are to PyTorch's fastest variant. On CPUs, `--cpu-devices` is the number of devices
that pmap uses.
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
from benchmarks.cases import CASES, Case, load_case
from benchmarks.measure import Variant
from gan_jax.core import command_line, files
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.runs import folder, timing


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Networks to measure, duration, and the file to write."""

    networks: tuple[str, ...] = tuple(CASES)
    """Names of the networks."""
    against: Literal["torch"] | None = None
    """Framework to compare with."""
    repeats: int = 5
    """Number of measurements of each variant."""
    seconds: float = 2.0
    """Approximate duration of a measurement in seconds; at least one step."""
    cpu_devices: int = 2
    """Number of CPU devices of JAX; only pmap uses more than one."""
    out: Path | None = None
    """Path of the record; None writes none."""


def jax_variants(case: Case, dataset: Dataset) -> list[Variant]:
    """Return all variants of gan_jax; populations in their fastest group size."""
    devices, config = jax.local_devices(), case.config
    variants = [
        measure.step_variant(config, dataset),
        measure.program_variant("scan", config, dataset, devices[:1]),
    ]
    if len(devices) > 1:
        variants.append(measure.program_variant("pmap", config, dataset, devices))
    for members in case.members:
        population = config.replace(seeds=tuple(range(members)))
        candidates = [
            measure.program_variant(
                f"population of {members}", population, dataset, devices[:1], group_size
            )
            for group_size in case.group_sizes
        ]
        fastest = max(candidates, key=lambda variant: variant.examples / variant.step_seconds)
        variants.append(fastest)
    return variants


def measure_case(case: Case, flags: Benchmark, peak: float) -> dict[str, Any]:
    """Measure one network.

    Args:
        case: Network and its populations.
        flags: Settings of the benchmark.
        peak: Peak operations per second of the device.

    Returns:
        Figures of all variants, by name.
    """
    dataset = sources.load(case.config.data)
    variants, failed, figures = jax_variants(case, dataset), {}, {}
    if flags.against:
        from benchmarks import compare  # PyTorch is an extra

        figures["differences"] = compare.verify(case.config, dataset)
        for variant in compare.torch_variants(case.config, dataset):
            if isinstance(variant, Variant):
                variants.append(variant)
            else:
                failed |= dict([variant])
    rates = measure.alternate(variants, flags.repeats, flags.seconds)
    flops = measure.step_flops(case.config, dataset)
    example_flops = flops / (case.config.n_critic * case.config.batch_size)
    figures |= {
        "batch_size": case.config.batch_size,
        "flops_per_step": flops,
        "ways": {
            variant.name: measure.figures(variant, rates[variant.name], example_flops, peak)
            for variant in variants
        },
        "failed": failed,
    }
    if flags.against:
        figures["ratios"] = report.ratios(figures["ways"])
    return figures


def main() -> None:
    """Measure, print, and write JSON if `--out` is set."""
    with command_line.user_errors():
        flags = command_line.parse(Benchmark())
        chosen = {name: load_case(name) for name in flags.networks}
    jax.config.update("jax_num_cpu_devices", flags.cpu_devices)
    device = jax.local_devices()[:1]
    peak = measure.matmul_peak()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {device[0].device_kind}:")
    print(f"float32 matrix products reach {peak / 1e9:.0f} GFLOP/s")
    dataset = sources.load(next(iter(chosen.values())).config.data)
    record: dict[str, Any] = {
        "command": timing.launch_command(),
        "matmul_flops_per_second": peak,
        "versions": folder.run_versions(dataset, device),
        "networks": {},
    }
    if flags.against:
        record["versions"]["packages"]["torch"] = importlib.metadata.version("torch")
    for name, case in chosen.items():
        record["networks"][name] = measure_case(case, flags, peak)
        report.show(name, record["networks"][name])
        if flags.out:  # after every network, since all take long
            files.write_atomically(flags.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How a run would scale to 8, 64 and 1024 devices: a model, from what the compiled step says and
from published speeds. Nothing here was measured on such machines.

Command  python -m studies.scaling_model --out experiments/results/scaling_model.json
Result   README.md, from experiments/results/scaling_model.json

The bytes are those of the collectives in the step that XLA compiles for eight devices
(gan_jax/training/collectives.py). The model:

- Every device keeps the recipe's whole batch, so the batch grows with the devices, and the time of
  its arithmetic does not: XLA's count of the step's operations, lazy terms as if always due, at
  `SHARE` of the device's published peak.
- Nothing is sent while anything is computed: the worst case.
- An all-reduce of b bytes among g devices takes 2 (g-1)/g b / speed, the least that any algorithm
  needs (Patarasu & Yuan 2009, J. Parallel Distrib. Comput. 69); gathers and scatters half of it.
  Among groups of `inner` devices each device then exchanges its 1/inner of it over the outer link.
- Each collective waits `LATENCY` for each doubling of the devices.
- What is gathered (logits, statistics of a minibatch) grows with the batch.
"""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import jax

from gan_jax.cli import recipes
from gan_jax.config import Config, population
from gan_jax.core import command_line
from gan_jax.data import feeds, sources
from gan_jax.data.sources import Dataset
from gan_jax.runs import folder
from gan_jax.training import collectives, population_state, step
from gan_jax.training.collectives import Collective
from studies import common

SHARE = 0.3  # of the peak; an assumption
LATENCY = 10e-6  # seconds; an assumption
DEVICES = (8, 64, 1024)
COMPILED = 8  # devices that the step is compiled for
NAMES = ("digits_mlp", "cifar10_r3gan", "cifar10_stylegan2_ada")


@dataclasses.dataclass(frozen=True)
class Machine:
    """What its maker publishes."""

    name: str
    peak: float
    """Operations a second of a device, as products of float32 matrices are done by default."""
    inner: int
    """Devices that a fast network joins."""
    inner_speed: float
    """Bytes a second that a device sends on it while it receives as many."""
    outer_speed: float
    """The same from group to group."""
    source: str


MACHINES = (
    Machine(
        *("H100 SXM", 494.7e12, 8, 450e9, 50e9),
        "NVIDIA H100 datasheet: TF32 without sparsity, NVLink 900 GB/s both ways; DGX H100 user "
        "guide: a ConnectX-7 of 400 Gb/s a GPU",
    ),
    Machine(
        *("TPU v5e", 197e12, 256, 200e9, 3.125e9),
        "cloud.google.com/tpu/docs/v5e: 197 TFLOPs, interconnect 400 GB/s both ways, pods of 256, "
        "6.4 Tbps of data centre network a pod",
    ),
)


def seconds(machine: Machine, size: float, devices: int, kind: str) -> float:
    """How long one collective of an array of `size` bytes takes among so many devices."""
    inner = min(machine.inner, devices)
    groups = devices // inner
    passes = 2 if kind == "all-reduce" else 1
    within = (inner - 1) / inner * size / machine.inner_speed
    between = (groups - 1) / groups * size / inner / machine.outer_speed
    return passes * (within + between) + LATENCY * math.log2(devices)


def communicated(machine: Machine, found: list[Collective], devices: int) -> float:
    """Seconds of a step for all of its collectives, one after another."""
    total = 0.0
    for one in found:
        size = one.bytes * (1 if one.kind == "all-reduce" else devices / COMPILED)
        total += one.count * seconds(machine, size, devices, one.kind)
    return total


def operations(config: Config, dataset: Dataset) -> float:
    """XLA's count for one step on one device, its convolutions as accelerators have them: CPUs
    compute them by loops, whose bodies XLA counts once."""
    example = sources.dummy_examples(dataset, config.batch_size)
    roots = population.root_keys(config)
    state = jax.eval_shape(
        lambda key: population_state.init_population(config, key, example), roots
    )
    chosen = jax.numpy.zeros((config.n_critic, config.batch_size), jax.numpy.int32)
    batch = jax.eval_shape(lambda examples: feeds.take_examples(config, examples, chosen), example)
    traced = jax.jit(step.make_train_step(config)).trace(state, batch)
    found = traced.lower(lowering_platforms=("cuda",)).cost_analysis()
    assert found is not None  # XLA counts on every platform
    return float(found["flops"])


def modelled(name: str, config: Config, dataset: Dataset) -> dict[str, Any]:
    """Of one experiment: bytes, and the share of each device's time that is left for arithmetic.
    Its critic is updated once a step, so that no loop hides operations from XLA's count."""
    if config.n_critic != 1:
        raise ValueError(f"{name}: n_critic is {config.n_critic}, it must be 1")
    whole = config.replace(batch_size=config.batch_size * COMPILED)
    compiled = collectives.compiled_step(whole, dataset, jax.local_devices()[:COMPILED])
    found = collectives.list_collectives(compiled.as_text() or "", COMPILED, config.n_critic)
    flops = operations(config, dataset)
    kinds = sorted({(one.kind, one.source) for one in found})
    shares = {}
    for machine in MACHINES:
        computing = flops / (SHARE * machine.peak)
        talking = {n: communicated(machine, found, n) for n in DEVICES}
        shares[machine.name] = {
            "computing_seconds": computing,
            "communicating_seconds": {str(n): t for n, t in talking.items()},
            "efficiency": {str(n): computing / (computing + t) for n, t in talking.items()},
        }
    return {
        "batch_a_device": config.batch_size,
        "operations_a_device": flops,
        "gradient_all_reduces": sum(one.source == collectives.GRADIENTS for one in found),
        "gradient_bytes": sum(one.bytes for one in found if one.source == collectives.GRADIENTS),
        "collectives": [
            {
                "kind": kind,
                "what": what,
                "times": sum(one.count for one in found if (one.kind, one.source) == (kind, what)),
                "bytes": sum(one.bytes for one in found if (one.kind, one.source) == (kind, what)),
            }
            for kind, what in kinds
        ],
        "machines": shares,
    }


def table(record: dict[str, Any]) -> str:
    """For the README: modelled efficiency by experiment, machine and devices."""
    header = ["experiment, batch a device", "gradients a step", "machine"]
    rows = []
    for name, model in record["experiments"].items():
        megabytes = f"{model['gradient_bytes'] / 1e6:.1f} MB"
        gradients = f"{megabytes} in {model['gradient_all_reduces']} all-reduces"
        cells = [f"{name}, {model['batch_a_device']}", gradients]
        for machine, times in model["machines"].items():
            shares = [f"{100 * times['efficiency'][str(n)]:.0f} %" for n in DEVICES]
            rows.append([*cells, machine, *shares])
    return common.table([*header, *(f"{n} devices" for n in DEVICES)], rows)


@dataclasses.dataclass(frozen=True)
class Study:
    """What to do."""

    experiments: tuple[str, ...] = NAMES
    """Names under experiments/."""
    cifar10: str = "cifar10"
    """Data set that CIFAR-10 is read from: only its shapes matter, so `cifar10_jpeg75` will do."""
    out: Path | None = None
    """Write what was found there, as JSON."""


def main() -> None:
    """Prints the table, and writes what is behind it to --out."""
    study = command_line.parse(Study())
    flag = f"--xla_force_host_platform_device_count={COMPILED}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    jax.config.update("jax_platforms", "cpu")
    results, data = {}, {}
    for name in study.experiments:
        config = recipes.load_recipe(name).config
        is_cifar10 = config.data.name == "cifar10"
        of = study.cifar10 if is_cifar10 else config.data.name
        dataset = sources.load(dataclasses.replace(config.data, name=of))
        results[name] = modelled(name, config, dataset)
        data[name] = dataset.fingerprint
    record = {
        "share_of_peak": SHARE,
        "latency_seconds": LATENCY,
        "machines": [dataclasses.asdict(machine) for machine in MACHINES],
        "experiments": results,
        "versions": folder.environment(jax.local_devices()[:COMPILED]) | {"data": data},
    }
    print(table(record))
    if study.out:
        common.write_record(study.out, record)


if __name__ == "__main__":
    with command_line.user_errors():
        main()

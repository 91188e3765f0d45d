"""Model how runs scale to 1024 devices, from the compiled step and published speeds.

    python -m studies.scaling_model --out experiments/results/scaling_model.json

Nothing here was measured on such machines. The bytes are those of the collectives in the step that
XLA compiles for eight devices (gan_jax/training/collectives.py). The model:

- Every device keeps the recipe's whole batch, so the batch grows with the devices and the time of
  arithmetic does not. That time is XLA's count of the step's operations, with lazy terms as if they
  were always due, at `SHARE` of the device's published peak.
- Communication does not overlap with computation: the worst case.
- An all-reduce of b bytes over g devices takes 2 (g-1)/g b / speed, the lower bound of all
  algorithms (Patarasu & Yuan 2009, J. Parallel Distrib. Comput. 69); gathers and scatters take half
  of it. Between groups of `inner` devices, each device exchanges its 1/inner over the outer link.
- Each collective waits `LATENCY` for each doubling of the devices.
- Gathered arrays (logits, minibatch statistics) grow with the batch.
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

SHARE = 0.3  # of the peak (assumption)
LATENCY = 10e-6  # seconds (assumption)
DEVICES = (8, 64, 1024)
COMPILED = 8  # number of devices for which the step is compiled
NAMES = ("digits_mlp", "cifar10_r3gan", "cifar10_stylegan2_ada")


@dataclasses.dataclass(frozen=True)
class Machine:
    """Published figures of a machine."""

    name: str
    peak: float
    """Operations per second of a device, in the default precision of float32 products."""
    inner: int
    """Number of devices in a group with fast links."""
    inner_speed: float
    """Bytes per second that a device sends within its group, while it receives as many."""
    outer_speed: float
    """Bytes per second that a device sends to other groups."""
    source: str
    """Source of the figures."""


MACHINES = (
    Machine(
        *("H100 SXM", 494.7e12, 8, 450e9, 50e9),
        "NVIDIA H100 datasheet: TF32 without sparsity, NVLink 900 GB/s both ways; DGX H100 user "
        "guide: a ConnectX-7 of 400 Gb/s a GPU",
    ),
    Machine(
        *("TPU v5e", 197e12, 256, 200e9, 3.125e9),
        "cloud.google.com/tpu/docs/v5e: 197 TFLOPs, interconnect 400 GB/s both ways, pods of 256, "
        "6.4 Tbps of data center network a pod",
    ),
)


def seconds(machine: Machine, size: float, devices: int, kind: str) -> float:
    """Return the modeled time of one collective.

    Args:
        machine: Machine.
        size: Size of the array in bytes.
        devices: Number of devices.
        kind: Kind of the collective: all-reduce, or one that takes half as long.

    Returns:
        Time in seconds.
    """
    inner = min(machine.inner, devices)
    groups = devices // inner
    passes = 2 if kind == "all-reduce" else 1
    within = (inner - 1) / inner * size / machine.inner_speed
    between = (groups - 1) / groups * size / inner / machine.outer_speed
    return passes * (within + between) + LATENCY * math.log2(devices)


def communication_seconds(machine: Machine, operations: list[Collective], devices: int) -> float:
    """Return the modeled time of all collectives of a step, one after another, in seconds.

    Args:
        machine: Machine.
        operations: Collectives of the step that is compiled for `COMPILED` devices.
        devices: Number of devices.

    Returns:
        Time in seconds.
    """
    total = 0.0
    for operation in operations:
        size = operation.bytes * (1 if operation.kind == "all-reduce" else devices / COMPILED)
        total += operation.count * seconds(machine, size, devices, operation.kind)
    return total


def num_operations(config: Config, dataset: Dataset) -> float:
    """Return XLA's operation count of one step on one device.

    Convolutions are lowered as for accelerators. On CPUs they are loops, whose bodies XLA counts
    once.
    """
    example = sources.dummy_examples(dataset, config.batch_size)
    roots = population.root_keys(config)
    state = jax.eval_shape(
        lambda key: population_state.init_population(config, key, example), roots
    )
    indices = jax.numpy.zeros((config.n_critic, config.batch_size), jax.numpy.int32)
    batch = jax.eval_shape(lambda examples: feeds.take_examples(config, examples, indices), example)
    traced = jax.jit(step.make_train_step(config)).trace(state, batch)
    costs = traced.lower(lowering_platforms=("cuda",)).cost_analysis()
    assert costs is not None  # XLA counts on every platform
    return float(costs["flops"])


def model_recipe(name: str, config: Config, dataset: Dataset) -> dict[str, Any]:
    """Model the scaling of one recipe.

    Args:
        name: Name of the recipe.
        config: Its config, with one discriminator update per step: XLA counts a loop's body once.
        dataset: Its data set.

    Returns:
        Bytes, operations, and the share of each device's time that is left for arithmetic.
    """
    if config.n_critic != 1:
        raise ValueError(f"n_critic must be 1, got {config.n_critic} in {name}")
    scaled = config.replace(batch_size=config.batch_size * COMPILED)
    compiled = collectives.compiled_step(scaled, dataset, jax.local_devices()[:COMPILED])
    operations = collectives.list_collectives(compiled.as_text() or "", COMPILED, config.n_critic)
    flops = num_operations(config, dataset)
    kinds = sorted({(collective.kind, collective.source) for collective in operations})
    shares = {}
    for machine in MACHINES:
        computation = flops / (SHARE * machine.peak)
        communication = {n: communication_seconds(machine, operations, n) for n in DEVICES}
        shares[machine.name] = {
            "computing_seconds": computation,
            "communicating_seconds": {str(n): t for n, t in communication.items()},
            "efficiency": {
                str(n): computation / (computation + t) for n, t in communication.items()
            },
        }
    return {
        "batch_a_device": config.batch_size,
        "operations_a_device": flops,
        "gradient_all_reduces": sum(
            collective.source == collectives.GRADIENTS for collective in operations
        ),
        "gradient_bytes": sum(
            collective.bytes
            for collective in operations
            if collective.source == collectives.GRADIENTS
        ),
        "collectives": [
            {
                "kind": kind,
                "what": source,
                "times": sum(
                    collective.count for collective in operations if _is(collective, kind, source)
                ),
                "bytes": sum(
                    collective.bytes for collective in operations if _is(collective, kind, source)
                ),
            }
            for kind, source in kinds
        ],
        "machines": shares,
    }


def _is(operation: Collective, kind: str, source: str) -> bool:
    return (operation.kind, operation.source) == (kind, source)


def table(record: dict[str, Any]) -> str:
    """Return the table of modeled efficiencies by recipe, machine and number of devices."""
    header = ["recipe, batch per device", "gradients per step", "machine"]
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
    """Recipes to model, and the file to write."""

    experiments: tuple[str, ...] = NAMES
    """Names of recipes."""
    cifar10: str = "cifar10"
    """Name of the data set read as CIFAR-10. Only shapes matter, so `cifar10_jpeg75` will do."""
    out: Path | None = None
    """Path of the record; None writes none."""


def main() -> None:
    """Print the table, and write the figures to --out."""
    study = command_line.parse(Study())
    flag = f"--xla_force_host_platform_device_count={COMPILED}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    jax.config.update("jax_platforms", "cpu")
    results, data = {}, {}
    for name in study.experiments:
        config = recipes.load_recipe(name).config
        is_cifar10 = config.data.name == "cifar10"
        dataset_name = study.cifar10 if is_cifar10 else config.data.name
        dataset = sources.load(dataclasses.replace(config.data, name=dataset_name))
        results[name] = model_recipe(name, config, dataset)
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

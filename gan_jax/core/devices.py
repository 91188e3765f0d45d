"""Which devices a run is on, and where its arrays lie on them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.core.errors import UserError

AXIS = "devices"


def pick_devices(count: int | None, batch_size: int = 0) -> list[jax.Device]:
    """The first `count` devices of every process, or all, those of process 0 first. Raises
    UserError if there are fewer, or if they cannot share a batch (if there is one) evenly."""
    found = jax.local_devices()
    count = len(found) if count is None else count
    if not 1 <= count <= len(found):
        hint = (
            f"; on CPUs, XLA_FLAGS=--xla_force_host_platform_device_count={count} makes that many"
        )
        raise UserError(
            f"devices is {count}: it must be from 1 to {len(found)}, the devices found"
            + (hint if count > 1 and found[0].platform == "cpu" else "")
        )
    everyone = jax.devices() if jax.process_count() > 1 else found
    each = [[d for d in everyone if d.process_index == i] for i in range(jax.process_count())]
    if (least := min(len(its) for its in each)) < count:
        raise UserError(f"devices is {count}: another process has {least}, the most for all")
    total = count * len(each)
    if batch_size % total:
        raise UserError(f"batch_size is {batch_size}: it must be divisible by the {total} devices")
    return [device for its in each for device in its[:count]]


def local_indices(devices: Sequence[jax.Device]) -> list[int]:
    """Which of the devices, by their place among them, are this process's."""
    return [i for i, one in enumerate(devices) if one.process_index == jax.process_index()]


def _mesh(devices: Sequence[jax.Device]) -> Mesh:
    """Of this process's devices among these. Arrays are always a process's own, as `pmap` has them,
    so what reads a state need not know of other processes."""
    return Mesh(np.asarray([devices[i] for i in local_indices(devices)]), (AXIS,))


def replicated(devices: Sequence[jax.Device]) -> NamedSharding:
    """Whole on each of the devices."""
    return NamedSharding(_mesh(devices), PartitionSpec())


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """The pytree whole on each of the devices: where a chunk wants its state and its data."""
    return jax.device_put(tree, replicated(devices))


def shard(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """The pytree cut along its leaves' first axis, one slice of it on each of the devices, of which
    there are this process's slices only."""
    mesh = _mesh(devices)
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(AXIS)))

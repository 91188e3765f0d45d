"""Selection of a run's devices, and placement of arrays on them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.core.errors import UserError

AXIS = "devices"


def pick_devices(count: int | None, batch_size: int = 0) -> list[jax.Device]:
    """Return the first `count` devices of every process, those of process 0 first.

    Args:
        count: Number of devices per process. None: all devices.
        batch_size: Number of examples that the devices share. 0: no batch.

    Returns:
        The devices, `count` for each process.

    Raises:
        UserError: If a process has fewer devices, or the number of all devices does not divide
            the batch size.

    Example:
        >>> len(pick_devices(1, batch_size=64))
        1
    """
    local = jax.local_devices()
    count = len(local) if count is None else count
    if not 1 <= count <= len(local):
        hint = ""
        if count > 1 and local[0].platform == "cpu":
            flag = f"--xla_force_host_platform_device_count={count}"
            hint = f"; on CPU, set XLA_FLAGS={flag} for more"
        raise UserError(f"devices must be from 1 to {len(local)}, got {count}{hint}")
    devices = jax.devices() if jax.process_count() > 1 else local
    by_process = [
        [device for device in devices if device.process_index == process]
        for process in range(jax.process_count())
    ]
    if (least := min(map(len, by_process))) < count:
        raise UserError(
            f"devices must be at most {least}, the number in another process, got {count}"
        )
    total = count * len(by_process)
    if batch_size % total:
        raise UserError(f"batch_size must be divisible by {total} devices, got {batch_size}")
    return [device for process in by_process for device in process[:count]]


def local_indices(devices: Sequence[jax.Device]) -> list[int]:
    """Return the positions, in `devices`, of the devices that belong to this process."""
    return [i for i, device in enumerate(devices) if device.process_index == jax.process_index()]


def _mesh(devices: Sequence[jax.Device]) -> Mesh:
    """Return a mesh of those devices that belong to this process.

    Arrays are local to a process, as with `pmap`, so code that reads a state works the same in a
    run of several processes.
    """
    return Mesh(np.asarray([devices[i] for i in local_indices(devices)]), (AXIS,))


def replicated_sharding(devices: Sequence[jax.Device]) -> NamedSharding:
    """Return the sharding of an array with a full copy on each device."""
    return NamedSharding(_mesh(devices), PartitionSpec())


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Copy a pytree to each device, as train steps expect the state and the data."""
    return jax.device_put(tree, replicated_sharding(devices))


def shard(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Split a pytree along the first axis of its leaves, one slice for each device.

    The leaves hold the slices of this process only.
    """
    mesh = _mesh(devices)
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(AXIS)))

"""Which devices a run is on, and where its arrays lie on them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.errors import UserError

AXIS = "devices"


def pick_devices(count: int | None, batch_size: int = 0) -> list[jax.Device]:
    """The first `count` devices of this process, or all. Raises UserError if there are fewer, or if
    they cannot share a batch (if there is one) evenly."""
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
    if batch_size % count:
        raise UserError(f"batch_size is {batch_size}: it must be divisible by the {count} devices")
    return found[:count]


def everywhere(devices: Sequence[jax.Device]) -> NamedSharding:
    """Whole on each of the devices."""
    return NamedSharding(Mesh(np.asarray(devices), (AXIS,)), PartitionSpec())


def place(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """The pytree whole on each of the devices: where a chunk wants its state and its data."""
    return jax.device_put(tree, everywhere(devices))


def split(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """The pytree cut along its leaves' first axis, one slice of it on each of the devices."""
    mesh = Mesh(np.asarray(devices), (AXIS,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(AXIS)))

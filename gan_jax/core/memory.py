"""How much memory there is, and how much a run took of it."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import jax

# Of XLA's analysis of a compiled program.
PARTS = ("argument_size", "output_size", "alias_size", "temp_size", "generated_code_size")


def host_limit() -> int:
    """Bytes that one thing may take of this machine's memory: half of it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows
        return 2**62


def device_limit(device: jax.Device) -> int:
    """Bytes that arrays on the device may take; of a CPU, `host_most`."""
    return int((device.memory_stats() or {}).get("bytes_limit", 0)) or host_limit()


def host_peak() -> int | None:
    """The most bytes that this process had in memory so far; None where that is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def peak_memory(devices: Sequence[jax.Device]) -> dict[str, Any]:
    """Of this process, and of each of its devices that counts (CPUs do not), in bytes."""
    own = [device for device in devices if device.process_index == jax.process_index()]
    stats = [device.memory_stats() or {} for device in own]
    each = [one["peak_bytes_in_use"] for one in stats if "peak_bytes_in_use" in one]
    return {"host_peak_bytes": host_peak(), "device_peak_bytes": each or None}


def program_memory(compiled: Any) -> dict[str, int] | None:
    """What XLA says that a compiled program takes of each device, in bytes: its arguments, its
    results, how much of these lies where arguments were (donated), and what it needs between. None
    where it does not say."""
    try:
        found = compiled.memory_analysis()
    except (NotImplementedError, RuntimeError):  # of some platforms
        return None
    if found is None:
        return None
    return {name: int(getattr(found, f"{name}_in_bytes")) for name in PARTS}

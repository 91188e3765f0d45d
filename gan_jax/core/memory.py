"""Memory of the host and of devices: limits, peaks, and needs of compiled programs."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import jax

# Parts of XLA's memory analysis of a compiled program.
PARTS = ("argument_size", "output_size", "alias_size", "temp_size", "generated_code_size")


def host_limit() -> int:
    """Return the number of bytes that an array may take in host memory: half of the total."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows
        return 2**62


def device_limit(device: jax.Device) -> int:
    """Return the number of bytes that arrays may take on a device; on a CPU, `host_limit`."""
    return int((device.memory_stats() or {}).get("bytes_limit", 0)) or host_limit()


def host_peak() -> int | None:
    """Return the peak memory of this process in bytes, or None on Windows."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def peak_memory(devices: Sequence[jax.Device]) -> dict[str, Any]:
    """Return the peak memory of this process and of each of its devices.

    Args:
        devices: Devices of the run; those of other processes are ignored.

    Returns:
        `host_peak_bytes`, and `device_peak_bytes` as a list, or None if the devices do not count
        (CPUs).
    """
    local = [device for device in devices if device.process_index == jax.process_index()]
    stats = [device.memory_stats() or {} for device in local]
    peaks = [counts["peak_bytes_in_use"] for counts in stats if "peak_bytes_in_use" in counts]
    return {"host_peak_bytes": host_peak(), "device_peak_bytes": peaks or None}


def program_memory(compiled: Any) -> dict[str, int] | None:
    """Return XLA's estimate of the memory that a compiled program takes on each device.

    Args:
        compiled: Compiled program, from `jax.jit(...).lower(...).compile()`.

    Returns:
        Bytes of the arguments, of the outputs, of outputs in donated arguments (alias), of
        temporary buffers, and of the generated code. None if the platform has no estimate.
    """
    try:
        analysis = compiled.memory_analysis()
    except (NotImplementedError, RuntimeError):  # on some platforms
        return None
    if analysis is None:
        return None
    return {name: int(getattr(analysis, f"{name}_in_bytes")) for name in PARTS}

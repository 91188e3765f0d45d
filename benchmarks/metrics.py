"""Time and memory of the feature metrics, beside torch-fidelity's.

    python -m benchmarks.metrics --out experiments/results/metrics_benchmark.json

The metrics are FID, KID (100 subsets of 1000), precision, recall, density and coverage of random
features, computed as by `evaluate-folders`: KID uses the inner products that the neighborhoods need
too (`pairs`). Every measurement is a new process, so that its peak memory is its own. The features
count toward it; imports do not count toward its time. `--against torch-fidelity`, which must be
installed, measures its FID, KID, precision and recall of the same features in turn.
"""

import concurrent.futures
import dataclasses
import importlib.metadata
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from gan_jax.core import command_line, files, keys
from gan_jax.metrics import frechet, kernel, manifold
from gan_jax.runs import folder, timing


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Size of the features, number of measurements, and the file to write."""

    n: int = 10_000
    """Number of real examples, and of fakes."""
    d: int = 2048
    """Number of features of an example."""
    against: Literal["torch-fidelity"] | None = None
    """Library to compare with."""
    repeats: int = 3
    """Number of measurements."""
    out: Path | None = None
    """Path of the record; None writes none."""


Parts = dict[str, Callable[[], dict[str, float]]]


def features(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return real and fake features [n, d], float32 and nonnegative like those of Inception."""
    random = np.random.default_rng(0)
    real, fake = (random.standard_normal((n, d), np.float32) for _ in range(2))
    return np.maximum(real, 0), np.maximum(0.9 * fake + np.float32(0.1), 0)


def gan_jax_metrics(real: np.ndarray, fake: np.ndarray) -> Parts:
    """Return functions that compute the metrics of gan_jax, by name."""

    def frechet_distance() -> dict[str, float]:
        return {"fid": frechet.frechet_distance(frechet.moments(real), frechet.moments(fake))}

    def pairs() -> dict[str, float]:
        size = min(1000, len(real))
        sums = kernel.SubsetSums(len(real), len(fake), real.shape[1], keys.root_key(0), size=size)
        scores = manifold.manifold_scores(real, fake, on_block=sums.add)._asdict()
        distance = sums.distance()
        return {"kid": distance.mean, "kid_standard_error": distance.standard_error, **scores}

    return {"frechet": frechet_distance, "pairs": pairs}


def torch_fidelity_metrics(real: np.ndarray, fake: np.ndarray) -> Parts:
    """Return functions that compute the metrics of torch-fidelity, by name.

    It has no density and coverage.
    """
    import torch  # pyright: ignore[reportMissingImports]
    from torch_fidelity import (  # pyright: ignore[reportMissingImports]
        metric_fid,
        metric_kid,
        metric_prc,
    )

    first, second = torch.from_numpy(fake), torch.from_numpy(real)  # fakes first
    options = {"verbose": False, "save_cpu_ram": True}

    def frechet_distance() -> dict[str, float]:
        statistics = [metric_fid.fid_features_to_statistics(part) for part in (first, second)]
        return metric_fid.fid_statistics_to_metric(*statistics, verbose=False)

    def kernel_distance() -> dict[str, float]:
        size = min(1000, len(real))
        return metric_kid.kid_features_to_metric(first, second, kid_subset_size=size, **options)

    def manifold_scores() -> dict[str, float]:
        return metric_prc.prc_features_to_metric(first, second, **options)

    return {"frechet": frechet_distance, "kernel": kernel_distance, "manifold": manifold_scores}


LIBRARIES = {"gan_jax": gan_jax_metrics, "torch-fidelity": torch_fidelity_metrics}


def measure(library: str, n: int, d: int) -> dict[str, Any]:
    """Measure the metrics in a new process.

    Args:
        library: Name of the library.
        n: Number of real examples, and of fakes.
        d: Number of features of an example.

    Returns:
        Seconds and values of the metrics, and the peak memory of the process in bytes.
    """
    seconds, values = {}, {}
    for name, metric in LIBRARIES[library](*features(n, d)).items():
        start = time.perf_counter()
        values |= metric()
        seconds[name] = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return {"seconds": seconds, "peak_bytes": peak, "values": values}


def main() -> None:
    """Measure, print, and write JSON if `--out` is set."""
    with command_line.user_errors():
        flags = command_line.parse(Benchmark())
    libraries = ["gan_jax"] + ([flags.against] if flags.against else [])
    measured: dict[str, list[dict[str, Any]]] = {library: [] for library in libraries}
    spawn = multiprocessing.get_context("spawn")
    for _ in range(flags.repeats):
        for library in libraries:
            with concurrent.futures.ProcessPoolExecutor(1, spawn) as process:
                measured[library].append(
                    process.submit(measure, library, flags.n, flags.d).result()
                )
    versions = folder.environment(jax.local_devices()[:1])
    for package in ("scipy", *([flags.against, "torch"] if flags.against else [])):
        versions["packages"][package] = importlib.metadata.version(package)
    distribution = "max(x, 0) and max(0.9 x + 0.1, 0) of numpy's standard normal x, seed 0"
    versions["data"] = {"examples": flags.n, "features": flags.d, "law": distribution}
    record = {
        "command": timing.launch_command(),
        "n": flags.n,
        "d": flags.d,
        "measured": measured,
        "seconds": {
            library: statistics.median(sum(run["seconds"].values()) for run in runs)
            for library, runs in measured.items()
        },
        "peak_bytes": {
            library: max(run["peak_bytes"] for run in runs) for library, runs in measured.items()
        },
        "versions": versions,
    }
    for library in libraries:
        last = measured[library][-1]
        peak = record["peak_bytes"][library] / 2**30
        print(f"{library}: {record['seconds'][library]:.1f} s, {peak:.2f} GiB")
        print("  " + ", ".join(f"{name} {value:.1f} s" for name, value in last["seconds"].items()))
        print("  " + ", ".join(f"{name} {value:.6g}" for name, value in last["values"].items()))
    if flags.against:
        record["ratio"] = record["seconds"][flags.against] / record["seconds"]["gan_jax"]
        print(f"{flags.against} takes {record['ratio']:.2f} times as long")
    if flags.out:
        files.write_atomically(flags.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How long the metrics of features take, and how much memory, beside torch-fidelity's.

Command  python -m benchmarks.metrics --out experiments/results/metrics_benchmark.json

FID, KID (100 subsets of 1000), and precision, recall, density and coverage of random features, as
`compare` computes them: KID from the inner products that the balls need too (`pairs`). Every
measurement is a process of its own, so that its peak of memory is too; the features are part of it,
imports are not of its time. `--against torch-fidelity`, which has to be installed, measures its
FID, KID, precision and recall of the same features in turn with ours.
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
    """What to measure, how often, and where to put it."""

    n: int = 10_000
    """Real examples, and as many fakes."""
    d: int = 2048
    """Features of each."""
    against: Literal["torch-fidelity"] | None = None
    repeats: int = 3
    out: Path | None = None


Parts = dict[str, Callable[[], dict[str, float]]]


def features(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Real and fake [n, d], float32 and at least zero like an Inception network's."""
    random = np.random.default_rng(0)
    real, fake = (random.standard_normal((n, d), np.float32) for _ in range(2))
    return np.maximum(real, 0), np.maximum(0.9 * fake + np.float32(0.1), 0)


def ours(real: np.ndarray, fake: np.ndarray) -> Parts:
    """By name, the metrics of gan_jax."""

    def frechet_distance() -> dict[str, float]:
        return {"fid": frechet.frechet_distance(frechet.moments(real), frechet.moments(fake))}

    def pairs() -> dict[str, float]:
        size = min(1000, len(real))
        sums = kernel.SubsetSums(len(real), len(fake), real.shape[1], keys.root_key(0), size=size)
        scores = manifold.manifold_scores(real, fake, on_block=sums.add)._asdict()
        found = sums.distance()
        return {"kid": found.mean, "kid_standard_error": found.standard_error, **scores}

    return {"frechet": frechet_distance, "pairs": pairs}


def theirs(real: np.ndarray, fake: np.ndarray) -> Parts:
    """By name, the metrics of torch-fidelity, which has no density and coverage."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch_fidelity import (  # pyright: ignore[reportMissingImports]
        metric_fid,
        metric_kid,
        metric_prc,
    )

    first, second = torch.from_numpy(fake), torch.from_numpy(real)  # its order
    options = {"verbose": False, "save_cpu_ram": True}

    def frechet_distance() -> dict[str, float]:
        statistics = [metric_fid.fid_features_to_statistics(one) for one in (first, second)]
        return metric_fid.fid_statistics_to_metric(*statistics, verbose=False)

    def kernel_distance() -> dict[str, float]:
        size = min(1000, len(real))
        return metric_kid.kid_features_to_metric(first, second, kid_subset_size=size, **options)

    def manifold_scores() -> dict[str, float]:
        return metric_prc.prc_features_to_metric(first, second, **options)

    return {"frechet": frechet_distance, "kernel": kernel_distance, "manifold": manifold_scores}


WAYS = {"gan_jax": ours, "torch-fidelity": theirs}


def measure(way: str, n: int, d: int) -> dict[str, Any]:
    """In a new process: seconds of each metric, their values, and the process's peak of memory."""
    seconds, values = {}, {}
    for name, metric in WAYS[way](*features(n, d)).items():
        began = time.perf_counter()
        values |= metric()
        seconds[name] = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return {"seconds": seconds, "peak_bytes": peak, "values": values}


def main() -> None:
    """Measures, prints, and writes JSON if asked to."""
    with command_line.user_errors():
        flags = command_line.parse(Benchmark())
    ways = ["gan_jax"] + ([flags.against] if flags.against else [])
    measured: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    spawn = multiprocessing.get_context("spawn")
    for _ in range(flags.repeats):
        for way in ways:
            with concurrent.futures.ProcessPoolExecutor(1, spawn) as process:
                measured[way].append(process.submit(measure, way, flags.n, flags.d).result())
    versions = folder.environment(jax.local_devices()[:1])
    for package in ("scipy", *([flags.against, "torch"] if flags.against else [])):
        versions["packages"][package] = importlib.metadata.version(package)
    law = "max(x, 0) and max(0.9 x + 0.1, 0) of numpy's standard normal x, seed 0"
    versions["data"] = {"examples": flags.n, "features": flags.d, "law": law}
    found = {
        "command": timing.launch_command(),
        "n": flags.n,
        "d": flags.d,
        "measured": measured,
        "seconds": {
            way: statistics.median(sum(one["seconds"].values()) for one in repeats)
            for way, repeats in measured.items()
        },
        "peak_bytes": {
            way: max(one["peak_bytes"] for one in repeats) for way, repeats in measured.items()
        },
        "versions": versions,
    }
    for way in ways:
        last = measured[way][-1]
        print(f"{way}: {found['seconds'][way]:.1f} s, {found['peak_bytes'][way] / 2**30:.2f} GiB")
        print("  " + ", ".join(f"{name} {value:.1f} s" for name, value in last["seconds"].items()))
        print("  " + ", ".join(f"{name} {value:.6g}" for name, value in last["values"].items()))
    if flags.against:
        found["ratio"] = found["seconds"][flags.against] / found["seconds"]["gan_jax"]
        print(f"{flags.against} takes {found['ratio']:.2f} times as long")
    if flags.out:
        files.write_atomically(flags.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

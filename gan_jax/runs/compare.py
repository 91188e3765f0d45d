"""Comparison of the recorded outputs of two runs: metrics, state digests and samples.

Runs with the same config, data, code and type of machine agree in all of them, bit for bit. A
result under experiments/results/ records only its curve, rounded to six digits.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.config import Config, Logging, Runtime, differences, serialization
from gan_jax.core.errors import UserError
from gan_jax.core.files import read_json
from gan_jax.runs import digest, folder
from gan_jax.runs.metrics_log import check_rows, read_rows


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """Recorded outputs of a run."""

    config: Config
    """Config of the run."""
    versions: dict[str, Any]
    """Versions, device and data, as in versions.json."""
    rows: dict[int, dict[str, Any]]
    """Metrics by step; lists over the members for a population."""
    digests: dict[int, str]
    """Digests of the state by step."""
    logging: Logging
    """Settings of rows and samples."""
    runtime: Runtime
    """Execution settings of the last launch."""
    samples: dict[str, bytes]
    """Contents of sample files (images, texts, audio) by path relative to the samples folder."""
    rounded: bool = False
    """Flag of rows that contain the first member alone, rounded to six digits."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Result of comparing two runs."""

    compared: list[str]
    """Lines that list the compared outputs, one per type."""
    differences: list[str]
    """Lines with the first difference in each type of output; empty if the runs agree."""
    context: list[str]
    """Lines with the differences in config, versions and data, which may explain the others."""


def load_run_record(path: Path) -> RunRecord:
    """Load the recorded outputs of a run folder or a result file. Raises UserError."""
    if path.is_file():
        return _load_result(path)
    config = folder.load_config(path)
    versions = folder.load_versions(path)
    rows = {row["step"]: row for row in read_rows(path / "metrics.jsonl")}
    files = sorted((path / "samples").rglob("step_*"))
    samples = {str(file.relative_to(path / "samples")): file.read_bytes() for file in files}
    settings = folder.load_settings(path)
    return RunRecord(config, versions, rows, digest.read_digests(path), *settings, samples)


def _load_result(path: Path) -> RunRecord:
    try:
        record = read_json(path)
        curve, config = record["curve"], serialization.loads(json.dumps(record["config"]))
        steps, names = curve["step"], [name for name in curve if name != "step"]
        rows = [
            {"step": step, **{name: curve[name][i] for name in names}}
            for i, step in enumerate(steps)
        ]
        rows = {row["step"]: row for row in check_rows(rows)}
        versions = {**record["versions"]}
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is neither a run folder nor a result file: {reason}") from None
    settings = record if "logging" in record else record["config"]  # the latter in version 0.1
    logging, runtime = serialization.load_settings(settings, str(path))
    return RunRecord(config, versions, rows, {}, logging, runtime, {}, rounded=True)


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dictionaries as pairs of a dotted name and a value.

    Example:
        >>> dict(flatten({"device": {"count": 1}, "python": "3.11"}))
        {'device.count': 1, 'python': '3.11'}
    """
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _context(a: RunRecord, b: RunRecord) -> list[str]:
    """List the differences in config, versions and data."""
    lines = [
        f"config: {name} is {first!r} in the first run, {second!r} in the second"
        for name, (first, second) in differences(a.config, b.config).items()
    ]
    versions_a, versions_b = dict(flatten(a.versions)), dict(flatten(b.versions))
    for name in sorted(versions_a.keys() | versions_b.keys()):
        first, second = versions_a.get(name), versions_b.get(name)
        if first != second:
            section = "data" if name.startswith("data.") else "versions"
            lines.append(
                f"{section}: {name} is {first!r} in the first run, {second!r} in the second"
            )
    return lines


def _round_as_recorded(metric: Any) -> Any:
    """Reduce a metric to the form in a result file: the first member's, to six digits."""
    metric = metric[0] if isinstance(metric, list) else metric
    return None if metric is None else float(f"{metric:.6g}")


def _relative_difference(a: Any, b: Any) -> str:
    """Format the largest relative difference of two metrics; empty if there is none."""
    first, second = (np.ravel(np.array(metric, np.float64)) for metric in (a, b))
    if first.shape != second.shape:
        return ""
    with np.errstate(all="ignore"):
        distance = np.abs(first - second) / np.maximum(np.abs(first), 1e-30)
    distance = distance[np.isfinite(distance)]
    return f" (relative difference {distance.max():.1e})" if distance.size else ""


def _compare_rows(a: RunRecord, b: RunRecord) -> tuple[int, str | None]:
    """Return the number of compared rows, and a line on the first difference."""
    steps = sorted(a.rows.keys() & b.rows.keys())
    rounded = a.rounded or b.rounded
    for step in steps:
        for name in a.rows[step]:
            if name == "step" or name not in b.rows[step]:
                continue
            first, second = (
                _round_as_recorded(record.rows[step][name])
                if rounded and not record.rounded
                else record.rows[step][name]
                for record in (a, b)
            )
            if first != second:
                values = f"{first} in the first run, {second} in the second"
                distance = _relative_difference(first, second)
                return len(steps), f"metrics: step {step}, {name}: {values}{distance}"
    return len(steps), None


def compare(a: RunRecord, b: RunRecord) -> Comparison:
    """Compare two runs at the steps that both recorded. Raises UserError if there are none."""
    count, row_difference = _compare_rows(a, b)
    precision = "to six digits" if a.rounded or b.rounded else "bit for bit"
    compared = [f"metrics: {count} rows, {precision}"]
    difference_lines = [row_difference] if row_difference else []
    outputs: dict[str, tuple[dict[Any, Any], dict[Any, Any]]] = {
        "state": (a.digests, b.digests),
        "samples": (a.samples, b.samples),
    }
    for kind, (first, second) in outputs.items():
        common = [name for name in sorted(first) if name in second]
        count += len(common)
        compared.append(f"{kind}: {len(common)} in both runs")
        if differing := [name for name in common if first[name] != second[name]]:
            name = f"step {differing[0]}" if kind == "state" else differing[0]
            difference_lines.append(f"{kind}: {name} differs ({len(differing)} of {len(common)})")
    if not count:
        raise UserError("the runs must have a recorded step in common, got none")
    return Comparison(compared, difference_lines, _context(a, b))


def format_comparison(comparison: Comparison) -> str:
    """Format the result of a comparison as lines of text, with a conclusion at the end."""
    lines = [*comparison.compared, *comparison.differences, *comparison.context]
    if not comparison.differences:
        conclusion = "the runs agree in everything that both recorded"
    elif comparison.context:
        conclusion = "the runs differ: see the differences in config, versions or data above"
    else:
        conclusion = "the runs differ, with the same recorded config, versions and data"
    return "\n".join([*lines, conclusion])

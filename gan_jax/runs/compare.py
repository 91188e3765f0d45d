"""Proof of a run: train it again from its config, and say where two runs part first, and why.

What a run recorded is its metrics rows, the digests of its states and its samples; of a result
under experiments/results/ the rows of its curve, to six digits. Two runs of one config, data, code
and kind of machine agree in all of it, bit for bit.
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
    """What there is of a run to compare with."""

    config: Config
    versions: dict[str, Any]
    rows: dict[int, dict[str, Any]]
    """Metrics by step; of a population lists."""
    digests: dict[int, str]
    logging: Logging
    """When rows and samples were written."""
    runtime: Runtime
    """How the last launch was executed."""
    samples: dict[str, bytes]
    """Files by name, pictures, texts and sounds; a population's members' with their folder's."""
    rounded: bool = False
    """Rows are the first member's, to six digits."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a comparison came to."""

    compared: list[str]
    """What was held against each other, a line a kind."""
    differences: list[str]
    """Where they part first, a line a kind; none if they agree."""
    context: list[str]
    """What else differs between the runs, and may be why."""


def load_run_record(path: Path) -> RunRecord:
    """Of a run folder, or a result file. Raises UserError if it is neither, or is damaged."""
    if path.is_file():
        return _load_result(path)
    config = folder.load_config(path)
    versions = folder.load_versions(path)
    rows = {one["step"]: one for one in read_rows(path / "metrics.jsonl")}
    found = sorted((path / "samples").rglob("step_*"))
    samples = {str(one.relative_to(path / "samples")): one.read_bytes() for one in found}
    settings = folder.load_settings(path)
    return RunRecord(config, versions, rows, digest.read_digests(path), *settings, samples)


def _load_result(path: Path) -> RunRecord:
    try:
        found = read_json(path)
        curve, config = found["curve"], serialization.loads(json.dumps(found["config"]))
        steps, names = curve["step"], [name for name in curve if name != "step"]
        rows = [{"step": s, **{n: curve[n][i] for n in names}} for i, s in enumerate(steps)]
        rows = {one["step"]: one for one in check_rows(rows)}
        versions = {**found["versions"]}
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is neither a run folder nor a result of one: {what}") from None
    settings = found if "logging" in found else found["config"]  # the latter in version 0.1
    logging, runtime = serialization.load_settings(settings, str(path))
    return RunRecord(config, versions, rows, {}, logging, runtime, {}, rounded=True)


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested dictionaries as pairs of a dotted name and a value."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _context(a: RunRecord, b: RunRecord) -> list[str]:
    found = [
        f"config: {name} is {ours!r} there, {theirs!r} here"
        for name, (ours, theirs) in differences(a.config, b.config).items()
    ]
    ours, theirs = dict(flatten(a.versions)), dict(flatten(b.versions))
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            what = "data" if name.startswith("data.") else "versions"
            found.append(f"{what}: {name} is {ours.get(name)!r} there, {theirs.get(name)!r} here")
    return found


def _as_recorded(value: Any, *, rounded: bool) -> Any:
    """A metric of a row as a result's curve has it: the first member's, to six digits."""
    if not rounded:
        return value
    value = value[0] if isinstance(value, list) else value
    return None if value is None else float(f"{value:.6g}")


def _compare_rows(a: RunRecord, b: RunRecord) -> tuple[int, str | None]:
    """How many rows were compared, and where they part first."""
    steps = sorted(a.rows.keys() & b.rows.keys())
    rounded = a.rounded or b.rounded
    for step in steps:
        for name in a.rows[step]:
            if name == "step" or name not in b.rows[step]:
                continue
            ours, theirs = (
                _as_recorded(one.rows[step][name], rounded=rounded and not one.rounded)
                for one in (a, b)
            )
            if ours != theirs:
                first, second = (np.ravel(np.array(x, np.float64)) for x in (ours, theirs))
                apart = ""
                if first.shape == second.shape:
                    with np.errstate(all="ignore"):
                        off = np.abs(first - second) / np.maximum(np.abs(first), 1e-30)
                    off = off[np.isfinite(off)]
                    apart = f", relatively {off.max():.1e} apart" if off.size else ""
                where = f"metrics: step {step}, {name}: {ours} there, {theirs} here{apart}"
                return len(steps), where
    return len(steps), None


def compare(a: RunRecord, b: RunRecord) -> Comparison:
    """Two runs, over the steps that both have. Raises UserError if there is nothing of both."""
    count, first = _compare_rows(a, b)
    exact = "to six digits" if a.rounded or b.rounded else "bit for bit"
    compared, parted = [f"metrics: {count} rows, {exact}"], [first] if first else []
    pairs: dict[str, tuple[dict[Any, Any], dict[Any, Any]]] = {
        "state": (a.digests, b.digests),
        "samples": (a.samples, b.samples),
    }
    for kind, (ours, theirs) in pairs.items():
        common = [name for name in sorted(ours) if name in theirs]
        count += len(common)
        compared.append(f"{kind}: {len(common)} in both")
        if unlike := [name for name in common if ours[name] != theirs[name]]:
            where = f"step {unlike[0]}" if kind == "state" else unlike[0]
            parted.append(f"{kind}: {where} is another ({len(unlike)} of {len(common)} are)")
    if not count:
        raise UserError("the runs have no step in common to compare")
    return Comparison(compared, parted, _context(a, b))


def format_comparison(comparison: Comparison) -> str:
    """The verdict in lines, the last of which is the sum of it."""
    lines = [*comparison.compared, *comparison.differences, *comparison.context]
    if not comparison.differences:
        return "\n".join([*lines, "the runs agree in all that both recorded"])
    why = "see what differs above" if comparison.context else "and no reason of it is on record"
    return "\n".join([*lines, f"the runs part: {why}"])

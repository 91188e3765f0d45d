"""What finished runs were and came to, small enough to commit; and the README's table of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import logs, run
from gan_jax.config import differences
from gan_jax.errors import UserError

CURVE_POINTS = 100


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def _metrics(workdir: Path) -> dict[str, np.ndarray]:
    try:
        return logs.read_metrics(workdir)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{workdir / 'metrics.jsonl'} cannot be read: {error}") from None


def summarise(workdir: Path, scores: dict[str, float]) -> dict[str, Any]:
    """One run: its launches, its speed after the first step (which compiles), its last losses.

    Losses are means over the last tenth of the run: single steps are noisy. Raises UserError if the
    run has not come to its end.
    """
    config, metrics = run.load_config(workdir), _metrics(workdir)
    launches = _read(workdir / "timing.json")
    try:
        ends = [launch["to_step"] for launch in launches]
        whole = [launch for launch in launches if not launch.get("undone")]
        steps = sum(launch["to_step"] - launch["from_step"] - 1 for launch in whole)
        times = [launch["train_seconds"] - launch["first_step_seconds"] for launch in whole]
        joined = [launch["from_step"] for launch in launches] == [0, *ends[:-1]]
    except (KeyError, TypeError) as error:
        raise UserError(f"{workdir}: timing.json is damaged: {error}") from None
    if not joined:
        raise UserError(f"{workdir}: timing.json does not account for all steps")
    if ends[-1] != config.steps:
        raise UserError(f"{workdir} is at step {ends[-1]} of {config.steps}")
    late = (metrics["step"] > 0.9 * config.steps) & np.isfinite(metrics["disc_loss"])
    late &= np.isfinite(metrics["gen_loss"])
    if not late.any():
        raise UserError(f"{workdir} has no row of finite losses in its last tenth")
    return {
        "seed": config.seed,
        "steps": config.steps,
        "launches": launches,
        "train_seconds": sum(launch["train_seconds"] for launch in launches),
        "examples_per_second": steps * config.batch_size / sum(times),
        "rows_with_a_skip": int((metrics["skipped"] > 0).sum()),
        "last_tenth": {n: float(metrics[n][late].mean()) for n in ("disc_loss", "gen_loss")},
        "scores": scores,
    }


def _fingerprint(workdir: Path) -> str:
    return _read(workdir / "versions.json").get("data", {}).get("fingerprint", "")


def _rounded(name: str, value: float) -> float | int | None:
    if name == "step":
        return int(value)
    return float(f"{value:.6g}") if np.isfinite(value) else None


def record(workdirs: Sequence[Path], scores: Sequence[dict[str, float]], out: Path) -> Path:
    """Writes OUT/NAME.json of runs of one experiment that differ by their seeds alone, NAME.png,
    the last grid of the first, and NAME_real.png, its data. Returns the first file's path.

    Raises UserError if the runs are of different configs, or one is not at its end.
    """
    config = run.load_config(workdirs[0])
    for workdir in workdirs[1:]:
        theirs = run.load_config(workdir)
        other = differences(config, theirs).keys() - {"seed"}
        other |= {"steps"} if theirs.steps != config.steps else set()
        other |= {"data"} if _fingerprint(workdir) != _fingerprint(workdirs[0]) else set()
        if other:
            raise UserError(f"{workdir} differs from {workdirs[0]} in {', '.join(sorted(other))}")
    metrics = _metrics(workdirs[0])
    keep = np.unique(np.linspace(0, len(metrics["step"]) - 1, CURVE_POINTS).round().astype(int))
    entry = {
        "experiment": config.name,
        "config": _read(workdirs[0] / "config.json"),
        "versions": _read(workdirs[0] / "versions.json"),
        "runs": [
            summarise(workdir, score) for workdir, score in zip(workdirs, scores, strict=True)
        ],
        "curve": {
            name: [_rounded(name, value) for value in rows[keep]] for name, rows in metrics.items()
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{config.name}.json"
    logs.write_atomically(path, json.dumps(entry, indent=1, allow_nan=False) + "\n")
    samples = workdirs[0] / "samples"
    for picture, name in (
        (f"step_{config.steps:08d}", config.name),
        ("real", f"{config.name}_real"),
    ):
        (out / f"{name}.png").write_bytes((samples / f"{picture}.png").read_bytes())
    return path


def _mean_sd(values: Sequence[float], digits: int) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def table(folder: Path) -> str:
    """The README's table: a row for each NAME.json with runs in `folder`, by name."""
    lines = [
        "| command | seeds | training | images/s | critic loss | generator loss | scores |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted(folder.glob("*.json")):
        entry = _read(path)
        if "runs" not in entry:
            continue
        runs = entry["runs"]
        names = list(runs[0]["scores"])
        scores = [f"{n} {_mean_sd([r['scores'][n] for r in runs], 3)}" for n in names]
        cells = [
            f"`python -m experiments.{entry['experiment']}`",
            ", ".join(str(one["seed"]) for one in runs),
            f"{runs[0]['steps']} steps, {_mean_sd([r['train_seconds'] for r in runs], 0)} s",
            _mean_sd([r["examples_per_second"] for r in runs], 0),
            _mean_sd([r["last_tenth"]["disc_loss"] for r in runs], 3),
            _mean_sd([r["last_tenth"]["gen_loss"] for r in runs], 3),
            ", ".join(scores) or f"[picture](experiments/results/{path.stem}.png)",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)

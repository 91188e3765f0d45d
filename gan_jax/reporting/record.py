"""Summaries of finished runs, small enough to commit."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.config import Config, differences, population, serialization
from gan_jax.core import files
from gan_jax.core.errors import UserError, reason
from gan_jax.metrics.evaluation import in_training_log
from gan_jax.reporting import curves, sweeps
from gan_jax.runs import folder, metrics_log, score_card

CURVE_POINTS = 100
# Fields of a metric card that depend on the member, and are not part of its protocol.
MEMBER_FIELDS = ("values", "seeds", "standard_error", "mean", "sd")


def summarize_run(workdir: Path, scores: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    """Summarize a finished run, with one entry for each member.

    An entry has the launches (first member only), the speed after the first step (which compiles),
    the mean losses over the last tenth of the run, and the scores. Training time and examples per
    second are those of the whole population, in each entry.

    Args:
        workdir: Run folder.
        scores: Scores of each member.

    Returns:
        The entries.

    Raises:
        UserError: If the run is not finished, or a loss or score is not finite.
    """
    config, metrics = folder.load_config(workdir), metrics_log.read_metrics(workdir)
    launches = files.read_json(workdir / "timing.json")
    try:
        ends = [launch["to_step"] for launch in launches]
        timed = [launch for launch in launches if not launch.get("undone")]
        steps = sum(launch["to_step"] - launch["from_step"] - 1 for launch in timed)
        times = [launch["train_seconds"] - launch["first_step_seconds"] for launch in timed]
        is_contiguous = [launch["from_step"] for launch in launches] == [0, *ends[:-1]]
        last, rate = (ends[-1], steps / sum(times)) if launches else (0, 0.0)
        seconds = sum(launch["train_seconds"] for launch in launches)
    except (KeyError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
        raise UserError(f"{workdir}: timing.json is damaged: {reason(error)}") from None
    if not is_contiguous:
        raise UserError(f"{workdir}: timing.json does not account for all steps")
    if last != config.steps:
        raise UserError(f"{workdir} is at step {last} of {config.steps}")
    members = population.member_configs(config)
    losses = sweeps.last_tenth(metrics, config)
    if not all(np.isfinite([*loss.values()]).all() for loss in losses):
        raise UserError(f"{workdir} has no row of finite losses in its last tenth")
    if not all(np.isfinite([*score.values()]).all() for score in scores):
        raise UserError(f"{workdir} has a score that is not finite")
    skips = (metrics["skipped"].reshape(-1, len(members)) > 0).sum(0)
    shared = {
        "steps": config.steps,
        "members": len(members),
        "train_seconds": seconds,
        "examples_per_second": rate * config.batch_size * len(members),
    }
    return [
        {
            "seed": member.seed,
            **shared,
            "launches": launches if member is members[0] else [],
            "rows_with_a_skip": int(skipped),
            "last_tenth": loss,
            "scores": score,
        }
        for member, skipped, loss, score in zip(members, skips, losses, scores, strict=True)
    ]


def _fingerprint(workdir: Path) -> str:
    return folder.load_versions(workdir)["data"]["fingerprint"]


def _round(name: str, value: float) -> float | int | None:
    if name == "step":
        return int(value)
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _downsample(metrics: dict[str, np.ndarray]) -> dict[str, list[float | int | None]]:
    """Select at most CURVE_POINTS evenly spaced rows of the first member, both ends included."""
    count = len(metrics["step"])
    selected = np.unique(np.linspace(0, count - 1, min(count, CURVE_POINTS)).round().astype(int))
    first = {name: rows.reshape(count, -1)[:, 0] for name, rows in metrics.items() if count}
    return {name: [_round(name, value) for value in rows[selected]] for name, rows in first.items()}


def _score_curve(workdir: Path) -> dict[str, Any]:
    """Return the scores in training and their protocol, if the run has any."""
    if not (workdir / in_training_log.ROWS).exists():
        return {}
    card = in_training_log.read_card(workdir)
    protocol = {name: value for name, value in card.items() if name not in MEMBER_FIELDS}
    return {
        "score_curve": {
            "protocol": protocol,
            **_downsample(metrics_log.read_metrics(workdir, in_training_log.ROWS)),
        }
    }


def _final_cards(workdir: Path, config: Config) -> list[dict[str, Any]]:
    """Return the metric cards of the run's last step, if it has been evaluated."""
    path = workdir / "scores.json"
    if not path.exists():
        return []
    return [card for card in score_card.read_cards(path) if card.get("step") == config.steps]


def recorded_scores(workdir: Path, config: Config) -> list[dict[str, float]] | None:
    """Read each member's scores at the last step from scores.json; None if there are none."""
    if not (cards := _final_cards(workdir, config)):
        return None
    members = range(len(population.member_configs(config)))
    try:
        scores = [{card["metric"]: card["values"][i] for card in cards} for i in members]
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{workdir / 'scores.json'} is damaged: {reason(error)}") from None
    nan = float("nan")  # null in JSON
    return [
        {name: nan if value is None else value for name, value in entry.items()} for entry in scores
    ]


def write_record(
    workdirs: Sequence[Path], scores: Sequence[Sequence[dict[str, float]]], out: Path
) -> Path:
    """Write a record of runs that differ only in their seeds.

    Writes NAME.json, and of the first run NAME.png (last samples), NAME_real.png (data) and
    NAME_curves.png. Texts have NAME.txt and NAME_real.txt instead, audio also has NAME.wav and
    NAME_real.wav.

    Args:
        workdirs: Run folders.
        scores: Scores of each member of each run.
        out: Folder to write into.

    Returns:
        Path of NAME.json.

    Raises:
        UserError: If the runs differ in more than their seeds, or one is not finished or is a sweep
            (whose record is its sweep.json).
    """
    config = folder.load_config(workdirs[0])
    for workdir in workdirs:
        run_config = folder.load_config(workdir)
        fields = differences(config, run_config).keys() - {"seed", "seeds"}
        fields |= {"steps"} if run_config.steps != config.steps else set()
        fields |= {"data"} if _fingerprint(workdir) != _fingerprint(workdirs[0]) else set()
        if fields:
            raise UserError(f"{workdir} differs from {workdirs[0]} in {', '.join(sorted(fields))}")
        if run_config.sweep:
            raise UserError(f"{workdir} is a sweep: its record is {workdir / 'sweep.json'}")
    protocols = [
        [
            {name: value for name, value in card.items() if name not in MEMBER_FIELDS}
            for card in cards
        ]
        for cards in (_final_cards(workdir, config) for workdir in workdirs)
    ]
    if any(protocol != protocols[0] for protocol in protocols):
        raise UserError(
            "scores.json must have one protocol in all runs: evaluate them with the same flags"
        )
    summaries = [summarize_run(*pair) for pair in zip(workdirs, scores, strict=True)]
    logging, runtime = folder.load_settings(workdirs[0])
    record = {
        "experiment": config.name,
        "config": json.loads(serialization.dumps(config)),
        "logging": dataclasses.asdict(logging),
        "runtime": dataclasses.asdict(runtime),
        "versions": files.read_json(workdirs[0] / "versions.json"),
        "protocol": protocols[0],
        "runs": [entry for entries in summaries for entry in entries],
        "curve": _downsample(metrics_log.read_metrics(workdirs[0])),
        **_score_curve(workdirs[0]),
    }
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{config.name}.json"
    files.write_atomically(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
    _copy_samples(workdirs[0], config, out)
    curves.plot_curves(workdirs[0], out / f"{config.name}_curves.png")
    return path


def _copy_samples(workdir: Path, config: Config, out: Path) -> None:
    """Copy the last samples and the data of a run."""
    samples = workdir / "samples"
    first = samples / "member_00" if population.is_population(config) else samples
    last, real = first / f"step_{config.steps:08d}", samples / "real"
    for source, name in ((last, config.name), (real, f"{config.name}_real")):
        suffixes = (".png", ".txt", ".wav")
        existing = [suffix for suffix in suffixes if source.with_suffix(suffix).exists()]
        if not existing:
            raise UserError(f"{source}.png and {source}.txt are missing: the samples are lost")
        for suffix in existing:
            (out / f"{name}{suffix}").write_bytes(source.with_suffix(suffix).read_bytes())

"""What finished runs were and came to, small enough to commit."""

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
OF_MEMBERS = ("values", "seeds", "standard_error", "mean", "sd")  # what a protocol leaves out


def summarize_run(workdir: Path, scores: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    """One run, an entry a member: launches, speed after the first step (which compiles), last
    losses, and the given `scores`. What a population's members share is in each entry, and is the
    whole population's: training time and examples a second of all.

    Losses are means over the last tenth of the run. Raises UserError if the run has not come to its
    end.
    """
    config, metrics = folder.load_config(workdir), metrics_log.read_metrics(workdir)
    launches = files.read_json(workdir / "timing.json")
    try:
        ends = [launch["to_step"] for launch in launches]
        whole = [launch for launch in launches if not launch.get("undone")]
        steps = sum(launch["to_step"] - launch["from_step"] - 1 for launch in whole)
        times = [launch["train_seconds"] - launch["first_step_seconds"] for launch in whole]
        joined = [launch["from_step"] for launch in launches] == [0, *ends[:-1]]
        last, rate = (ends[-1], steps / sum(times)) if launches else (0, 0.0)
        seconds = sum(launch["train_seconds"] for launch in launches)
    except (KeyError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
        raise UserError(f"{workdir}: timing.json is damaged: {reason(error)}") from None
    if not joined:
        raise UserError(f"{workdir}: timing.json does not account for all steps")
    if last != config.steps:
        raise UserError(f"{workdir} is at step {last} of {config.steps}")
    members = population.member_configs(config)
    losses = sweeps.last_tenth(metrics, config)
    if not all(np.isfinite([*one.values()]).all() for one in losses):
        raise UserError(f"{workdir} has no row of finite losses in its last tenth")
    if not all(np.isfinite([*one.values()]).all() for one in scores):
        raise UserError(f"{workdir} has a score that is not finite: its samples are not")
    skips = (metrics["skipped"].reshape(-1, len(members)) > 0).sum(0)
    shared = {
        "steps": config.steps,
        "members": len(members),
        "train_seconds": seconds,
        "examples_per_second": rate * config.batch_size * len(members),
    }
    return [
        {
            "seed": one.seed,
            **shared,
            "launches": launches if one is members[0] else [],
            "rows_with_a_skip": int(skipped),
            "last_tenth": loss,
            "scores": score,
        }
        for one, skipped, loss, score in zip(members, skips, losses, scores, strict=True)
    ]


def _fingerprint(workdir: Path) -> str:
    return folder.load_versions(workdir)["data"]["fingerprint"]


def _rounded(name: str, value: float) -> float | int | None:
    if name == "step":
        return int(value)
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _thinned(metrics: dict[str, np.ndarray]) -> dict[str, list[float | int | None]]:
    """At most CURVE_POINTS rows, evenly spread, the first and the last among them; of a population
    those of its first member."""
    count = len(metrics["step"])
    keep = np.unique(np.linspace(0, count - 1, min(count, CURVE_POINTS)).round().astype(int))
    first = {name: rows.reshape(count, -1)[:, 0] for name, rows in metrics.items() if count}
    return {name: [_rounded(name, value) for value in rows[keep]] for name, rows in first.items()}


def _score_curve(workdir: Path) -> dict[str, Any]:
    """Of a run that was scored as it trained: the curve of its scores, and their protocol."""
    if not (workdir / in_training_log.ROWS).exists():
        return {}
    protocol = in_training_log.read_card(workdir)
    kept = {name: value for name, value in protocol.items() if name not in OF_MEMBERS}
    return {
        "score_curve": {
            "protocol": kept,
            **_thinned(metrics_log.read_metrics(workdir, in_training_log.ROWS)),
        }
    }


def _protocol(workdir: Path, config: Config) -> list[dict[str, Any]]:
    """The cards of the run's last step in its scores.json, if it has been evaluated."""
    path = workdir / "scores.json"
    return (
        [c for c in score_card.read_cards(path) if c.get("step") == config.steps]
        if path.exists()
        else []
    )


def recorded_scores(workdir: Path, config: Config) -> list[dict[str, float]] | None:
    """The scores of scores.json, an entry a member; None where the run's last step has none."""
    if not (cards := _protocol(workdir, config)):
        return None
    members = range(len(population.member_configs(config)))
    try:
        found = [{c["metric"]: c["values"][i] for c in cards} for i in members]
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{workdir / 'scores.json'} is damaged: {reason(error)}") from None
    lost = float("nan")  # in JSON null
    return [
        {name: lost if value is None else value for name, value in one.items()} for one in found
    ]


def write_record(
    workdirs: Sequence[Path], scores: Sequence[Sequence[dict[str, float]]], out: Path
) -> Path:
    """Writes OUT/NAME.json of runs of one experiment that differ by their seeds alone, NAME.png,
    the last grid of the first, NAME_curves.png, how it went, and NAME_real.png, its data; of texts
    NAME.txt and NAME_real.txt, of sounds NAME.wav and NAME_real.wav too. Returns the first file's
    path.

    `scores` has a list a run, of an entry a member. Raises UserError if the runs are of different
    configs, one is not at its end, or one is a sweep (whose sweep.json says all of it).
    """
    config = folder.load_config(workdirs[0])
    for workdir in workdirs:
        theirs = folder.load_config(workdir)
        other = differences(config, theirs).keys() - {"seed", "seeds"}
        other |= {"steps"} if theirs.steps != config.steps else set()
        other |= {"data"} if _fingerprint(workdir) != _fingerprint(workdirs[0]) else set()
        if other:
            raise UserError(f"{workdir} differs from {workdirs[0]} in {', '.join(sorted(other))}")
        if theirs.sweep:
            raise UserError(f"{workdir} is a sweep: its record is {workdir / 'sweep.json'}")
    protocols = [
        [{name: value for name, value in one.items() if name not in OF_MEMBERS} for one in cards]
        for cards in (_protocol(workdir, config) for workdir in workdirs)
    ]
    if any(protocol != protocols[0] for protocol in protocols):
        raise UserError("scores.json of the runs are of different protocols: evaluate them alike")
    each = [summarize_run(workdir, score) for workdir, score in zip(workdirs, scores, strict=True)]
    logging, runtime = folder.load_settings(workdirs[0])
    entry = {
        "experiment": config.name,
        "config": json.loads(serialization.dumps(config)),
        "logging": dataclasses.asdict(logging),
        "runtime": dataclasses.asdict(runtime),
        "versions": files.read_json(workdirs[0] / "versions.json"),
        "protocol": protocols[0],
        "runs": [one for members in each for one in members],
        "curve": _thinned(metrics_log.read_metrics(workdirs[0])),
        **_score_curve(workdirs[0]),
    }
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{config.name}.json"
    files.write_atomically(path, json.dumps(entry, indent=1, allow_nan=False) + "\n")
    samples = workdirs[0] / "samples"
    drawn = samples / "member_00" if population.is_population(config) else samples
    last, real = drawn / f"step_{config.steps:08d}.png", samples / "real.png"
    for shown, name in ((last, config.name), (real, f"{config.name}_real")):
        kinds = [kind for kind in (".png", ".txt", ".wav") if shown.with_suffix(kind).exists()]
        if not kinds:
            raise UserError(f"{shown} is not there, nor as .txt: the run's samples are lost")
        for kind in kinds:
            (out / f"{name}{kind}").write_bytes(shown.with_suffix(kind).read_bytes())
    curves.plot_curves(workdirs[0], out / f"{config.name}_curves.png")
    return path

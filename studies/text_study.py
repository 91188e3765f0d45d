"""Whether adversarial training makes better sentences than likelihood alone, over temperatures.

Data     the runs' own, their split `test`
Command  python -m studies.text_study --runs runs/coco_relgan_small runs/coco_lstm_small
Result   README.md, from experiments/results/NAME_study.json, NAME being the first run's

A model that samples at a lower temperature gives diversity for quality, so two models are compared
over all temperatures, and one is better only where it has more quality at the same diversity
(Caccia et al. 2020, 1811.02549). Each run is scored at its end and, where it began with likelihood,
at the end of that too: what the game started from. `ahead` is the BLEU that a model has more than
another at the same self-BLEU, the other's curve being interpolated between its temperatures.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config, TextData, schema
from gan_jax.core import command_line
from gan_jax.core.errors import UserError
from gan_jax.metrics.evaluation import evaluate
from gan_jax.metrics.evaluation.evaluator import Settings
from gan_jax.reporting.sweeps import format_mean_std
from gan_jax.runs import folder as run_folder
from gan_jax.runs.score_card import ScoreCard
from studies import common

QUALITY, SAMENESS = "bleu_4", "self_bleu_4"
# Of a picture: what is to the right, what is up. Each is drawn if all models have both.
PANELS = ((SAMENESS, QUALITY), ("nll_div", "nll_gen"), ("nll_gen", "nll_oracle"))


@dataclasses.dataclass(frozen=True)
class Study:
    """Which runs to compare, and on how much."""

    runs: tuple[Path, ...] = (Path("runs/coco_relgan_small"), Path("runs/coco_lstm_small"))
    """Run folders."""
    num: int | None = None
    """Samples at each temperature; by default as many as test sentences, at most 5000."""
    temperatures: tuple[float, ...] = (1.2, 1.1, *Settings.temperatures)
    path: str | None = None
    """Where the data lies now, if elsewhere than where the runs found it: of `lines` the file."""
    out: Path = Path("experiments/results")


def stages(config: Config) -> dict[str, int]:
    """The steps of a run to score, by what it has done by then."""
    before, name = config.pretrain.steps, config.name
    found = {f"{name}, likelihood": before} if before else {}
    return found | ({f"{name}, game": config.steps} if config.steps > before else {})


def points(cards: Sequence[ScoreCard]) -> list[dict[str, Any]]:
    """A row a temperature, from the highest: the values of each metric, one a member."""
    rows: dict[float, dict[str, Any]] = {}
    for card in cards:
        assert card.temperature is not None
        row = rows.setdefault(card.temperature, {"temperature": card.temperature})
        row[card.metric.split(" at ")[0]] = list(card.values)
    return [rows[temperature] for temperature in sorted(rows, reverse=True)]


def ahead(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> list[float | None]:
    """At each of our temperatures the mean quality less theirs at the same sameness; None where
    theirs do not reach."""
    x, y = (np.array([np.mean(row[name]) for row in theirs]) for name in (SAMENESS, QUALITY))
    order = np.argsort(x)
    found = []
    for row in ours:
        at = np.mean(row[SAMENESS])
        inside = x.min() <= at <= x.max()
        other = np.interp(at, x[order], y[order])
        found.append(float(np.mean(row[QUALITY]) - other) if inside else None)
    return found


def figure(models: dict[str, list[dict[str, Any]]]) -> Any:
    """Each model's way over the temperatures, means of its members."""
    from matplotlib.figure import Figure  # slow to import

    rows = [row for way in models.values() for row in way]
    panels = [pair for pair in PANELS if all(name in row for row in rows for name in pair)]
    drawn = Figure(figsize=(5 * len(panels), 4), layout="constrained")
    axes = drawn.subplots(1, len(panels), squeeze=False)[0]
    for axis, (right, up) in zip(axes, panels, strict=True):
        for name, way in models.items():
            x, y = ([float(np.mean(row[of])) for row in way] for of in (right, up))
            axis.plot(x, y, marker="o", markersize=3, linewidth=1, label=name)
            for row, *place in zip(way, x, y, strict=True):
                axis.annotate(f"{row['temperature']:g}", place, fontsize=6)
        axis.set(xlabel=right, ylabel=up)
        axis.legend(fontsize=7, frameon=False)
    return drawn


def table(report: dict[str, Any]) -> str:
    """The README's table of a study on record, at temperature 1 and at the lowest."""
    names = (QUALITY, "bleu_5", SAMENESS, "nll_gen", "nll_div", "nll_oracle")
    models = report["models"]
    names = [name for name in names if name in next(iter(models.values()))[0]]
    head = ["model", "temperature", *names]
    rows = []
    for model, way in models.items():
        for row in (next(row for row in way if row["temperature"] == 1), way[-1]):
            cells = [
                model,
                f"{row['temperature']:g}",
                *(format_mean_std(row[name], 3) for name in names),
            ]
            rows.append(cells)
    return common.table(head, rows)


def main() -> None:
    """Writes NAME_study.json and NAME_study.png, and prints who is ahead."""
    with command_line.user_errors():
        command_line.use_compilation_cache()
        flags = command_line.parse(Study())
        models: dict[str, list[dict[str, Any]]] = {}
        shared = {}
        names = [run_folder.load_config(folder).name for folder in flags.runs]
        if len(set(names)) < len(names):
            raise UserError(f"runs are of {', '.join(names)}: one of each experiment is allowed")
        for folder in flags.runs:
            config = run_folder.load_config(folder)
            if not isinstance(config.data, TextData):
                raise UserError(f"{folder} is a run on {config.data.name!r}, not on texts")
            dataset = evaluate.load_data(folder, config, flags.path)
            for name, step in stages(config).items():
                cards = evaluate.evaluate(
                    folder,
                    Settings(num=flags.num, temperatures=flags.temperatures),
                    steps=[step],
                    dataset=dataset,
                    data=schema.with_data_dir(config.data, flags.path),
                )
                if not all(np.isfinite(card.values).all() for card in cards):
                    raise UserError(f"{folder} has a member that has diverged")
                models[name] = points(cards)
                about = {"seeds": cards[0].seeds, "n_fake": cards[0].n_fake, "real": cards[0].real}
                shared[name] = about | {"step": step, "real_sha256": cards[0].real_sha256}
        gains = {
            f"{ours} against {theirs}": ahead(models[ours], models[theirs])
            for ours in models
            for theirs in models
            if ours.endswith("game")
            and theirs.endswith("likelihood")
            and QUALITY in models[ours][0]
        }
        for pair, gain in gains.items():
            print(f"{QUALITY} at equal {SAMENESS}, {pair}: {gain}")
        out = flags.out / f"{run_folder.load_config(flags.runs[0]).name}_study.json"
        versions = run_folder.environment(jax.local_devices()[:1])
        report = {"versions": versions, "about": shared, "models": models, "ahead": gains}
        common.write_record(out, report)
        figure(models).savefig(out.with_suffix(".png"), dpi=90)
        print(f"{out}, {out.with_suffix('.png')}")


if __name__ == "__main__":
    main()

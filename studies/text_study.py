"""Compare adversarial training with maximum likelihood on text, over temperatures.

    python -m studies.text_study --runs runs/coco_relgan_small runs/coco_lstm_small

The data are those of the runs, split `test`. Results are in experiments/results/NAME_study.json,
NAME being that of the first run.

At a lower temperature a model trades diversity for quality. Two models are therefore compared over
all temperatures, and one is better only where its quality is higher at equal diversity (Caccia et
al. 2020, 1811.02549). Each run is scored at its end and, if it started with likelihood, at the end
of that phase too. `ahead` is the difference in BLEU between two models at equal self-BLEU, where
the second model's curve is interpolated between its temperatures.
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

QUALITY, SIMILARITY = "bleu_4", "self_bleu_4"
# Metrics on the axes of each panel of the figure, which is shown if all models have both.
PANELS = ((SIMILARITY, QUALITY), ("nll_div", "nll_gen"), ("nll_gen", "nll_oracle"))


@dataclasses.dataclass(frozen=True)
class Study:
    """Runs to compare, and amount of data."""

    runs: tuple[Path, ...] = (Path("runs/coco_relgan_small"), Path("runs/coco_lstm_small"))
    """Run folders, one per recipe."""
    num: int | None = None
    """Number of samples per temperature; as many as test sentences by default, at most 5000."""
    temperatures: tuple[float, ...] = (1.2, 1.1, *Settings.temperatures)
    """Softmax temperatures."""
    path: str | None = None
    """Path to the data, if it has moved since training."""
    out: Path = Path("experiments/results")
    """Folder to write to."""


def stages(config: Config) -> dict[str, int]:
    """Return the steps of a run to score: the ends of its phases, by name."""
    before, name = config.pretrain.steps, config.name
    likelihood = {f"{name}, likelihood": before} if before else {}
    return likelihood | ({f"{name}, game": config.steps} if config.steps > before else {})


def points(cards: Sequence[ScoreCard]) -> list[dict[str, Any]]:
    """Return a row per temperature, highest first, with the members' values of each metric."""
    rows: dict[float, dict[str, Any]] = {}
    for card in cards:
        assert card.temperature is not None
        row = rows.setdefault(card.temperature, {"temperature": card.temperature})
        row[card.metric.split(" at ")[0]] = list(card.values)
    return [rows[temperature] for temperature in sorted(rows, reverse=True)]


def ahead(
    model: Sequence[dict[str, Any]], baseline: Sequence[dict[str, Any]]
) -> list[float | None]:
    """Return the difference in mean quality at equal similarity, per temperature of `model`.

    It is None outside of the range of the baseline. Rows are those of `points`.
    """
    x, y = (np.array([np.mean(row[name]) for row in baseline]) for name in (SIMILARITY, QUALITY))
    order = np.argsort(x)
    differences = []
    for row in model:
        similarity = np.mean(row[SIMILARITY])
        inside = x.min() <= similarity <= x.max()
        quality = np.interp(similarity, x[order], y[order])
        differences.append(float(np.mean(row[QUALITY]) - quality) if inside else None)
    return differences


def figure(models: dict[str, list[dict[str, Any]]]) -> Any:
    """Return the models' curves over temperatures, as means over members."""
    from matplotlib.figure import Figure  # slow to import

    all_rows = [row for rows in models.values() for row in rows]
    panels = [pair for pair in PANELS if all(name in row for row in all_rows for name in pair)]
    plot = Figure(figsize=(5 * len(panels), 4), layout="constrained")
    axes = plot.subplots(1, len(panels), squeeze=False)[0]
    for axis, (x_metric, y_metric) in zip(axes, panels, strict=True):
        for name, rows in models.items():
            x, y = (
                [float(np.mean(row[metric])) for row in rows] for metric in (x_metric, y_metric)
            )
            axis.plot(x, y, marker="o", markersize=3, linewidth=1, label=name)
            for row, *position in zip(rows, x, y, strict=True):
                axis.annotate(f"{row['temperature']:g}", position, fontsize=6)
        axis.set(xlabel=x_metric, ylabel=y_metric)
        axis.legend(fontsize=7, frameon=False)
    return plot


def table(report: dict[str, Any]) -> str:
    """Return the table of a recorded study, at temperature 1 and at the lowest one."""
    names = (QUALITY, "bleu_5", SIMILARITY, "nll_gen", "nll_div", "nll_oracle")
    models = report["models"]
    names = [name for name in names if name in next(iter(models.values()))[0]]
    header = ["model", "temperature", *names]
    cells = []
    for model, rows in models.items():
        for row in (next(row for row in rows if row["temperature"] == 1), rows[-1]):
            scores = [format_mean_std(row[name], 3) for name in names]
            cells.append([model, f"{row['temperature']:g}", *scores])
    return common.table(header, cells)


def main() -> None:
    """Write NAME_study.json and NAME_study.png, and print the differences."""
    with command_line.user_errors():
        command_line.use_compilation_cache()
        flags = command_line.parse(Study())
        models: dict[str, list[dict[str, Any]]] = {}
        shared = {}
        names = [run_folder.load_config(folder).name for folder in flags.runs]
        if len(set(names)) < len(names):
            raise UserError(f"runs must be of different recipes, got {', '.join(names)}")
        for folder in flags.runs:
            config = run_folder.load_config(folder)
            if not isinstance(config.data, TextData):
                raise UserError(f"{folder} must be a run on text, got data {config.data.name!r}")
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
                    raise UserError(f"scores of {folder} must be finite: a member has diverged")
                models[name] = points(cards)
                facts = {"seeds": cards[0].seeds, "n_fake": cards[0].n_fake, "real": cards[0].real}
                shared[name] = facts | {"step": step, "real_sha256": cards[0].real_sha256}
        gains = {
            f"{model} against {baseline}": ahead(models[model], models[baseline])
            for model in models
            for baseline in models
            if model.endswith("game")
            and baseline.endswith("likelihood")
            and QUALITY in models[model][0]
        }
        for pair, gain in gains.items():
            print(f"{QUALITY} at equal {SIMILARITY}, {pair}: {gain}")
        out = flags.out / f"{run_folder.load_config(flags.runs[0]).name}_study.json"
        versions = run_folder.environment(jax.local_devices()[:1])
        report = {"versions": versions, "about": shared, "models": models, "ahead": gains}
        common.write_record(out, report)
        figure(models).savefig(out.with_suffix(".png"), dpi=90)
        print(f"{out}, {out.with_suffix('.png')}")


if __name__ == "__main__":
    main()

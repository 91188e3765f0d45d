"""Results of a sweep: sweep.json, a table sweep.md, and a heat map sweep.png."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config, population
from gan_jax.core import files
from gan_jax.metrics.evaluation.mixtures import scores
from gan_jax.runs import metrics_log
from gan_jax.training.hooks import Hook
from gan_jax.training.state import TrainState


def format_mean_std(values: Sequence[float], digits: int) -> str:
    """Format `mean ± standard deviation` (n - 1 degrees of freedom), or a single value.

    Example:
        >>> format_mean_std([1, 2, 3], 2)
        '2.00 ± 1.00'
    """
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def last_tenth(metrics: dict[str, np.ndarray], config: Config) -> list[dict[str, float]]:
    """Average each member's losses over the last tenth of the run, as single steps are noisy.

    Rows that are not finite are ignored; the mean is NaN if there are no others.
    """
    count, late = len(population.member_configs(config)), metrics["step"] > 0.9 * config.steps
    losses = [{} for _ in range(count)]
    for name in ("disc_loss", "gen_loss"):
        rows = metrics.get(name, np.empty(0)).reshape(len(late), count)[late]
        for loss, values in zip(losses, rows.T, strict=True):
            finite = values[np.isfinite(values)]
            loss[name] = float(finite.mean()) if finite.size else float("nan")
    return losses


def score_cells(workdir: Path, config: Config, state: TrainState) -> list[dict[str, Any]]:
    """Score the cells of a sweep.

    Args:
        workdir: Run folder.
        config: Config of the sweep.
        state: State of all members.

    Returns:
        One row for each cell: its `values`, its `seeds`, and by score a list with one value for
        each seed in `scores`.
    """
    losses = last_tenth(metrics_log.read_metrics(workdir), config)
    skipped = np.asarray(jax.device_get(state.skipped))
    members = [
        {**score, **loss, "skipped": float(count)}
        for score, loss, count in zip(scores(config, state), losses, skipped, strict=True)
    ]
    seeds = list(config.seeds or (config.seed,))
    return [
        {
            "values": values,
            "seeds": seeds,
            "scores": {name: [member[name] for member in cell] for name in cell[0]},
        }
        for i, values in enumerate(population.sweep_cells(config))
        if (cell := members[i * len(seeds) : (i + 1) * len(seeds)])
    ]


def format_table(rows: list[dict[str, Any]]) -> str:
    """Format cells as a Markdown table, scores as mean ± standard deviation over seeds."""
    names = [*rows[0]["values"], *rows[0]["scores"]]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for row in rows:
        cells = [f"{value:g}" for value in row["values"].values()]
        cells += [format_mean_std(values, 3) for values in row["scores"].values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def heat_map(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot one panel for each score, three in a row.

    The first swept field runs downward, combinations of the others across.
    """
    from matplotlib.figure import Figure  # slow to import

    first, *others = rows[0]["values"]
    down = list(dict.fromkeys(row["values"][first] for row in rows))
    across = [
        ", ".join(f"{row['values'][name]:g}" for name in others)
        for row in rows[: len(rows) // len(down)]
    ]
    names = list(rows[0]["scores"])
    width, height = max(2.6, 0.7 * len(across) + 1.6), 0.5 * len(down) + 1.5
    columns, lines = min(len(names), 3), -(-len(names) // 3)  # wider than three is hard to read
    figure = Figure((width * columns, height * lines), layout="constrained")
    for i, name in enumerate(names):
        axes = figure.add_subplot(lines, columns, i + 1, title=name)
        means = np.array([np.mean(row["scores"][name]) for row in rows]).reshape(len(down), -1)
        axes.imshow(np.ma.masked_invalid(means), aspect="auto", cmap="viridis")
        axes.set_yticks(range(len(down)), [f"{value:g}" for value in down])
        axes.set_xticks(range(len(across)), across)
        axes.set_ylabel(first)
        axes.set_xlabel(", ".join(others))
        finite = means[np.isfinite(means)]
        middle = (finite.min() + finite.max()) / 2 if finite.size else 0
        for y, x in np.ndindex(means.shape):
            color = "white" if means[y, x] <= middle else "black"  # the background of NaN is white
            axes.text(x, y, f"{means[y, x]:.3g}", ha="center", va="center", color=color, size=8)
    figure.savefig(path, dpi=100)


def write_sweep(workdir: Path, config: Config, state: TrainState) -> None:
    """Write sweep.json, sweep.md and sweep.png into the run folder, and print the table.

    Args:
        workdir: Run folder.
        config: Config of the sweep.
        state: State of all members.
    """
    rows = score_cells(workdir, config, state)
    finite = json.loads(json.dumps(rows), parse_constant=lambda _: None)  # NaN is null in JSON
    files.write_atomically(workdir / "sweep.json", json.dumps(finite, indent=1) + "\n")
    files.write_atomically(workdir / "sweep.md", format_table(rows) + "\n")
    heat_map(rows, workdir / "sweep.png")
    print(format_table(rows))


class SweepTable(Hook):
    """Hook that writes the results of a sweep at the end of its run."""

    def __init__(self, workdir: Path, config: Config):
        """Create the hook for a run folder."""
        self._workdir, self._config = workdir, config

    def on_end(self, state: TrainState, *, stopped: bool) -> None:
        """Write the results, unless the run was stopped."""
        if self._config.sweep and not stopped:
            write_sweep(self._workdir, self._config, state)

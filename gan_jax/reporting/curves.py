"""curves.png: how a run went, from its metrics.jsonl and scores.jsonl; and what repeats came to."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.runs import metrics_log
from gan_jax.training.hooks import Hook
from gan_jax.training.state import TrainState

SCORES = "scores.jsonl"
POINTS = 200  # of a curve; each is a mean over the rows around it
# Title, the metrics' names, whether on a logarithmic scale. Panels without a metric are left out.
PANELS = (
    ("losses", r"disc_loss|gen_loss|(gen_)?class_loss", False),
    ("negative log-likelihood, nats a token", r"nll", True),
    ("critic's mean logits", r"real_logit|fake_logit", False),
    ("gradient norms", r"(disc|gen)_grad_norm", True),
    ("penalties, unweighted", r"r1|r2|gradient_penalty|one_sided|dragan|path_length", True),
    ("mean absolute difference to the truth", r"l1|perceptual", True),
    ("augmentation p", r"augment_p", False),
    ("skipped updates among the rows, in all", r"skipped", False),
)


class Panel(NamedTuple):
    """One diagram."""

    title: str
    logarithmic: bool
    lines: dict[str, tuple[np.ndarray, np.ndarray]]
    """By the metric's name: steps [points], and the members' values [points, members]."""


def _thinned(rows: np.ndarray, points: int) -> np.ndarray:
    """[rows, members] -> [at most `points`, members], means over the finite."""
    parts = np.array_split(rows, min(points, len(rows)))
    finite = [np.isfinite(part) for part in parts]
    sums = [np.where(ok, part, 0).sum(0) for ok, part in zip(finite, parts, strict=True)]
    counts = [ok.sum(0) for ok in finite]
    return np.array([s / np.where(c, c, np.nan) for s, c in zip(sums, counts, strict=True)])


def panels(
    metrics: dict[str, np.ndarray],
    scores: dict[str, np.ndarray] | None = None,
    points: int = POINTS,
) -> list[Panel]:
    """One for each of `PANELS` that has metrics, arrays [rows] or [rows, members] beside `step`
    [rows], as `logs.read_metrics` gives them, and one for each of `scores`, which are given
    likewise. Lines have at most `points` points, means over the rows around.

    Penalties that are due now and then only have points where they were.
    """
    found = []
    for title, pattern, logarithmic in PANELS:
        names = [name for name in metrics if re.fullmatch(pattern, name)]
        if names:
            found.append((title, metrics, names, logarithmic))
    scores = scores or {}
    found += [(f"score: {name}", scores, [name], False) for name in scores if name != "step"]
    return [
        Panel(title, logarithmic, _lines(source, names, logarithmic, points))
        for title, source, names, logarithmic in found
    ]


def _lines(
    source: dict[str, np.ndarray], names: list[str], logarithmic: bool, points: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    steps, lines = np.asarray(source["step"]), {}
    for name in names:
        rows = np.asarray(source[name], np.float64).reshape(len(steps), -1)
        rows = np.cumsum(rows, 0) if name == "skipped" else rows
        shown = (rows != 0).any(1) if logarithmic else np.ones(len(rows), bool)
        if shown.any():
            x = _thinned(steps[shown, None], points)[:, 0]
            lines[name] = x, _thinned(rows[shown], points)
    return lines


def figure(metrics: dict[str, np.ndarray], scores: dict[str, np.ndarray] | None = None) -> Any:
    """The `panels` of metrics and scores. Of a population the mean, and from least to most."""
    from matplotlib.figure import Figure  # slow to import

    found = panels(metrics, scores)
    rows = -(-len(found) // 2)
    drawn = Figure(figsize=(9, 2.4 * rows), layout="constrained")
    axes = [*drawn.subplots(rows, 2, squeeze=False).flat]
    for axis, panel in zip(axes, found, strict=False):
        for name, (x, y) in panel.lines.items():
            x, mean, low, high = plot_band(x, y)
            (line,) = axis.plot(x, mean, label=name, linewidth=1)
            axis.fill_between(x, low, high, alpha=0.25, color=line.get_color(), lw=0)
        axis.set_title(panel.title, fontsize=9)
        axis.tick_params(labelsize=7)
        if panel.logarithmic and axis.lines:
            axis.set_yscale("log")
        if axis.lines:
            axis.legend(fontsize=7, frameon=False)
    for axis in axes[len(found) :]:
        axis.remove()
    return drawn


def plot_band(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """x [rows] with mean, least and most [rows] over the members of y [rows, members], where one is
    finite: a member that has diverged hides no other."""
    finite = np.isfinite(y).any(1)
    y = y[finite]
    return x[finite], np.nanmean(y, 1), np.nanmin(y, 1), np.nanmax(y, 1)


def read_curves(workdir: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """A run folder's rows of metrics, and of scores if it has some."""
    metrics = metrics_log.read_metrics(workdir)
    scores = metrics_log.read_metrics(workdir, SCORES) if (workdir / SCORES).exists() else None
    return metrics, scores if scores and len(scores["step"]) else None


def plot_curves(workdir: Path, out: Path) -> None:
    """Of a run folder that has rows of metrics, and of scores if it has some, into the picture file
    `out`."""
    metrics, scores = read_curves(workdir)
    if len(metrics["step"]):
        figure(metrics, scores).savefig(out, dpi=90)


class CurvesPlot(Hook):
    """Writes curves.png at the end of a launch."""

    def __init__(self, workdir: Path):
        self._workdir = workdir

    def on_end(self, state: TrainState, *, stopped: bool) -> None:  # noqa: ARG002
        plot_curves(self._workdir, self._workdir / "curves.png")


def plot_seeds(groups: Mapping[str, ArrayLike], what: str) -> Any:
    """A figure of what repeats came to: of each group a dot for every one of its values [n >= 2],
    and their mean with the interval of 95 % (significance.py)."""
    from matplotlib.figure import Figure  # slow to import, both

    from gan_jax.metrics.significance import confidence_interval

    drawn = Figure((1.6 + 1.3 * len(groups), 3.0), dpi=75, layout="constrained")
    axis = drawn.subplots()
    for place, values in enumerate(groups.values()):
        values = np.asarray(values, np.float64)
        beside = np.linspace(-0.15, 0.15, len(values))  # equal ones would hide each other
        axis.plot(place + beside, values, "o", color="tab:gray", markersize=4, alpha=0.7)
        mean, half, _ = confidence_interval(values)
        axis.errorbar(place + 0.28, mean, half, fmt="_", color="tab:red", capsize=4, markersize=10)
    axis.set_xticks(range(len(groups)), [*groups])
    axis.set_xlim(-0.5, len(groups) - 0.3)
    axis.set_ylabel(what)
    return drawn

"""Training curves (`curves.png`), and plots of scores across seeds."""

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
POINTS = 200  # largest number of points of a curve; each is a mean over neighboring rows
# Title, names of the metrics, and whether the scale is logarithmic. Empty panels are left out.
PANELS = (
    ("losses", r"disc_loss|gen_loss|(gen_)?class_loss", False),
    ("negative log-likelihood, nats per token", r"nll", True),
    ("mean discriminator logits", r"real_logit|fake_logit", False),
    ("gradient norms", r"(disc|gen)_grad_norm", True),
    ("penalties, unweighted", r"r1|r2|gradient_penalty|one_sided|dragan|path_length", True),
    ("reconstruction error", r"l1|perceptual", True),
    ("augmentation p", r"augment_p", False),
    ("skipped updates, cumulative", r"skipped", False),
)


class Panel(NamedTuple):
    """One diagram of curves."""

    title: str
    """Title of the diagram."""
    logarithmic: bool
    """Scale of the vertical axis: logarithmic or linear."""
    lines: dict[str, tuple[np.ndarray, np.ndarray]]
    """Curves by metric: steps [points], and values by member [points, members]."""


def _downsample(rows: np.ndarray, points: int) -> np.ndarray:
    """Average [rows, members] to at most `points` rows, over the finite values."""
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
    """Group metrics and scores into panels.

    Metrics on a logarithmic scale have no points where they are 0, as lazily applied penalties are
    between their steps.

    Args:
        metrics: Arrays [rows] or [rows, members] by name, with `step` [rows], as
            `metrics_log.read_metrics` returns them.
        scores: The same for scores in training.
        points: Largest number of points of a curve.

    Returns:
        One panel for each entry of `PANELS` that has metrics, and one for each score.
    """
    groups = []
    for title, pattern, logarithmic in PANELS:
        names = [name for name in metrics if re.fullmatch(pattern, name)]
        if names:
            groups.append((title, metrics, names, logarithmic))
    scores = scores or {}
    groups += [(f"score: {name}", scores, [name], False) for name in scores if name != "step"]
    return [
        Panel(title, logarithmic, _lines(source, names, logarithmic, points))
        for title, source, names, logarithmic in groups
    ]


def _lines(
    source: dict[str, np.ndarray], names: list[str], logarithmic: bool, points: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    steps, lines = np.asarray(source["step"]), {}
    for name in names:
        rows = np.asarray(source[name], np.float64).reshape(len(steps), -1)
        rows = np.cumsum(rows, 0) if name == "skipped" else rows
        selected = (rows != 0).any(1) if logarithmic else np.ones(len(rows), bool)
        if selected.any():
            x = _downsample(steps[selected, None], points)[:, 0]
            lines[name] = x, _downsample(rows[selected], points)
    return lines


def figure(metrics: dict[str, np.ndarray], scores: dict[str, np.ndarray] | None = None) -> Any:
    """Plot the panels of metrics and scores as a matplotlib figure.

    For a population each curve is the mean over the members, in a band from minimum to maximum.
    The arguments are those of `panels`.
    """
    from matplotlib.figure import Figure  # slow to import

    drawn_panels = panels(metrics, scores)
    rows = -(-len(drawn_panels) // 2)
    plot = Figure(figsize=(9, 2.4 * rows), layout="constrained")
    axes = [*plot.subplots(rows, 2, squeeze=False).flat]
    for axis, panel in zip(axes, drawn_panels, strict=False):
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
    for axis in axes[len(drawn_panels) :]:
        axis.remove()
    return plot


def plot_band(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Compute the mean, minimum and maximum over members, ignoring values that are not finite.

    Args:
        x: Steps [rows].
        y: Values [rows, members].

    Returns:
        Steps, means, minima and maxima, [rows] each. Rows without a finite value are left out.

    Example:
        >>> x, mean, low, high = plot_band(np.array([1, 2]), np.array([[1.0, 3.0], [5.0, np.nan]]))
        >>> mean.tolist(), low.tolist(), high.tolist()
        ([2.0, 5.0], [1.0, 5.0], [3.0, 5.0])
    """
    finite = np.isfinite(y).any(1)
    y = y[finite]
    return x[finite], np.nanmean(y, 1), np.nanmin(y, 1), np.nanmax(y, 1)


def read_curves(workdir: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """Read the metrics of a run folder, and its scores in training, if any."""
    metrics = metrics_log.read_metrics(workdir)
    scores = metrics_log.read_metrics(workdir, SCORES) if (workdir / SCORES).exists() else None
    return metrics, scores if scores and len(scores["step"]) else None


def plot_curves(workdir: Path, out: Path) -> None:
    """Plot the metrics and scores of a run folder into an image file, if there are any."""
    metrics, scores = read_curves(workdir)
    if len(metrics["step"]):
        figure(metrics, scores).savefig(out, dpi=90)


class CurvesPlot(Hook):
    """Hook that writes curves.png at the end of a launch."""

    def __init__(self, workdir: Path):
        """Create the hook for a run folder."""
        self._workdir = workdir

    def on_end(self, state: TrainState, *, stopped: bool) -> None:  # noqa: ARG002
        """Write curves.png."""
        plot_curves(self._workdir, self._workdir / "curves.png")


def plot_seeds(groups: Mapping[str, ArrayLike], label: str) -> Any:
    """Plot the values of each group as dots, with their mean and its 95 % confidence interval.

    The interval is that of metrics/significance.py.

    Args:
        groups: Values [n >= 2] by the name of the group, usually one value for each seed.
        label: Label of the vertical axis.

    Returns:
        The matplotlib figure.
    """
    from matplotlib.figure import Figure  # slow to import

    from gan_jax.metrics.significance import confidence_interval  # slow to import

    plot = Figure((1.6 + 1.3 * len(groups), 3.0), dpi=75, layout="constrained")
    axis = plot.subplots()
    for position, values in enumerate(groups.values()):
        values = np.asarray(values, np.float64)
        jitter = np.linspace(-0.15, 0.15, len(values))  # equal values would hide each other
        axis.plot(position + jitter, values, "o", color="tab:gray", markersize=4, alpha=0.7)
        mean, half, _ = confidence_interval(values)
        axis.errorbar(
            position + 0.28, mean, half, fmt="_", color="tab:red", capsize=4, markersize=10
        )
    axis.set_xticks(range(len(groups)), [*groups])
    axis.set_xlim(-0.5, len(groups) - 0.3)
    axis.set_ylabel(label)
    return plot

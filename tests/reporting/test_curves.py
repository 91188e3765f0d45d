"""Training curves: the panels of the figure and the data of their lines."""

import json

import numpy as np
import pytest

from gan_jax.reporting import curves
from gan_jax.reporting.html import collect


def rows(steps, **metrics):
    return {"step": np.arange(1, steps + 1), **metrics}


def lines(figure):
    return {
        line.get_label(): line for axis in figure.axes for line in axis.lines if len(axis.lines)
    }


def test_only_recorded_metrics_are_plotted():
    figure = curves.figure(rows(3, disc_loss=np.ones(3), gen_loss=np.zeros(3), r1=np.ones(3)))
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["losses", "penalties, unweighted"]
    assert {*lines(figure)} == {"disc_loss", "gen_loss", "r1"}


def test_each_score_has_a_panel_and_steps_of_its_own():
    scores = {"step": np.array([2, 4]), "frechet": np.array([3.0, 1.0])}
    figure = curves.figure(rows(3, gen_loss=np.zeros(3)), scores)
    assert [axis.get_title() for axis in figure.axes] == ["losses", "score: frechet"]
    np.testing.assert_array_equal(lines(figure)["frechet"].get_xdata(), [2, 4])


def test_a_line_is_the_mean_over_members_and_its_band_their_range():
    loss = np.array([[1.0, 3.0], [2.0, 6.0]])
    figure = curves.figure(rows(2, disc_loss=loss))
    np.testing.assert_array_equal(lines(figure)["disc_loss"].get_ydata(), [2.0, 4.0])
    corners = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (1.0, 6.0)


@pytest.mark.parametrize("diverged", [1, 2])
def test_diverged_members_do_not_affect_the_curves_of_others(diverged):
    loss = np.array([[1.0, 3.0, 5.0]] * 2)
    loss[1, :diverged] = np.nan
    figure = curves.figure(rows(2, disc_loss=loss))
    np.testing.assert_array_equal(
        lines(figure)["disc_loss"].get_ydata(), [3, loss[1, diverged:].mean()]
    )
    (panel,) = curves.panels(rows(2, disc_loss=loss))
    (line,) = collect._panel(panel)["lines"]
    assert line["mean"] == [3, loss[1, diverged:].mean()]
    assert ("last_std" in line) == (diverged == 1)


def test_many_rows_are_averaged_and_non_finite_ones_ignored():
    loss = np.repeat([1.0, 5.0], curves.POINTS // 2 * 3)
    loss[1] = np.nan
    plotted = lines(curves.figure(rows(len(loss), disc_loss=loss)))["disc_loss"].get_ydata()
    np.testing.assert_array_equal(plotted, np.repeat([1.0, 5.0], curves.POINTS // 2))


def test_lazy_penalties_are_plotted_where_computed_and_skips_accumulate():
    metrics = rows(4, r1=np.array([0, 2.0, 0, 8.0]), skipped=np.array([0, 1.0, 0, 1.0]))
    plotted = lines(curves.figure(metrics))
    np.testing.assert_array_equal(plotted["r1"].get_xdata(), [2, 4])
    np.testing.assert_array_equal(plotted["r1"].get_ydata(), [2, 8])
    np.testing.assert_array_equal(plotted["skipped"].get_ydata(), [0, 1, 1, 2])


@pytest.mark.parametrize("count", [0, 2])
def test_a_figure_is_written_only_if_there_are_rows(count, tmp_path):
    text = "".join(json.dumps({"step": i + 1, "gen_loss": 1.0}) + "\n" for i in range(count))
    (tmp_path / "metrics.jsonl").write_text(text)
    curves.plot_curves(tmp_path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists() == (count > 0)


def test_seeds_are_dots_with_the_confidence_interval_of_their_mean():
    groups = {"a": [1.0, 2.0, 3.0], "b": [5, 5]}
    figure = curves.plot_seeds(groups, "modes")
    (axis,) = figure.axes
    assert axis.get_ylabel() == "modes"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b"]
    dots = [line.get_ydata().tolist() for line in axis.lines if line.get_marker() == "o"]
    assert dots == [[1, 2, 3], [5, 5]]
    bars = [container.lines[2][0].get_segments()[0][:, 1] for container in axis.containers]
    half = 4.302653 / 3**0.5  # Student's t at 0.975 and 2 degrees of freedom, deviation 1
    np.testing.assert_allclose(bars, [[2 - half, 2 + half], [5, 5]], rtol=1e-6)

"""Tables and heat maps of sweeps, for rows with known means and standard deviations."""

import json
import types

import numpy as np
import pytest
from PIL import Image

from gan_jax.config.sweeps import Sweep
from gan_jax.reporting import sweeps as reporting_sweeps
from tests.helpers import small

LR = Sweep("gen_opt.lr", (1e-3, 2e-3))
B1 = Sweep("gen_opt.b1", (0.0, 0.5, 0.9))
SMOOTH = Sweep("label_smoothing", (0.0, 0.1))


def rows(*sweeps, seeds=(0, 1), scores=("covered", "kl")):
    """One row of artificial scores per cell of the sweep.

    Score k of seed number s in cell c is c + 1 + s + 10 k.
    """
    config = small.config(sweep=sweeps, seeds=seeds, loss="non_saturating")
    return [
        {
            "values": values,
            "seeds": list(seeds),
            "scores": {
                name: [cell + 1.0 + seed + 10 * k for seed in range(len(seeds))]
                for k, name in enumerate(scores)
            },
        }
        for cell, values in enumerate(reporting_sweeps.population.sweep_cells(config))
    ]


def test_format_mean_std():
    assert reporting_sweeps.format_mean_std([1.5], 1) == "1.5"
    assert reporting_sweeps.format_mean_std([1, 2, 3], 2) == "2.00 ± 1.00"  # n - 1
    assert reporting_sweeps.format_mean_std([0, 2], 0) == "1 ± 1"
    assert reporting_sweeps.format_mean_std([1, float("nan")], 1) == "nan ± nan"


def test_the_table_has_one_row_per_cell():
    # Two values that differ by 1 have a standard deviation of 1 / sqrt(2).
    assert reporting_sweeps.format_table(rows(LR, SMOOTH)).splitlines() == [
        "| gen_opt.lr | label_smoothing | covered | kl |",
        "|---|---|---|---|",
        "| 0.001 | 0 | 1.500 ± 0.707 | 11.500 ± 0.707 |",
        "| 0.001 | 0.1 | 2.500 ± 0.707 | 12.500 ± 0.707 |",
        "| 0.002 | 0 | 3.500 ± 0.707 | 13.500 ± 0.707 |",
        "| 0.002 | 0.1 | 4.500 ± 0.707 | 14.500 ± 0.707 |",
    ]
    assert reporting_sweeps.format_table(rows(LR, seeds=(0,), scores=("kl",))).splitlines()[2:] == [
        "| 0.001 | 1.000 |",
        "| 0.002 | 2.000 |",
    ]
    assert len(reporting_sweeps.format_table(rows(LR, B1, SMOOTH)).splitlines()) == 2 + 12


def test_losses_are_means_of_the_finite_rows_of_the_last_tenth():
    config = small.config(seeds=(0, 1, 2), steps=40)
    step = np.arange(4.0, 44, 4)  # the last tenth begins after step 36
    last_rows = np.float64([[1, np.nan, np.nan], [3, 5, np.nan]])
    loss = np.concatenate([np.full((8, 3), 100.0), last_rows])
    losses = reporting_sweeps.last_tenth(
        {"step": step, "disc_loss": loss, "gen_loss": -loss}, config
    )
    np.testing.assert_equal(  # of step 40 only
        losses,
        [
            {"disc_loss": 3.0, "gen_loss": -3.0},
            {"disc_loss": 5.0, "gen_loss": -5.0},
            {"disc_loss": np.nan, "gen_loss": np.nan},
        ],
    )
    metrics = {"step": step * 9 / 10 + 4, "disc_loss": loss, "gen_loss": loss}
    losses = reporting_sweeps.last_tenth(metrics, config)
    np.testing.assert_equal(
        [member_losses["disc_loss"] for member_losses in losses], [2.0, 5.0, np.nan]
    )


def test_losses_of_a_single_run_and_of_no_rows():
    metrics = {"step": np.float64([9, 10]), "disc_loss": np.float64([5, 7])}
    metrics["gen_loss"] = np.float64([1, 2])
    assert reporting_sweeps.last_tenth(metrics, small.config(steps=10)) == [
        {"disc_loss": 7.0, "gen_loss": 2.0}
    ]
    empty = {"step": np.empty(0)}
    np.testing.assert_equal(
        reporting_sweeps.last_tenth(empty, small.config(seeds=(3, 4))),
        [{"disc_loss": np.nan, "gen_loss": np.nan}] * 2,
    )


def test_cells_have_the_scores_of_their_members(monkeypatch, tmp_path):
    config = small.config(sweep=(LR, B1), seeds=(5, 6), steps=10)
    members = np.arange(12.0)
    log = {"step": np.float64([10]), "disc_loss": members[None], "gen_loss": -members[None]}
    monkeypatch.setattr(reporting_sweeps.metrics_log, "read_metrics", lambda workdir: log)
    monkeypatch.setattr(
        reporting_sweeps,
        "scores",
        lambda config, state: [{"kl": 100 + member} for member in members],
    )
    state = types.SimpleNamespace(skipped=np.arange(12, dtype=np.int32) * 2)
    cells = reporting_sweeps.score_cells(tmp_path, config, state)
    assert [(cell["values"]["gen_opt.lr"], cell["values"]["gen_opt.b1"]) for cell in cells] == [
        (lr, b1) for lr in LR.values for b1 in B1.values
    ]
    for i, cell in enumerate(cells):
        losses = [2.0 * i, 2.0 * i + 1]
        assert cell["seeds"] == [5, 6]
        assert cell["scores"] == {
            "kl": [100 + member for member in losses],
            "disc_loss": losses,
            "gen_loss": [-member for member in losses],
            "skipped": [2 * member for member in losses],
        }


@pytest.fixture
def panels(monkeypatch):
    """Panels (axes) of the heat maps saved during the test."""
    import matplotlib.figure

    saved_axes = []

    class Figure(matplotlib.figure.Figure):
        def savefig(self, *args, **kwargs):
            saved_axes.extend(self.axes)
            return super().savefig(*args, **kwargs)

    monkeypatch.setattr(matplotlib.figure, "Figure", Figure)
    return saved_axes


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize(
    ("sweeps", "row_labels", "column_labels"),
    [
        ([LR], ["0.001", "0.002"], [""]),
        ([B1, LR], ["0", "0.5", "0.9"], ["0.001", "0.002"]),
        ([LR, B1, SMOOTH], ["0.001", "0.002"], ["0, 0", "0, 0.1", "0.5, 0", "0.5, 0.1", "0.9, 0"]),
    ],
)
def test_the_heat_map_has_one_panel_per_score(sweeps, row_labels, column_labels, panels, tmp_path):
    cells = rows(*sweeps)
    reporting_sweeps.heat_map(cells, tmp_path / "sweep.png")
    with Image.open(tmp_path / "sweep.png") as image:
        assert image.width > 400
        assert image.height > 200
    assert [axes.get_title() for axes in panels] == ["covered", "kl"]
    for k, axes in enumerate(panels):
        assert labels(axes.yaxis) == row_labels
        assert labels(axes.xaxis)[: len(column_labels)] == column_labels
        assert axes.get_ylabel() == sweeps[0].field
        assert axes.get_xlabel() == ", ".join(sweep.field for sweep in sweeps[1:])
        expected = 1.5 + 10 * k + np.arange(len(cells)).reshape(len(row_labels), -1)
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        assert [text.get_text() for text in axes.texts] == [f"{x:.3g}" for x in expected.flat]


@pytest.mark.parametrize("all_cells", [False, True])
def test_a_diverged_member_leaves_an_empty_cell_labeled_nan(all_cells, panels, tmp_path):
    cells = rows(LR, B1, scores=("kl",))
    for row in cells if all_cells else cells[:1]:
        row["scores"]["kl"][1] = float("nan")
    reporting_sweeps.heat_map(cells, tmp_path / "sweep.png")
    (axes,) = panels
    is_empty = np.ma.getmaskarray(axes.images[0].get_array()).ravel()
    assert is_empty.tolist() == [row is cells[0] or all_cells for row in cells]
    for text, empty in zip(axes.texts, is_empty, strict=True):
        assert (text.get_text() == "nan") == empty
        if empty:
            assert text.get_color() == "black"  # on white


def test_the_sweep_is_written_as_strict_json_and_a_table(monkeypatch, tmp_path, capsys):
    cells = rows(LR, B1)
    cells[2]["scores"]["kl"] = [1.0, float("nan")]
    monkeypatch.setattr(reporting_sweeps, "score_cells", lambda *arguments: cells)
    reporting_sweeps.write_sweep(tmp_path, small.CONFIG, None)
    text = (tmp_path / "sweep.json").read_text()
    assert "NaN" not in text
    loaded = json.loads(text)
    assert loaded[2]["scores"]["kl"] == [1.0, None]
    loaded[2]["scores"]["kl"][1] = np.nan
    np.testing.assert_equal(loaded, cells)
    assert (tmp_path / "sweep.md").read_text() == reporting_sweeps.format_table(cells) + "\n"
    assert "| 0.001 | 0.9 | 3.500 ± 0.707 | nan ± nan |" in capsys.readouterr().out.splitlines()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "sweep.json",
        "sweep.md",
        "sweep.png",
    ]

"""What the cells of a sweep came to, on rows whose means and deviations are known."""

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
    """A row a cell, of made-up scores: cell c has c + 1 of the first score with the first seed, and
    c + 2 with the second; of the k-th score ten times k more."""
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


def test_mean_sd():
    assert reporting_sweeps.format_mean_std([1.5], 1) == "1.5"
    assert reporting_sweeps.format_mean_std([1, 2, 3], 2) == "2.00 ± 1.00"  # n - 1
    assert reporting_sweeps.format_mean_std([0, 2], 0) == "1 ± 1"
    assert reporting_sweeps.format_mean_std([1, float("nan")], 1) == "nan ± nan"


def test_the_table_has_a_row_a_cell():
    # Two values a gap of 1 apart deviate by 1 / sqrt(2) from their mean.
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
    late = np.float64([[1, np.nan, np.nan], [3, 5, np.nan]])
    loss = np.concatenate([np.full((8, 3), 100.0), late])
    found = reporting_sweeps.last_tenth(
        {"step": step, "disc_loss": loss, "gen_loss": -loss}, config
    )
    np.testing.assert_equal(  # of step 40 alone
        found,
        [
            {"disc_loss": 3.0, "gen_loss": -3.0},
            {"disc_loss": 5.0, "gen_loss": -5.0},
            {"disc_loss": np.nan, "gen_loss": np.nan},
        ],
    )
    metrics = {"step": step * 9 / 10 + 4, "disc_loss": loss, "gen_loss": loss}
    found = reporting_sweeps.last_tenth(metrics, config)
    np.testing.assert_equal([one["disc_loss"] for one in found], [2.0, 5.0, np.nan])


def test_losses_of_one_run_and_of_none():
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


def test_cells_hold_the_scores_of_their_own_members(monkeypatch, tmp_path):
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
    found = reporting_sweeps.score_cells(tmp_path, config, state)
    assert [(one["values"]["gen_opt.lr"], one["values"]["gen_opt.b1"]) for one in found] == [
        (lr, b1) for lr in LR.values for b1 in B1.values
    ]
    for i, one in enumerate(found):
        mine = [2.0 * i, 2.0 * i + 1]
        assert one["seeds"] == [5, 6]
        assert one["scores"] == {
            "kl": [100 + member for member in mine],
            "disc_loss": mine,
            "gen_loss": [-member for member in mine],
            "skipped": [2 * member for member in mine],
        }


@pytest.fixture
def panels(monkeypatch):
    """The panels of the heat maps that are made, each with its title and all else."""
    import matplotlib.figure

    made = []

    class Figure(matplotlib.figure.Figure):
        def savefig(self, *args, **kwargs):
            made.extend(self.axes)
            return super().savefig(*args, **kwargs)

    monkeypatch.setattr(matplotlib.figure, "Figure", Figure)
    return made


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize(
    ("sweeps", "down", "across"),
    [
        ([LR], ["0.001", "0.002"], [""]),
        ([B1, LR], ["0", "0.5", "0.9"], ["0.001", "0.002"]),
        ([LR, B1, SMOOTH], ["0.001", "0.002"], ["0, 0", "0, 0.1", "0.5, 0", "0.5, 0.1", "0.9, 0"]),
    ],
)
def test_the_heat_map_has_a_panel_a_score(sweeps, down, across, panels, tmp_path):
    found = rows(*sweeps)
    reporting_sweeps.heat_map(found, tmp_path / "sweep.png")
    with Image.open(tmp_path / "sweep.png") as image:
        assert image.width > 400
        assert image.height > 200
    assert [axes.get_title() for axes in panels] == ["covered", "kl"]
    for k, axes in enumerate(panels):
        assert labels(axes.yaxis) == down
        assert labels(axes.xaxis)[: len(across)] == across
        assert axes.get_ylabel() == sweeps[0].field
        assert axes.get_xlabel() == ", ".join(sweep.field for sweep in sweeps[1:])
        expected = 1.5 + 10 * k + np.arange(len(found)).reshape(len(down), -1)
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        assert [text.get_text() for text in axes.texts] == [f"{x:.3g}" for x in expected.flat]


@pytest.mark.parametrize("everything", [False, True])
def test_a_lost_member_leaves_a_hole_that_says_so(everything, panels, tmp_path):
    found = rows(LR, B1, scores=("kl",))
    for row in found if everything else found[:1]:
        row["scores"]["kl"][1] = float("nan")
    reporting_sweeps.heat_map(found, tmp_path / "sweep.png")
    (axes,) = panels
    holes = np.ma.getmaskarray(axes.images[0].get_array()).ravel()
    assert holes.tolist() == [row is found[0] or everything for row in found]
    for text, hole in zip(axes.texts, holes, strict=True):
        assert (text.get_text() == "nan") == hole
        if hole:
            assert text.get_color() == "black"  # on white


def test_what_is_written_is_strict_json_and_the_table(monkeypatch, tmp_path, capsys):
    found = rows(LR, B1)
    found[2]["scores"]["kl"] = [1.0, float("nan")]
    monkeypatch.setattr(reporting_sweeps, "score_cells", lambda *given: found)
    reporting_sweeps.write_sweep(tmp_path, small.CONFIG, None)
    text = (tmp_path / "sweep.json").read_text()
    assert "NaN" not in text
    read = json.loads(text)
    assert read[2]["scores"]["kl"] == [1.0, None]
    read[2]["scores"]["kl"][1] = np.nan
    np.testing.assert_equal(read, found)
    assert (tmp_path / "sweep.md").read_text() == reporting_sweeps.format_table(found) + "\n"
    assert "| 0.001 | 0.9 | 3.500 ± 0.707 | nan ± nan |" in capsys.readouterr().out.splitlines()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "sweep.json",
        "sweep.md",
        "sweep.png",
    ]

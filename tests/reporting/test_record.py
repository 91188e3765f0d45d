"""Records of finished runs, compared with their files, and runs that are rejected."""

import dataclasses
import json
import shutil
import sys
import types

import numpy as np
import pytest

from gan_jax.core.errors import UserError
from gan_jax.reporting import record, tables
from gan_jax.runs import folder as run_folder
from gan_jax.runs import metrics_log
from gan_jax.runs import timing as runs_timing
from tests.helpers import small

pytestmark = pytest.mark.integration

STEPS = 20
CONFIG = small.config(steps=STEPS)
LOGGING = dataclasses.replace(small.LOGGING, log_every=1)
SCORES = [[{"modes": 7.0, "kl": 0.25}], [{"modes": 8.0, "kl": 0.5}]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of two finished runs with different seeds. Tests must not change them."""
    folders = []
    for seed in (3, 4):
        folders.append(tmp_path_factory.mktemp("runs") / f"seed{seed}")
        config = CONFIG.replace(seed=seed)
        small.fit(config, folders[-1], logging=LOGGING)
    return folders


@pytest.fixture
def runs(trained, tmp_path):
    """Copies of the run folders, which a test may change."""
    return [shutil.copytree(folder, tmp_path / folder.name) for folder in trained]


def load_strict_json(path):
    """Loads strict JSON: NaN and Infinity are errors."""

    def reject(constant):
        raise ValueError(constant)

    return json.loads(path.read_text(), parse_constant=reject)


def timing_json(*launches):
    """Content of timing.json for (from_step, to_step, train_seconds, first_step_seconds)."""
    names = ("from_step", "to_step", "train_seconds", "first_step_seconds")
    return json.dumps([dict(zip(names, launch, strict=True)) for launch in launches])


def change_row(folder, step, **values):
    path = folder / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[step - 1].update(values)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_record_equals_the_files_of_the_runs(runs, tmp_path):
    change_row(runs[0], 5, disc_loss=None, skipped=1.0)
    path = record.write_record(runs, SCORES, tmp_path / "out" / "deep")
    assert path == tmp_path / "out" / "deep" / "small.json"
    recorded = load_strict_json(path)
    assert recorded["experiment"] == "small"
    assert recorded["config"] == load_strict_json(runs[0] / "config.json")
    assert recorded["versions"] == load_strict_json(runs[0] / "versions.json")
    for run, folder, seed, scores in zip(recorded["runs"], runs, (3, 4), SCORES, strict=True):
        (scores,) = scores
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        (launch,) = load_strict_json(folder / "timing.json")
        seconds, first_step_seconds = launch["train_seconds"], launch["first_step_seconds"]
        last_rows = rows[18:]  # steps 19 and 20 of 20
        expected = {
            name: (last_rows[0][name] + last_rows[1][name]) / 2
            for name in ("disc_loss", "gen_loss")
        }
        assert (run["seed"], run["steps"], run["scores"]) == (seed, STEPS, scores)
        assert (run["launches"], run["train_seconds"]) == ([launch], seconds)
        # Float64, computed in another order.
        assert run["examples_per_second"] == pytest.approx(
            19 * 16 / (seconds - first_step_seconds), rel=1e-12
        )
        assert run["last_tenth"] == pytest.approx(expected, rel=1e-12)
        assert run["rows_with_a_skip"] == (folder == runs[0])
    curve = recorded["curve"]
    assert curve["step"] == list(range(1, STEPS + 1))
    assert curve["disc_loss"][4] is None
    rows = metrics_log.read_metrics(runs[0])
    assert curve.keys() == rows.keys()
    np.testing.assert_allclose(curve["gen_loss"], rows["gen_loss"], rtol=5e-6)  # six digits


def test_the_images_are_those_of_the_first_run(runs, tmp_path):
    record.write_record(runs, SCORES, tmp_path / "out")
    for name, sample in (("small", f"step_{STEPS:08d}"), ("small_real", "real")):
        saved = (tmp_path / "out" / f"{name}.png").read_bytes()
        assert saved == (runs[0] / "samples" / f"{sample}.png").read_bytes()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"small.json", "small.png", "small_real.png", "small_curves.png"}


def test_the_speed_excludes_the_first_step_of_each_launch(runs):
    (runs[0] / "timing.json").write_text(timing_json((0, 7, 3.0, 1.0), (7, STEPS, 8.0, 2.0)))
    (summary,) = record.summarize_run(runs[0], [{}])
    assert summary["train_seconds"] == 11.0
    assert summary["examples_per_second"] == (6 + 12) * 16 / (2.0 + 6.0)


def test_long_curves_are_downsampled_and_keep_their_ends(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "CURVE_POINTS", 4)
    recorded = load_strict_json(record.write_record(runs, SCORES, tmp_path / "out"))
    assert recorded["curve"]["step"] == [1, 7, 14, 20]
    assert all(len(values) == 4 for values in recorded["curve"].values())


def test_paths_of_a_run_are_recorded_only_in_its_command(runs, tmp_path):
    for folder in runs:
        timing = load_strict_json(folder / "timing.json")
        timing[0]["command"] = f"python -m it --workdir {folder}"
        (folder / "timing.json").write_text(json.dumps(timing))
    text = record.write_record(runs, SCORES, tmp_path / "out").read_text()
    assert text.count(str(tmp_path)) == 2
    for folder in runs:
        text = text.replace(f'"command": "python -m it --workdir {folder}"', "")
    assert str(tmp_path) not in text


def with_config(**changes):
    return lambda folder: run_folder.write_config(folder, CONFIG.replace(**changes))


def without_late_rows(folder):
    metrics_log.MetricsLog(folder / "metrics.jsonl", 1, 18)


def with_timing(*launches):
    return lambda folder: (folder / "timing.json").write_text(timing_json(*launches))


@pytest.mark.parametrize(
    ("change_run", "message"),
    [
        (
            with_config(z_dim=9, n_critic=1, seed=4),
            r"seed4 differs from \S+seed3 in n_critic, z_dim$",
        ),
        (with_config(name="other"), r"seed4 differs from \S+seed3 in name$"),
        (with_config(steps=30), r"seed4 differs from \S+seed3 in steps$"),
        (without_late_rows, r"seed4 has no row of finite losses in its last tenth$"),
        (with_timing((0, 12, 3.0, 1.0)), r"seed4 is at step 12 of 20$"),
        (with_timing((5, 20, 3.0, 1.0)), r"does not account for all steps$"),
        (with_timing((0, 9, 3.0, 1.0), (10, 20, 3.0, 1.0)), r"does not account for all steps$"),
        (with_timing(), r"does not account for all steps$"),
        (lambda folder: (folder / "timing.json").unlink(), r"timing.json cannot be read: "),
        (lambda folder: (folder / "config.json").unlink(), r"seed4 is not a run folder: "),
    ],
)
def test_unfinished_runs_and_runs_of_other_configs_are_rejected(
    runs, tmp_path, change_run, message
):
    change_run(runs[1])
    with pytest.raises(UserError, match=message):
        record.write_record(runs, SCORES, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_non_finite_score_is_rejected(runs):
    with pytest.raises(UserError, match=r"seed3 has a score that is not finite"):
        record.summarize_run(runs[0], [{"modes": 0.0, "kl": float("nan")}])


def entry(seconds, disc_loss, scores):
    return {
        "seed": int(seconds),
        "launches": [{"command": f"python -m experiments.it --seed {seconds:.0f}"}, {}],
        "steps": 500,
        "train_seconds": seconds,
        "examples_per_second": 100 * seconds,
        "last_tenth": {"disc_loss": disc_loss, "gen_loss": -1.0},
        "scores": scores,
    }


def test_the_table_has_a_row_of_means_and_deviations_for_each_experiment(tmp_path):
    two_runs = [entry(10.0, 0.5, *SCORES[0]), entry(14.0, 0.7, *SCORES[1])]
    for name, runs in (("ring", two_runs), ("digits", [entry(10.0, 0.5, {})])):
        (tmp_path / f"{name}.json").write_text(json.dumps({"experiment": name, "runs": runs}))
    (tmp_path / "loop.json").write_text('{"seconds": 1}')  # a result that is not of a run
    # The standard deviation of two values is their difference / sqrt(2).
    assert tables.results_table(tmp_path).splitlines()[2:] == [
        "| `python -m experiments.it --seed 10` | 10 | 500 steps, 10 s | 1000 | 0.500 | -1.000 "
        "| [image](experiments/results/digits.png) |",
        "| `python -m experiments.it --seed 10` | 10, 14 | 500 steps, 12 ± 3 s | 1200 ± 283 "
        "| 0.600 ± 0.141 | -1.000 ± 0.000 | modes 7.500 ± 0.707, kl 0.375 ± 0.177 |",
    ]


def test_audio_runs_have_a_table_and_a_link_to_their_audio(tmp_path):
    cards = [{"metric": name, "n_fake": 64, "n_real": 50} for name in ("kernel", "tonal")]
    cards = [card | {"features": "tones-classifier"} for card in cards]
    record_fields = {"versions": {"data": {"sound": {"rate": 8000}}}, "protocol": cards}
    scores = ({"kernel": 0.25, "tonal": 0.5}, {"kernel": 0.75, "tonal": 0.5})
    runs = [entry(10.0 + i, 0.5, run_scores) for i, run_scores in enumerate(scores)]
    (tmp_path / "it.json").write_text(
        json.dumps({"experiment": "it", "runs": runs, **record_fields})
    )
    (tmp_path / "it.wav").touch()
    assert tables.audio_score_table(tmp_path).splitlines() == [
        "|  | `it`, 2 seeds |",
        "|---|---|",
        "| samples | 64 |",
        "| kernel | 0.5000 ± 0.3536 |",  # 1 / (2 sqrt(2))
        "| tonal | 0.500 ± 0.000 |",
    ]
    assert len(tables.image_score_table(tmp_path).splitlines()) == 2
    assert tables.results_table(tmp_path).endswith("| [audio](experiments/results/it.wav) |")


@pytest.mark.parametrize(
    ("module", "argv", "command"),
    [
        ("experiments.it", ["it.py", "--steps", "5"], "python -m experiments.it --steps 5"),
        ("gan_jax.__main__", ["m.py", "a b"], "python -m gan_jax 'a b'"),
        (None, ["bin/gan-jax", "resume"], "gan-jax resume"),
    ],
)
def test_the_launch_command_is_the_typed_command(monkeypatch, module, argv, command):
    spec = module and types.SimpleNamespace(name=module)
    monkeypatch.setitem(sys.modules, "__main__", types.SimpleNamespace(__spec__=spec))
    monkeypatch.setattr(sys, "argv", argv)
    assert runs_timing.launch_command() == command

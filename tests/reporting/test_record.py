"""What is put on record of finished runs, recomputed from their files; and what is refused."""

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
    """Two finished runs with different seeds. Not to be changed."""
    folders = []
    for seed in (3, 4):
        folders.append(tmp_path_factory.mktemp("runs") / f"seed{seed}")
        config = CONFIG.replace(seed=seed)
        small.fit(config, folders[-1], logging=LOGGING)
    return folders


@pytest.fixture
def runs(trained, tmp_path):
    """Copies of them, to be changed."""
    return [shutil.copytree(folder, tmp_path / folder.name) for folder in trained]


def strict(path):
    """The JSON of a file; NaN and Infinity, which are none, are errors."""

    def fail(word):
        raise ValueError(word)

    return json.loads(path.read_text(), parse_constant=fail)


def launches(*parts):
    """timing.json of launches (from_step, to_step, train_seconds, first_step_seconds)."""
    names = ("from_step", "to_step", "train_seconds", "first_step_seconds")
    return json.dumps([dict(zip(names, part, strict=True)) for part in parts])


def change_row(folder, step, **values):
    path = folder / "metrics.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()]
    found[step - 1].update(values)
    path.write_text("".join(json.dumps(one) + "\n" for one in found))


def test_the_record_is_what_the_files_say(runs, tmp_path):
    change_row(runs[0], 5, disc_loss=None, skipped=1.0)
    path = record.write_record(runs, SCORES, tmp_path / "out" / "deep")
    assert path == tmp_path / "out" / "deep" / "small.json"
    found = strict(path)
    assert found["experiment"] == "small"
    assert found["config"] == strict(runs[0] / "config.json")
    assert found["versions"] == strict(runs[0] / "versions.json")
    for one, folder, seed, scores in zip(found["runs"], runs, (3, 4), SCORES, strict=True):
        (scores,) = scores
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        (launch,) = strict(folder / "timing.json")
        seconds, first = launch["train_seconds"], launch["first_step_seconds"]
        late = rows[18:]  # steps 19 and 20 of 20
        expected = {name: (late[0][name] + late[1][name]) / 2 for name in ("disc_loss", "gen_loss")}
        assert (one["seed"], one["steps"], one["scores"]) == (seed, STEPS, scores)
        assert (one["launches"], one["train_seconds"]) == ([launch], seconds)
        # Float64, in another order of operations.
        assert one["examples_per_second"] == pytest.approx(19 * 16 / (seconds - first), rel=1e-12)
        assert one["last_tenth"] == pytest.approx(expected, rel=1e-12)
        assert one["rows_with_a_skip"] == (folder == runs[0])
    curve = found["curve"]
    assert curve["step"] == list(range(1, STEPS + 1))
    assert curve["disc_loss"][4] is None
    rows = metrics_log.read_metrics(runs[0])
    assert curve.keys() == rows.keys()
    np.testing.assert_allclose(curve["gen_loss"], rows["gen_loss"], rtol=5e-6)  # six digits


def test_the_pictures_are_those_of_the_first_run(runs, tmp_path):
    record.write_record(runs, SCORES, tmp_path / "out")
    for name, sample in (("small", f"step_{STEPS:08d}"), ("small_real", "real")):
        saved = (tmp_path / "out" / f"{name}.png").read_bytes()
        assert saved == (runs[0] / "samples" / f"{sample}.png").read_bytes()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"small.json", "small.png", "small_real.png", "small_curves.png"}


def test_speed_is_that_of_all_launches_without_their_first_steps(runs):
    (runs[0] / "timing.json").write_text(launches((0, 7, 3.0, 1.0), (7, STEPS, 8.0, 2.0)))
    (found,) = record.summarize_run(runs[0], [{}])
    assert found["train_seconds"] == 11.0
    assert found["examples_per_second"] == (6 + 12) * 16 / (2.0 + 6.0)


def test_long_curves_are_thinned_and_keep_their_ends(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "CURVE_POINTS", 4)
    found = strict(record.write_record(runs, SCORES, tmp_path / "out"))
    assert found["curve"]["step"] == [1, 7, 14, 20]
    assert all(len(values) == 4 for values in found["curve"].values())


def test_no_path_of_the_run_is_recorded_but_in_its_command(runs, tmp_path):
    for folder in runs:
        timing = strict(folder / "timing.json")
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


def with_timing(*parts):
    return lambda folder: (folder / "timing.json").write_text(launches(*parts))


@pytest.mark.parametrize(
    ("spoil", "message"),
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
def test_a_run_that_is_not_a_finished_one_of_the_same_config_is_refused(
    runs, tmp_path, spoil, message
):
    spoil(runs[1])
    with pytest.raises(UserError, match=message):
        record.write_record(runs, SCORES, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_score_that_is_not_finite_is_refused(runs):
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
    two = [entry(10.0, 0.5, *SCORES[0]), entry(14.0, 0.7, *SCORES[1])]
    for name, runs in (("ring", two), ("digits", [entry(10.0, 0.5, {})])):
        (tmp_path / f"{name}.json").write_text(json.dumps({"experiment": name, "runs": runs}))
    (tmp_path / "loop.json").write_text('{"seconds": 1}')  # a result, of no run
    # Two values differ from their mean by half their gap; their deviation is the gap / sqrt(2).
    assert tables.results_table(tmp_path).splitlines()[2:] == [
        "| `python -m experiments.it --seed 10` | 10 | 500 steps, 10 s | 1000 | 0.500 | -1.000 "
        "| [image](experiments/results/digits.png) |",
        "| `python -m experiments.it --seed 10` | 10, 14 | 500 steps, 12 ± 3 s | 1200 ± 283 "
        "| 0.600 ± 0.141 | -1.000 ± 0.000 | modes 7.500 ± 0.707, kl 0.375 ± 0.177 |",
    ]


def test_sounds_have_a_table_of_their_own_and_a_link_to_hear_them(tmp_path):
    cards = [{"metric": name, "n_fake": 64, "n_real": 50} for name in ("kernel", "tonal")]
    cards = [card | {"features": "tones-classifier"} for card in cards]
    heard = {"versions": {"data": {"sound": {"rate": 8000}}}, "protocol": cards}
    scores = ({"kernel": 0.25, "tonal": 0.5}, {"kernel": 0.75, "tonal": 0.5})
    runs = [entry(10.0 + i, 0.5, one) for i, one in enumerate(scores)]
    (tmp_path / "it.json").write_text(json.dumps({"experiment": "it", "runs": runs, **heard}))
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
def test_the_command_is_what_was_typed(monkeypatch, module, argv, command):
    spec = module and types.SimpleNamespace(name=module)
    monkeypatch.setitem(sys.modules, "__main__", types.SimpleNamespace(__spec__=spec))
    monkeypatch.setattr(sys, "argv", argv)
    assert runs_timing.launch_command() == command

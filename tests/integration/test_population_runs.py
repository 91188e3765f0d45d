"""Run folders of populations: rows, images, checkpoints, commands and sweeps."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax import train
from gan_jax.cli import app
from gan_jax.config import (
    Logging,
    Optimizer,
    Penalties,
    PointData,
    Preset,
    Runtime,
    population,
)
from gan_jax.config.schedules import Schedule
from gan_jax.config.sweeps import Sweep
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.images import pixels
from gan_jax.inference import sampling
from gan_jax.metrics.evaluation import mixtures
from gan_jax.networks import mlp
from gan_jax.reporting import plots, sweeps, tables
from gan_jax.runs import digest, metrics_log
from gan_jax.runs import folder as run_folder
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.restore import restore
from gan_jax.training import parallel, population_state
from gan_jax.training.state import generator_variables
from tests.helpers import small

DIGITS = small.config(
    gen=mlp.Generator(shape=(8, 8, 1), widths=(12,), norm="batch"),
    disc=mlp.Discriminator(widths=(12,), norm="spectral", last_bias=False),
    penalties=Penalties(r1=Schedule(0.2, 0.1, 10)),
    penalty_every=2,
    n_critic=1,
    seeds=(3, 0, 1, 2),
)
SWEEP = small.config(
    name="swept",
    gen=mlp.Generator(shape=(2,), widths=(8,), out="linear"),
    disc=mlp.Discriminator(widths=(8,)),
    data=PointData("ring"),
    loss="non_saturating",
    penalties=Penalties(),
    gen_opt=Optimizer(eps=1e-4),
    n_critic=1,
    steps=20,
)
LOGGING = Logging(log_every=1, sample_every=10, checkpoint_every=5)
RARELY = Logging(log_every=1, sample_every=20, checkpoint_every=20)
DEVICES = jax.local_devices()[:1]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Trains DIGITS and returns (folder, last state). Tests must not modify the folder.

    Checkpoints are of steps 5, 10 and 12.
    """
    workdir = tmp_path_factory.mktemp("runs") / "digits"
    return workdir, small.fit(DIGITS, workdir, logging=LOGGING)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Trains a sweep with two seeds by a command. Tests must not modify the folder."""
    workdir = tmp_path_factory.mktemp("runs") / "swept"
    arguments = (
        f"--workdir {workdir} --devices 1 --members-at-once 6 --seeds 0 3"
        " --sweep gen-opt.lr 1e-3 1e-2 --sweep label-smoothing 0 0.1 0.2"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["swept", *arguments.split()])
        patch.setattr("gan_jax.core.command_line.use_compilation_cache", lambda: None)
        train.main({"full": Preset(SWEEP, RARELY)})
    return workdir


@pytest.fixture(scope="module")
def single_run(swept, tmp_path_factory):
    """Trains member 9 of the sweep as a single run. Tests must not modify the folder."""
    workdir = tmp_path_factory.mktemp("runs") / "solo"
    member = population.member_configs(run_folder.load_config(swept))[9]
    small.fit(member, workdir, logging=RARELY)
    return workdir


def read_files(workdir):
    """Returns {relative path: content} of a run folder, without timing and checkpoints."""
    return {
        str(path.relative_to(workdir)): path.read_bytes()
        for path in sorted(workdir.rglob("*"))
        if path.is_file() and path.name != "timing.json" and "checkpoints" not in path.parts
    }


# Files of a run.


def test_rows_have_a_value_per_member(digits):
    workdir, state = digits
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    for line in lines:
        for name in line.keys() - {"step"}:
            assert isinstance(line[name], list)
            assert len(line[name]) == 4
    metrics = metrics_log.read_metrics(workdir)
    assert metrics.keys() == lines[0].keys() > {"disc_loss", "gen_loss", "r1", "skipped"}
    assert metrics["step"].shape == (12,)
    assert metrics["gen_loss"].shape == (12, 4)
    assert metrics["gen_loss"].tolist() == [line["gen_loss"] for line in lines]
    assert len(np.unique(metrics["gen_loss"][0])) == 4
    assert (metrics["r1"] > 0).any(1).tolist() == [False, True] * 6
    assert state.skipped.tolist() == [0] * 4


def test_each_member_has_its_sample_images(digits):
    workdir, state = digits
    for number in range(4):
        folder = workdir / "samples" / f"member_{number:02d}"
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["film.png", "step_00000010.png", "step_00000012.png"]
        config, member_state = population_state.member_run(DIGITS, state, number)
        key = keys.step_key(keys.root_key(config.seed), keys.Purpose.GRID, 0)
        samples = sampling.sample(config, generator_variables(member_state), key, 64)
        expected = plots.grid(pixels.to_pixels(samples, symmetric=False), 8)
        with Image.open(folder / names[-1]) as image:
            np.testing.assert_array_equal(image, expected)
            size = image.size
        with Image.open(folder / "film.png") as image:
            assert image.size == (size[0], 2 * (size[1] // 8))
    entries = sorted(path.name for path in (workdir / "samples").iterdir())
    assert entries == [*(f"member_{number:02d}" for number in range(4)), "real.png"]
    assert not (workdir / "film.png").exists()
    sheet = plots.sheet(
        [workdir / f"samples/member_{number:02d}/step_00000012.png" for number in range(4)], 4
    )
    with Image.open(workdir / "members.png") as image:
        np.testing.assert_array_equal(image, sheet)
        assert image.size == (4 * (size[0] // 2 + 4) - 4, size[1] // 2)


def test_config_and_checkpoints_are_those_of_the_population(digits):
    workdir, state = digits
    assert run_folder.load_config(workdir) == DIGITS
    with Checkpoints(workdir / "checkpoints", keep=None) as checkpoints:
        assert checkpoints.steps() == [5, 10, 12]
        step, restored = checkpoints.restore(state) or (0, None)
    assert step == 12
    small.assert_same_bits(restored, state)
    (launch,) = json.loads((workdir / "timing.json").read_text())
    assert launch["seeds"] == [3, 0, 1, 2]


# Guarantees of a run.


def test_rerun_has_the_same_bits(digits, tmp_path):
    state = small.fit(DIGITS, tmp_path / "again", logging=LOGGING)
    small.assert_same_bits(digits[1], state)
    assert read_files(digits[0]) == read_files(tmp_path / "again")


def test_resumed_run_has_the_same_bits(digits, tmp_path):
    small.fit(DIGITS.replace(steps=7), tmp_path / "cut", logging=LOGGING)
    state = small.fit(DIGITS, tmp_path / "cut", logging=LOGGING)
    small.assert_same_bits(digits[1], state)
    # The launch that stopped at step 7 ended with grids, a checkpoint and its digest; the grids
    # also change the films.
    for number in range(4):
        (tmp_path / "cut" / f"samples/member_{number:02d}/step_00000007.png").unlink()
    step_7 = digest.read_digests(tmp_path / "cut").pop(7)
    text = (tmp_path / "cut" / digest.FILE_NAME).read_text()
    text = text.replace(f'{{"step": 7, "sha256": "{step_7}"}}\n', "")
    (tmp_path / "cut" / digest.FILE_NAME).write_text(text)
    uninterrupted, resumed = (
        {
            name: content
            for name, content in read_files(folder).items()
            if not name.endswith("film.png")
        }
        for folder in (digits[0], tmp_path / "cut")
    )
    assert uninterrupted == resumed
    launches = json.loads((tmp_path / "cut" / "timing.json").read_text())
    assert [(entry["from_step"], entry["to_step"]) for entry in launches] == [(0, 7), (7, 12)]


def test_a_diverged_member_is_null_in_the_rows_and_does_not_affect_the_others(
    digits, tmp_path, monkeypatch, caplog
):
    """The loss of member 2 (seed 1) is NaN from its sixth step on."""
    original = parallel.make_train_step

    def make_train_step(config, axis=None, **options):
        step = original(config, axis, **options)

        def nan_step(state, batch):
            key_data = jax.random.key_data(state.key)
            is_member = (key_data == jax.random.key_data(keys.root_key(1))).all()
            real = jax.numpy.where(is_member & (state.step >= 5), jax.numpy.nan, batch.real)
            return step(state, batch.replace(real=real))

        return nan_step

    monkeypatch.setattr(parallel, "make_train_step", make_train_step)
    config, runtime = DIGITS.replace(steps=10), Runtime(skip_limit=3)
    with jax.debug_nans(False):
        state = small.fit(config, tmp_path / "run", logging=LOGGING, runtime=runtime)
    warning = "member 2 (seed 1): 3 steps in a row had non-finite updates"
    assert [warning in record.getMessage() for record in caplog.records].count(True) == 1
    assert (state.skipped.tolist(), state.skipped_in_row.tolist()) == ([0, 0, 5, 0], [0, 0, 5, 0])
    metrics = metrics_log.read_metrics(tmp_path / "run")
    expected = metrics_log.read_metrics(digits[0])
    assert np.isnan(metrics["disc_loss"][:, 2]).tolist() == [False] * 5 + [True] * 5
    others = [0, 1, 3]
    # XLA may order the same sums differently in this slightly larger program.
    np.testing.assert_allclose(
        metrics["disc_loss"][:, others], expected["disc_loss"][:10, others], rtol=1e-5
    )
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=None) as checkpoints:
        assert checkpoints.steps() == [5, 10]
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[6])["disc_loss"][2] is None
    assert json.loads(rows[6])["skipped"] == [0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": (3, 0, 1)}, "seeds must be (3, 0, 1, 2), got (3, 0, 1)"),
        ({"seeds": (0, 1, 2, 3)}, "seeds must be (3, 0, 1, 2), got (0, 1, 2, 3)"),
        ({"seeds": (), "seed": 3}, "seeds must be (3, 0, 1, 2), got ()"),
        ({"sweep": (Sweep("ema_ramp", (0.5,)),)}, "sweep must be (), got (Sweep(field='ema_ramp'"),
    ],
)
def test_a_run_folder_of_other_members_is_rejected(digits, changes, message):
    before = read_files(digits[0])
    other = DIGITS.replace(**changes)
    opening = run_folder.open_folder(digits[0], other, sources.load(DIGITS.data), DEVICES)
    with pytest.raises(UserError) as error, opening:
        pass
    assert message in str(error.value)
    assert read_files(digits[0]) == before


# Commands.


@pytest.mark.parametrize(("flags", "number"), [("", 0), ("--member 0", 0), ("--member 3", 3)])
def test_sample_uses_the_given_member(command, digits, tmp_path, flags, number):
    workdir, state = digits
    status, output, _ = command(
        app.main, f"sample {workdir} --num-samples 16 --seed 5 --out {tmp_path / 'grid.png'}", flags
    )
    assert status == 0
    assert f"16 samples of step 12, member {number}, seed 5" in output
    config, member_state = population_state.member_run(DIGITS, state, number)
    key = keys.step_key(keys.root_key(5), keys.Purpose.SAMPLE, 0)
    samples = sampling.sample(config, generator_variables(member_state), key, 16)
    expected = plots.grid(pixels.to_pixels(samples, symmetric=False), 8)
    with Image.open(tmp_path / "grid.png") as image:
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("number", [99, 4, -1])
def test_a_missing_member_is_one_error_line(command, digits, tmp_path, number):
    arguments = f"sample {digits[0]} --out {tmp_path / 'grid.png'} --member={number}"
    status, _, error = command(app.main, arguments)
    assert (status, error.count("\n")) == (2, 1)
    assert f"member must be from 0 to 3, got {number}" in error
    assert not (tmp_path / "grid.png").exists()


def test_a_member_of_a_single_run_is_one_error_line(command, single_run, tmp_path):
    arguments = f"sample {single_run} --out {tmp_path / 'grid.png'} --member 0"
    status, _, error = command(app.main, arguments)
    assert (status, error.count("\n")) == (2, 1)
    assert f"{single_run} is no population, got 0" in error


def test_the_record_has_an_entry_per_member(command, digits, tmp_path):
    workdir = shutil.copytree(digits[0], tmp_path / "run")
    status, output, _ = command(app.main, f"record {workdir} --out {tmp_path / 'out'}")
    assert (status, output.strip()) == (0, str(tmp_path / "out" / "small.json"))
    record = json.loads((tmp_path / "out" / "small.json").read_text())
    metrics = metrics_log.read_metrics(workdir)
    (launch,) = json.loads((workdir / "timing.json").read_text())
    speed = 11 * 16 * 4 / (launch["train_seconds"] - launch["first_step_seconds"])
    assert [run["seed"] for run in record["runs"]] == [3, 0, 1, 2]
    for number, run in enumerate(record["runs"]):
        last = {name: metrics[name][10:, number].mean() for name in ("disc_loss", "gen_loss")}
        assert run["last_tenth"] == pytest.approx(last, rel=1e-12)
        assert run["launches"] == ([launch] if number == 0 else [])
        assert (run["members"], run["steps"], run["scores"]) == (4, 12, {})
        assert run["examples_per_second"] == pytest.approx(speed, rel=1e-12)
    np.testing.assert_allclose(record["curve"]["gen_loss"], metrics["gen_loss"][:, 0], rtol=5e-6)
    grid = workdir / "samples" / "member_00" / "step_00000012.png"
    assert (tmp_path / "out" / "small.png").read_bytes() == grid.read_bytes()
    cells = tables.results_table(tmp_path / "out").splitlines()[2].split(" | ")
    assert cells[1] == "3, 0, 1, 2, at once"
    losses = [run["last_tenth"]["disc_loss"] for run in record["runs"]]
    assert cells[4] == f"{np.mean(losses):.3f} ± {np.std(losses, ddof=1):.3f}"
    for run, seed in zip(record["runs"], range(4), strict=True):
        run["seed"] = seed
    (tmp_path / "out" / "small.json").write_text(json.dumps(record))
    row = tables.results_table(tmp_path / "out").splitlines()[2]
    assert row.split(" | ")[1] == "0 to 3, at once"


def test_recording_a_sweep_is_one_error_line(command, swept, tmp_path):
    status, _, error = command(app.main, f"record {swept} --out {tmp_path / 'out'}")
    assert (status, error.count("\n")) == (2, 1)
    assert f"is a sweep: its record is {swept / 'sweep.json'}" in error
    assert not (tmp_path / "out").exists()


# Sweeps.


def test_a_sweep_writes_its_table(swept):
    config = run_folder.load_config(swept)
    lr, smoothing = (1e-3, 1e-2), (0.0, 0.1, 0.2)
    assert config.sweep == (Sweep("gen_opt.lr", lr), Sweep("label_smoothing", smoothing))
    rows, metrics = json.loads((swept / "sweep.json").read_text()), metrics_log.read_metrics(swept)
    assert metrics["gen_loss"].shape == (20, 12)
    _, _, state = restore(swept)
    scores = mixtures.scores(config, state)
    assert [list(row["values"].values()) for row in rows] == [[a, b] for a in lr for b in smoothing]
    for cell, row in enumerate(rows):
        assert row["seeds"] == [0, 3]
        members = [2 * cell, 2 * cell + 1]
        for name in ("disc_loss", "gen_loss"):
            last = metrics[name][18:, members].mean(0)  # steps 19 and 20, a tenth of the run
            np.testing.assert_allclose(row["scores"][name], last, rtol=1e-12)
        for name in ("covered", "high_quality", "kl"):
            assert row["scores"][name] == [scores[number][name] for number in members]
        assert row["scores"]["skipped"] == [0.0, 0.0]
    assert len({row["scores"]["gen_loss"][0] for row in rows}) == 6
    assert (swept / "sweep.md").read_text() == sweeps.format_table(rows) + "\n"
    with Image.open(swept / "sweep.png") as image:
        assert image.width > image.height > 200
    with (
        Image.open(swept / "members.png") as sheet,
        Image.open(swept / "samples/member_11/step_00000020.png") as grid,
    ):
        half = grid.width // 2 + 4
        assert sheet.size == (6 * half - 4, 2 * half - 4)  # a row for each learning rate


def test_a_member_of_a_sweep_equals_the_single_run(swept, single_run):
    config = run_folder.load_config(single_run)
    assert (config.gen_opt.lr, config.objective.label_smoothing, config.seed) == (1e-2, 0.1, 3)
    expected, metrics = metrics_log.read_metrics(single_run), metrics_log.read_metrics(swept)
    for name, values in expected.items():
        actual = metrics[name] if name == "step" else metrics[name][:, 9]
        # Batched products are summed in another order, which 20 steps of Adam amplify.
        np.testing.assert_allclose(actual, values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_diverged_member_is_nan_in_the_table(tmp_path):
    """With SGD at a rate of 1e18 the samples become non-finite while the weights stay finite."""
    config = SWEEP.replace(
        gen_opt=Optimizer("sgd", b1=0.0),
        steps=3,
        loss="wasserstein",
        sweep=(Sweep("gen_opt.lr", (1e-3, 1e18)),),
        gen=mlp.Generator(shape=(2,), widths=(8, 8, 8), out="linear"),
    )
    with jax.debug_nans(False):
        small.fit(config, tmp_path / "run")
    good, bad = json.loads((tmp_path / "run" / "sweep.json").read_text())
    assert all(value is not None for values in good["scores"].values() for value in values)
    assert bad["scores"]["kl"] == [None]
    assert bad["scores"]["skipped"][0] > 0
    assert "nan" in (tmp_path / "run" / "sweep.md").read_text()

"""Populations in run folders: rows, pictures, checkpoints, commands, and a sweep's table."""

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
ONE = jax.local_devices()[:1]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """(a run folder of DIGITS, its last state): checkpoints of 5, 10 and 12. Not to be changed."""
    workdir = tmp_path_factory.mktemp("runs") / "digits"
    return workdir, small.fit(DIGITS, workdir, logging=LOGGING)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A run folder of a sweep with two seeds, started by its command. Not to be changed."""
    workdir = tmp_path_factory.mktemp("runs") / "swept"
    words = (
        f"--workdir {workdir} --devices 1 --members-at-once 6 --seeds 0 3"
        " --sweep gen-opt.lr 1e-3 1e-2 --sweep label-smoothing 0 0.1 0.2"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["swept", *words.split()])
        patch.setattr("gan_jax.core.command_line.use_compilation_cache", lambda: None)
        train.main({"full": Preset(SWEEP, RARELY)})
    return workdir


@pytest.fixture(scope="module")
def solo(swept, tmp_path_factory):
    """A run folder of the sweep's member 9 alone. Not to be changed."""
    workdir = tmp_path_factory.mktemp("runs") / "solo"
    member = population.member_configs(run_folder.load_config(swept))[9]
    small.fit(member, workdir, logging=RARELY)
    return workdir


def files(workdir):
    """What the run folder shows, by name: all but times and checkpoints."""
    return {
        str(path.relative_to(workdir)): path.read_bytes()
        for path in sorted(workdir.rglob("*"))
        if path.is_file() and path.name != "timing.json" and "checkpoints" not in path.parts
    }


# What a run leaves.


def test_rows_hold_a_value_a_member(digits):
    workdir, state = digits
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    for line in lines:
        for name in line.keys() - {"step"}:
            assert isinstance(line[name], list)
            assert len(line[name]) == 4
    found = metrics_log.read_metrics(workdir)
    assert found.keys() == lines[0].keys() > {"disc_loss", "gen_loss", "r1", "skipped"}
    assert found["step"].shape == (12,)
    assert found["gen_loss"].shape == (12, 4)
    assert found["gen_loss"].tolist() == [line["gen_loss"] for line in lines]
    assert len(np.unique(found["gen_loss"][0])) == 4
    assert (found["r1"] > 0).any(1).tolist() == [False, True] * 6
    assert state.skipped.tolist() == [0] * 4


def test_each_member_has_pictures_of_its_own(digits):
    workdir, state = digits
    for number in range(4):
        folder = workdir / "samples" / f"member_{number:02d}"
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["film.png", "step_00000010.png", "step_00000012.png"]
        one, mine = population_state.member_run(DIGITS, state, number)
        key = keys.step_key(keys.root_key(one.seed), keys.Purpose.GRID, 0)
        made = sampling.sample(one, generator_variables(mine), key, 64)
        expected = plots.grid(pixels.to_pixels(made, symmetric=False), 8)
        with Image.open(folder / names[-1]) as image:
            np.testing.assert_array_equal(image, expected)
            size = image.size
        with Image.open(folder / "film.png") as image:
            assert image.size == (size[0], 2 * (size[1] // 8))
    samples = sorted(path.name for path in (workdir / "samples").iterdir())
    assert samples == [*(f"member_{number:02d}" for number in range(4)), "real.png"]
    assert not (workdir / "film.png").exists()
    sheet = plots.sheet(
        [workdir / f"samples/member_{number:02d}/step_00000012.png" for number in range(4)], 4
    )
    with Image.open(workdir / "members.png") as image:
        np.testing.assert_array_equal(image, sheet)
        assert image.size == (4 * (size[0] // 2 + 4) - 4, size[1] // 2)


def test_config_and_checkpoints(digits):
    workdir, state = digits
    assert run_folder.load_config(workdir) == DIGITS
    with Checkpoints(workdir / "checkpoints", keep=None) as checkpoints:
        assert checkpoints.steps() == [5, 10, 12]
        step, found = checkpoints.restore(state) or (0, None)
    assert step == 12
    small.assert_same_bits(found, state)
    (launch,) = json.loads((workdir / "timing.json").read_text())
    assert launch["seeds"] == [3, 0, 1, 2]


# The contracts of a run.


def test_rerun(digits, tmp_path):
    again = small.fit(DIGITS, tmp_path / "again", logging=LOGGING)
    small.assert_same_bits(digits[1], again)
    assert files(digits[0]) == files(tmp_path / "again")


def test_stop_and_resume(digits, tmp_path):
    small.fit(DIGITS.replace(steps=7), tmp_path / "cut", logging=LOGGING)
    state = small.fit(DIGITS, tmp_path / "cut", logging=LOGGING)
    small.assert_same_bits(digits[1], state)
    for number in range(4):  # an end is a reason for a grid; so the films differ
        (tmp_path / "cut" / f"samples/member_{number:02d}/step_00000007.png").unlink()
    step_7 = digest.read_digests(tmp_path / "cut").pop(7)  # and for a checkpoint, with its digest
    listed = (tmp_path / "cut" / digest.FILE_NAME).read_text()
    kept = listed.replace(f'{{"step": 7, "sha256": "{step_7}"}}\n', "")
    (tmp_path / "cut" / digest.FILE_NAME).write_text(kept)
    whole, cut = (
        {name: bits for name, bits in files(folder).items() if not name.endswith("film.png")}
        for folder in (digits[0], tmp_path / "cut")
    )
    assert whole == cut
    launches = json.loads((tmp_path / "cut" / "timing.json").read_text())
    assert [(entry["from_step"], entry["to_step"]) for entry in launches] == [(0, 7), (7, 12)]


def test_a_lost_member_is_null_in_the_rows_and_the_others_go_on(
    digits, tmp_path, monkeypatch, caplog
):
    """Member 2 (seed 1) has a loss of NaN from its sixth step on."""
    make = parallel.make_train_step

    def poisoned(config, axis=None, **options):
        step = make(config, axis, **options)

        def broken(state, batch):
            bits = jax.random.key_data(state.key)
            mine = (bits == jax.random.key_data(keys.root_key(1))).all() & (state.step >= 5)
            real = jax.numpy.where(mine, jax.numpy.nan, batch.real)
            return step(state, batch.replace(real=real))

        return broken

    monkeypatch.setattr(parallel, "make_train_step", poisoned)
    config, runtime = DIGITS.replace(steps=10), Runtime(skip_limit=3)
    with jax.debug_nans(False):
        state = small.fit(config, tmp_path / "run", logging=LOGGING, runtime=runtime)
    said = "member 2 (seed 1): 3 steps in a row had non-finite updates"
    assert [said in one.getMessage() for one in caplog.records].count(True) == 1
    assert (state.skipped.tolist(), state.skipped_in_row.tolist()) == ([0, 0, 5, 0], [0, 0, 5, 0])
    rows, whole = metrics_log.read_metrics(tmp_path / "run"), metrics_log.read_metrics(digits[0])
    assert np.isnan(rows["disc_loss"][:, 2]).tolist() == [False] * 5 + [True] * 5
    others = [0, 1, 3]
    # The same sums, in a program that holds a little more.
    np.testing.assert_allclose(
        rows["disc_loss"][:, others], whole["disc_loss"][:10, others], rtol=1e-5
    )
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=None) as checkpoints:
        assert checkpoints.steps() == [5, 10]
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[6])["disc_loss"][2] is None
    assert json.loads(rows[6])["skipped"] == [0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seeds": (3, 0, 1)}, "seeds must be (3, 0, 1, 2), got (3, 0, 1)"),
        ({"seeds": (0, 1, 2, 3)}, "seeds must be (3, 0, 1, 2), got (0, 1, 2, 3)"),
        ({"seeds": (), "seed": 3}, "seeds must be (3, 0, 1, 2), got ()"),
        ({"sweep": (Sweep("ema_ramp", (0.5,)),)}, "sweep must be (), got (Sweep(field='ema_ramp'"),
    ],
)
def test_a_run_folder_of_other_members_is_refused(digits, changes, says):
    before = files(digits[0])
    other = DIGITS.replace(**changes)
    opened = run_folder.open_folder(digits[0], other, sources.load(DIGITS.data), ONE)
    with pytest.raises(UserError) as error, opened:
        pass
    assert says in str(error.value)
    assert files(digits[0]) == before


# Commands.


@pytest.mark.parametrize(("words", "number"), [("", 0), ("--member 0", 0), ("--member 3", 3)])
def test_sample_picks_the_member(command, digits, tmp_path, words, number):
    workdir, state = digits
    status, said, _ = command(
        app.main, f"sample {workdir} --num-samples 16 --seed 5 --out {tmp_path / 'grid.png'}", words
    )
    assert status == 0
    assert f"16 samples of step 12, member {number}, seed 5" in said
    one, mine = population_state.member_run(DIGITS, state, number)
    key = keys.step_key(keys.root_key(5), keys.Purpose.SAMPLE, 0)
    made = sampling.sample(one, generator_variables(mine), key, 16)
    with Image.open(tmp_path / "grid.png") as image:
        np.testing.assert_array_equal(image, plots.grid(pixels.to_pixels(made, symmetric=False), 8))


@pytest.mark.parametrize("number", [99, 4, -1])
def test_a_member_that_is_not_there(command, digits, tmp_path, number):
    words = f"sample {digits[0]} --out {tmp_path / 'grid.png'} --member={number}"
    status, _, error = command(app.main, words)
    assert (status, error.count("\n")) == (2, 1)
    assert f"member must be from 0 to 3, got {number}" in error
    assert not (tmp_path / "grid.png").exists()


def test_a_member_of_a_solo_run(command, solo, tmp_path):
    words = f"sample {solo} --out {tmp_path / 'grid.png'} --member 0"
    status, _, error = command(app.main, words)
    assert (status, error.count("\n")) == (2, 1)
    assert f"{solo} is no population, got 0" in error


def test_the_record_has_an_entry_a_member(command, digits, tmp_path):
    workdir = shutil.copytree(digits[0], tmp_path / "run")
    status, said, _ = command(app.main, f"record {workdir} --out {tmp_path / 'out'}")
    assert (status, said.strip()) == (0, str(tmp_path / "out" / "small.json"))
    entry = json.loads((tmp_path / "out" / "small.json").read_text())
    rows = metrics_log.read_metrics(workdir)
    (launch,) = json.loads((workdir / "timing.json").read_text())
    speed = 11 * 16 * 4 / (launch["train_seconds"] - launch["first_step_seconds"])
    assert [one["seed"] for one in entry["runs"]] == [3, 0, 1, 2]
    for number, one in enumerate(entry["runs"]):
        late = {name: rows[name][10:, number].mean() for name in ("disc_loss", "gen_loss")}
        assert one["last_tenth"] == pytest.approx(late, rel=1e-12)
        assert one["launches"] == ([launch] if number == 0 else [])
        assert (one["members"], one["steps"], one["scores"]) == (4, 12, {})
        assert one["examples_per_second"] == pytest.approx(speed, rel=1e-12)
    np.testing.assert_allclose(entry["curve"]["gen_loss"], rows["gen_loss"][:, 0], rtol=5e-6)
    drawn = workdir / "samples" / "member_00" / "step_00000012.png"
    assert (tmp_path / "out" / "small.png").read_bytes() == drawn.read_bytes()
    cells = tables.results_table(tmp_path / "out").splitlines()[2].split(" | ")
    assert cells[1] == "3, 0, 1, 2, at once"
    losses = [one["last_tenth"]["disc_loss"] for one in entry["runs"]]
    assert cells[4] == f"{np.mean(losses):.3f} ± {np.std(losses, ddof=1):.3f}"
    for one, seed in zip(entry["runs"], range(4), strict=True):
        one["seed"] = seed
    (tmp_path / "out" / "small.json").write_text(json.dumps(entry))
    row = tables.results_table(tmp_path / "out").splitlines()[2]
    assert row.split(" | ")[1] == "0 to 3, at once"


def test_a_sweep_is_not_recorded(command, swept, tmp_path):
    status, _, error = command(app.main, f"record {swept} --out {tmp_path / 'out'}")
    assert (status, error.count("\n")) == (2, 1)
    assert f"is a sweep: its record is {swept / 'sweep.json'}" in error
    assert not (tmp_path / "out").exists()


# A sweep.


def test_a_sweep_leaves_its_table(swept):
    config = run_folder.load_config(swept)
    lr, smoothing = (1e-3, 1e-2), (0.0, 0.1, 0.2)
    assert config.sweep == (Sweep("gen_opt.lr", lr), Sweep("label_smoothing", smoothing))
    rows, metrics = json.loads((swept / "sweep.json").read_text()), metrics_log.read_metrics(swept)
    assert metrics["gen_loss"].shape == (20, 12)
    _, _, state = restore(swept)
    each = mixtures.scores(config, state)
    assert [list(row["values"].values()) for row in rows] == [[a, b] for a in lr for b in smoothing]
    for cell, row in enumerate(rows):
        assert row["seeds"] == [0, 3]
        mine = [2 * cell, 2 * cell + 1]
        for name in ("disc_loss", "gen_loss"):  # of steps 19 and 20
            late = metrics[name][18:, mine].mean(0)
            np.testing.assert_allclose(row["scores"][name], late, rtol=1e-12)
        for name in ("covered", "high_quality", "kl"):
            assert row["scores"][name] == [each[number][name] for number in mine]
        assert row["scores"]["skipped"] == [0.0, 0.0]
    assert len({row["scores"]["gen_loss"][0] for row in rows}) == 6
    assert (swept / "sweep.md").read_text() == sweeps.format_table(rows) + "\n"
    with Image.open(swept / "sweep.png") as image:
        assert image.width > image.height > 200
    with (
        Image.open(swept / "members.png") as sheet,
        Image.open(swept / "samples/member_11/step_00000020.png") as picture,
    ):
        half = picture.width // 2 + 4
        assert sheet.size == (6 * half - 4, 2 * half - 4)  # a row for each learning rate


def test_a_cell_is_the_solo_run(swept, solo):
    one = run_folder.load_config(solo)
    assert (one.gen_opt.lr, one.objective.label_smoothing, one.seed) == (1e-2, 0.1, 3)
    alone, rows = metrics_log.read_metrics(solo), metrics_log.read_metrics(swept)
    for name, values in alone.items():
        mine = rows[name] if name == "step" else rows[name][:, 9]
        # Batched products are summed in another order; 20 steps of Adam make the most of it.
        np.testing.assert_allclose(mine, values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_diverged_cell_does_not_take_the_table_with_it(tmp_path):
    """With SGD and a rate of 1e18 the weights stay finite, for a while, and the samples do not."""
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

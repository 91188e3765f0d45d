"""Commands as users run them: outputs, and one error line with status 2 for bad input."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import mnist_dcgan
from gan_jax import train
from gan_jax.cli import app
from gan_jax.config import ImageData, Logging, Preset, Runtime, serialization
from gan_jax.networks import mlp
from gan_jax.runs import folder, metrics_log, restore
from tests.helpers import small


def experiment(**changes):
    return lambda: train.main({"full": Preset(small.config(**changes), small.LOGGING)})


@pytest.fixture(scope="module")
def finished(trained_run):
    """Returns the folder of a run of 12 steps with checkpoints 5, 10 and 12."""
    return trained_run("images")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--stepz 3", "got --stepz (did you mean '--steps'?)"),
        ("--steps x", "steps must be INT, got 'x'"),
        ("--loss hing", "loss must be one of minimax, "),
        ("--loss hing", "(did you mean 'hinge'?)"),
        ("--steps 0", "steps must be at least 1"),
        ("--batch-size -4", "batch_size must be at least 1"),
        ("--z-dim 0", "z_dim must be at least 1"),
        ("--seed -1", "seed must be from 0 to 4294967295, got -1"),
        ("--gen-opt.lr -1e-3", "gen_opt.lr must be at least 0, got -0.001"),
        ("--gen-opt.lr 1e-3:1e-4", "--gen-opt.lr"),
        ("--penalties.r1 -1", "penalties.r1 must be at least 0, got -1.0"),
        ("--label-smoothing 0.1", "label_smoothing must be 0 with the loss"),
        ("--batch-size 15 --devices 2", "batch_size must be divisible by 2 devices, got 15"),
        ("--devices 9", "devices must be from 1 to 8, got 9"),
        ("--devices 0", "devices must be from 1 to 8, got 0"),
        ("--gen.widths 0", "do not accept examples of shape [8, 8, 1]"),
        ("--gen.shape 9 9 1", "must be that of the data, [8, 8, 1], got [9, 9, 1]"),
        ("--disc.minibatch-std 5", "minibatch_std must divide the 16 examples, got 5"),
        ("--data.labels", "a network of 0 classes, got labels"),
        (
            "--data.labels --gen.classes 3 --disc.classes 10",
            "gen.classes must be at least 10, the number of labels, got 3",
        ),
        ("--name a/b", "name must be letters"),
        ("--data.size 0", "data.size must be at least 1"),
        ("--data.split rest", "data.split must be one of all, train, test, got 'rest'"),
        (
            "--data.name mnisst --data.dir nowhere",
            "data set 'mnisst' is not in nowhere: set --data.dir",
        ),
        ("--data.name folder", "needs --data.path"),
        ("--data.name folder --data.path nowhere", "there is no such file or folder"),
        ("--data.name idx --data.path .", "images-idx3-ubyte"),
    ],
)
def test_bad_input_is_one_error_line_and_status_2(command, tmp_path, flags, message):
    status, _, error = command(experiment(), flags, f"--workdir {tmp_path / 'run'}")
    assert status == 2
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_repeated_or_shortened(command, tmp_path):
    status, output, _ = command(experiment(), f"--workdir {tmp_path / 'run'} --devices 1 --steps 4")
    assert status == 0
    assert "film.png" in output
    assert folder.load_config(tmp_path / "run") == small.config(steps=4)
    status, _, error = command(experiment(), f"--workdir {tmp_path / 'run'} --devices 1 --steps 3")
    assert (status, error.count("\n")) == (2, 1)
    assert "steps must be at least 4" in error
    assert "got 3" in error
    assert folder.load_config(tmp_path / "run").steps == 4
    status, _, error = command(experiment(), f"--workdir {tmp_path / 'run'} --devices 1 --steps 4")
    assert status == 0  # the run is complete: nothing is trained
    assert len(json.loads((tmp_path / "run" / "timing.json").read_text())) == 1


def test_a_run_folder_of_another_config_is_an_error_naming_the_fields(command, finished):
    before = (finished / "config.json").read_bytes()
    status, _, error = command(
        experiment(),
        f"--workdir {finished} --devices 1 --seed 4 --gen.widths 24 30 --penalties.r1 2",
    )
    assert (status, error.count("\n")) == (2, 1)
    for message in (
        "seed must be 0, got 4",
        "gen.widths must be (24, 32), got (24, 30)",
        "penalties.r1 must be 0.1, got 2.0",
    ):
        assert message in error
    assert "steps" not in error
    assert (finished / "config.json").read_bytes() == before


def test_a_run_folder_of_other_data_is_one_error_line(command, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    np.savez(tmp_path / "set.npz", images=images)
    main = experiment(data=ImageData("npz", path=str(tmp_path / "set.npz")), steps=3)
    assert command(main, f"--workdir {tmp_path / 'run'} --devices 1")[0] == 0
    images[0, 0, 0] ^= 1
    np.savez(tmp_path / "set.npz", images=images)
    status, _, error = command(main, f"--workdir {tmp_path / 'run'} --devices 1 --steps 5")
    assert (status, error.count("\n")) == (2, 1)
    assert "holds a run on other data" in error


@pytest.mark.parametrize("text", ["{", "[]", '{"_type": "os:system"}', "", "\x00"])
def test_a_damaged_config_is_one_error_line(command, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    for arguments in (f"sample {tmp_path}", f"resume {tmp_path}"):
        status, _, error = command(app.main, arguments)
        assert (status, error.count("\n")) == (2, 1)
        assert "config.json is damaged" in error


def test_a_folder_of_other_files_is_not_overwritten(command, tmp_path):
    (tmp_path / "thesis.tex").write_text("do not overwrite")
    status, _, error = command(experiment(), f"--workdir {tmp_path} --devices 1")
    assert (status, error.count("\n")) == (2, 1)
    assert "is neither empty nor a run folder" in error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "samples").mkdir()
    assert command(experiment(), f"--workdir {tmp_path} --devices 1")[0] == 2
    assert (tmp_path / "samples").exists()


def test_sample_writes_a_grid(command, finished, tmp_path):
    out = tmp_path / "deep" / "grid.png"
    arguments = f"sample {finished} --num-samples 20 --seed 1 --out {out}"
    status, output, _ = command(app.main, arguments)
    assert status == 0
    assert "20 samples of step 12, seed 1" in output
    with Image.open(out) as image:
        assert image.size == (8 * 73, 8 * 28)  # 8 columns of 9 pixels and a border, x8
    status, _, error = command(app.main, arguments)
    assert (status, error.count("\n")) == (2, 1)
    assert "--force" in error
    before = out.read_bytes()
    assert command(app.main, arguments, "--force --step 5")[0] == 0
    assert out.read_bytes() != before
    assert command(app.main, arguments, "--force")[0] == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--num-samples 0", "num_samples must be at least 1, got 0"),
        ("--step 7", "step must be one of 5, 10, 12, got 7"),
        ("--seed -1", "seed must be from 0 to 4294967295, got -1"),
        ("--out grid.nonsense", "grid.nonsense cannot be written: unknown file extension"),
    ],
)
def test_bad_input_of_sample_is_one_error_line(
    command, finished, flags, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    status, _, error = command(app.main, f"sample {finished}", flags)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error


def test_resume_trains_to_the_given_step(command, tmp_path):
    workdir = tmp_path / "run"
    small.fit(small.config(steps=5), workdir)
    assert command(app.main, f"resume {workdir} --steps 12 --devices 1")[0] == 0
    assert folder.load_config(workdir) == small.CONFIG
    assert metrics_log.read_metrics(workdir)["step"].tolist() == [3, 6, 9, 12]


RECIPE = """
from gan_jax.config import Config, Logging, PointData, Preset, Prior
from gan_jax.networks import mlp

config = Config(
    "points", mlp.Generator((2,), (8,)), mlp.Discriminator((8,)), steps=5, data=PointData("ring"),
    prior=Prior(2), batch_size=16,
)
presets = {"full": Preset(config, Logging(log_every=2, sample_every=5, checkpoint_every=2))}
"""


@pytest.mark.parametrize("resume", ["resume {run}", "train {recipe} --workdir {run}"])
def test_a_run_is_resumed_with_other_logging(command, tmp_path, resume):
    paths = {"recipe": tmp_path / f"points_{resume.split()[0]}.py", "run": tmp_path / "run"}
    paths["recipe"].write_text(RECIPE)
    arguments = "train {recipe} --workdir {run} --devices 1"
    assert command(app.main, arguments.format(**paths))[0] == 0
    logging = Logging(log_every=1, score_every=6, sample_every=4, checkpoint_every=3, keep=2)
    assert folder.load_settings(paths["run"])[0] == Logging(2, 0, 5, 2, 3)
    flags = "--log-every 1 --score-every 6 --sample-every 4 --checkpoint-every 3 --keep 2"
    arguments = f"{resume} --devices 1 --steps 10 {flags}"
    status, _, error = command(app.main, arguments.format(**paths))
    assert (status, error.count("error")) == (0, 0)
    assert folder.load_settings(paths["run"]) == (logging, Runtime(devices=1))
    assert metrics_log.read_metrics(paths["run"])["step"].tolist() == [2, 4, 6, 7, 8, 9, 10]
    samples = sorted(path.stem for path in (paths["run"] / "samples").glob("step_*"))
    assert samples == [f"step_{step:08d}" for step in (5, 8, 10)]
    rows = (paths["run"] / "scores.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [6]
    assert restore.checkpoint_steps(paths["run"]) == [9, 10]
    _, config, state = restore.restore(paths["run"])
    small.assert_same_bits(state, small.train_state(config)[0])


@pytest.mark.parametrize("name", app.COMMANDS)
def test_help_fits_a_narrow_terminal(command, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "40")
    status, text, error = command(app.main, f"{name} --help")
    assert (status, error) == (0, "")
    assert max(map(len, text.splitlines())) <= 40
    assert "positional arguments" in text or name == "recipes"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("augment RUN", "augment is now synthesize"),
        ("repair RUN", "repair is now inpaint"),
        ("score A B", "score is now evaluate-folders"),
        ("diff A B", "diff is now compare"),
        ("sample RUN --num 3", "--num is now --num-samples"),
        ("invert RUN --num=3 --out x", "--num is now --num-images"),
        ("train ring_mlp --small", "--small is now --preset small"),
        ("train digits_mlp --augment.colour 1", "--augment.colour is now --augment.color"),
        ("train digits_mlp --silence 9", "--silence is now --heartbeat-timeout"),
        ("train digits_mlp --data.draw=1", "--data.draw is now --data.subset-seed"),
        ("train ring_mlp --preset small", "preset must be one of full, got small"),
        ("train mnist_dcgan --preset tiny", "preset must be one of full, small, got tiny"),
        ("train mnist_dcgan --preset", "Missing value for argument '--preset'"),
        ("train no_recipe", "'no_recipe'"),
        ("train", "Missing from gan-jax train: RECIPE"),
        ("sampel RUN", "got sampel (did you mean 'sample'?)"),
        ("sample RUN --sed 3", "got --sed (did you mean '--seed'?)"),
        ("sample RUN --out a b", "Unrecognized options: b"),
        ("sample RUN --num-samples x", "num-samples must be INT, got 'x'"),
        ("interpolate RUN", "--out PATH"),
        (
            "sample RUN --import no_such_module",
            "--import must be a module or a file, got no_such_module",
        ),
        ("", "Expected one of {train, resume,"),
    ],
)
def test_invalid_arguments_are_one_error_line(command, arguments, message):
    status, output, error = command(app.main, arguments)
    assert (status, output) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error


def test_flags_override_the_preset(command, monkeypatch):
    runs = []
    monkeypatch.setattr(train, "fit", lambda config, *_, **options: runs.append((config, options)))
    arguments = "train mnist_dcgan --preset small --seed 5 --devices 1 --stream"
    assert command(app.main, arguments)[0] == 0
    ((config, options),) = runs
    assert (config.name, config.gen.width, config.seed) == ("mnist_dcgan_small", 16, 5)
    assert options["runtime"] == Runtime(devices=1, stream=True)
    assert options["logging"] == mnist_dcgan.presets["small"].logging


def test_train_accepts_a_recipe_file(command, monkeypatch, tmp_path):
    (tmp_path / "my_recipe.py").write_text(
        "from experiments import digits_mlp\nconfig = digits_mlp.config.replace(name='mine')\n"
    )
    runs = []
    monkeypatch.setattr(train, "fit", lambda config, workdir, **_: runs.append((config, workdir)))
    monkeypatch.setattr(serialization, "register", lambda module: None, raising=False)
    arguments = f"train {tmp_path / 'my_recipe.py'} --steps 7 --workdir {tmp_path / 'run'}"
    assert command(app.main, arguments)[0] == 0
    ((config, workdir),) = runs
    assert (config.name, config.steps, workdir) == ("mine", 7, tmp_path / "run")


def test_resume_accepts_the_flags_of_train(command, finished, monkeypatch):
    runs = []
    monkeypatch.setattr(train, "fit", lambda config, workdir, **options: runs.append(options))
    assert (
        command(app.main, f"resume {finished} --devices 1 --stream --heartbeat-timeout 9")[0] == 0
    )
    assert runs == [{"logging": small.LOGGING, "runtime": Runtime(devices=1, stream=True)}]


def test_the_command_line_imports_no_heavy_packages():
    heavy = "jax", "flax", "numpy", "optax", "tensorflow_datasets", "PIL"
    code = f"import gan_jax.cli.app, sys; print([name for name in {heavy} if name in sys.modules])"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "[]\n"


def test_conditional_samples_follow_their_labels(tmp_path):
    config = small.config(
        gen=mlp.Generator(shape=(8, 8, 1), widths=(24,), classes=10),
        disc=mlp.Discriminator(widths=(24,), classes=10, last_bias=False),
        data=dataclasses.replace(small.CONFIG.data, labels=True),
        steps=2,
    )
    small.fit(config, tmp_path / "run")
    assert serialization.loads((tmp_path / "run" / "config.json").read_text()) == config
    with Image.open(tmp_path / "run" / "samples" / "step_00000002.png") as image:
        assert image.width == 6 * (10 * 9 + 1)  # a column for each of the ten digits

"""Commands as users give them: what they write, and one line with status 2 for each mistake."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from gan_jax import __main__, config_json, logs, run, train
from gan_jax.config import Data
from gan_jax.networks import mlp
from tests.helpers import small


def experiment(**changes):
    return lambda: train.main(small.config(**changes))


@pytest.fixture(scope="module")
def finished(trained_run):
    """A run of 12 steps with checkpoints of 5, 10 and 12."""
    return trained_run("images")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--stepz 3", "--stepz, 3 (did you mean --steps?)"),
        ("--steps x", "--steps"),
        ("--loss hing", "loss is 'hing': it must be one of minimax, "),
        ("--loss hing", "(did you mean 'hinge'?)"),
        ("--steps 0", "steps is 0: it must be at least 1"),
        ("--batch-size -4", "batch_size is -4: it must be at least 1"),
        ("--z-dim 0", "z_dim is 0: it must be at least 1"),
        ("--seed -1", "seed is -1: it must be from 0 to 4294967295"),
        ("--gen-opt.lr -1e-3", "gen_opt.lr is -0.001: it must be at least 0"),
        ("--gen-opt.lr 1e-3:1e-4", "--gen-opt.lr"),
        ("--penalties.r1 -1", "penalties.r1 is -1.0: it must be at least 0"),
        ("--label-smoothing 0.1", "label_smoothing is 0.1: it must be 0 with the loss"),
        ("--batch-size 15 --devices 2", "batch_size is 15: it must be divisible by the 2 devices"),
        ("--devices 9", "devices is 9: it must be from 1 to 8, the devices found"),
        ("--devices 0", "devices is 0: it must be from 1 to 8"),
        ("--gen.widths 0", "cannot take examples of shape [8, 8, 1]"),
        ("--gen.shape 9 9 1", "makes examples of shape [9, 9, 1], the data has [8, 8, 1]"),
        ("--disc.minibatch-std 5", "groups of 5 do not divide 16 examples"),
        ("--data.labels", "a network of 0 classes is given labels"),
        (
            "--data.labels --gen.classes 3 --disc.classes 10",
            "gen.classes is 3: the data has labels",
        ),
        ("--name a/b", "name is 'a/b': it must be letters"),
        ("--data.size 0", "data.size is 0: it must be at least 1"),
        ("--data.split rest", "data.split is 'rest': the digits have all, train, test"),
        (
            "--data.name mnisst --data.dir nowhere",
            "data set 'mnisst' is not in nowhere: give --data.dir",
        ),
        ("--data.name folder", "needs --data.path"),
        ("--data.name folder --data.path nowhere", "there is no such file or folder"),
        ("--data.name idx --data.path .", "images-idx3-ubyte"),
    ],
)
def test_mistakes_are_one_line_and_status_2(command, tmp_path, flags, says):
    status, _, error = command(experiment(), flags, f"--workdir {tmp_path / 'run'}")
    assert status == 2
    assert error.startswith("error: ")
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()  # nothing is left behind


def test_run_and_run_again(command, tmp_path):
    status, out, _ = command(experiment(), f"--workdir {tmp_path / 'run'} --devices 1 --steps 4")
    assert status == 0
    assert "film.png" in out
    assert run.load_config(tmp_path / "run") == small.config(steps=4)
    status, _, error = command(experiment(), f"--workdir {tmp_path / 'run'} --devices 1 --steps 3")
    assert (status, error.count("\n")) == (2, 1)
    assert "steps is 3: the run in" in error
    assert "is at step 4 already" in error
    assert run.load_config(tmp_path / "run").steps == 4
    status, _, error = command(experiment(), f"--workdir {tmp_path / 'run'} --devices 1 --steps 4")
    assert status == 0  # nothing is left to do, and nothing is done
    assert len(json.loads((tmp_path / "run" / "timing.json").read_text())) == 1


def test_workdir_of_another_config_names_the_fields(command, finished):
    before = (finished / "config.json").read_bytes()
    status, _, error = command(
        experiment(),
        f"--workdir {finished} --devices 1 --seed 4 --gen.widths 24 30 --penalties.r1 2",
    )
    assert (status, error.count("\n")) == (2, 1)
    for text in (
        "seed is 0 there, 4 here",
        "gen.widths is (24, 32) there",
        "penalties.r1 is 0.1 there",
    ):
        assert text in error
    assert "steps" not in error
    assert (finished / "config.json").read_bytes() == before


def test_workdir_of_other_data(command, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    np.savez(tmp_path / "set.npz", images=images)
    main = experiment(data=Data("npz", path=str(tmp_path / "set.npz")), steps=3)
    assert command(main, f"--workdir {tmp_path / 'run'} --devices 1")[0] == 0
    images[0, 0, 0] ^= 1
    np.savez(tmp_path / "set.npz", images=images)
    status, _, error = command(main, f"--workdir {tmp_path / 'run'} --devices 1 --steps 5")
    assert (status, error.count("\n")) == (2, 1)
    assert "holds a run on other data" in error


@pytest.mark.parametrize("text", ["{", "[]", '{"_type": "os:system"}', "", "\x00"])
def test_damaged_config(command, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    for words in (f"sample {tmp_path}", f"resume {tmp_path}"):
        status, _, error = command(__main__.main, words)
        assert (status, error.count("\n")) == (2, 1)
        assert "config.json is damaged" in error


def test_workdir_that_is_no_run_folder(command, tmp_path):
    (tmp_path / "thesis.tex").write_text("do not overwrite")
    status, _, error = command(experiment(), f"--workdir {tmp_path} --devices 1")
    assert (status, error.count("\n")) == (2, 1)
    assert "is neither empty nor a run folder" in error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "samples").mkdir()
    assert command(experiment(), f"--workdir {tmp_path} --devices 1")[0] == 2
    assert (tmp_path / "samples").exists()


def test_sample(command, finished, tmp_path):
    out = tmp_path / "deep" / "grid.png"
    words = f"sample {finished} --num 20 --seed 1 --out {out}"
    status, said, _ = command(__main__.main, words)
    assert status == 0
    assert "20 samples of step 12, seed 1" in said
    with Image.open(out) as image:
        assert image.size == (8 * 73, 8 * 28)  # 8 columns of 9 pixels and an edge, x8
    status, _, error = command(__main__.main, words)
    assert (status, error.count("\n")) == (2, 1)
    assert "--force" in error
    before = out.read_bytes()
    assert command(__main__.main, words, "--force --step 5")[0] == 0
    assert out.read_bytes() != before
    assert command(__main__.main, words, "--force")[0] == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--num 0", "num is 0: it must be at least 1"),
        ("--step 7", "step is 7: the run has checkpoints of steps 5, 10, 12"),
        ("--seed -1", "seed is -1"),
        ("--out grid.nonsense", "out is 'grid.nonsense': unknown file extension"),
    ],
)
def test_sample_mistakes(command, finished, flags, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, error = command(__main__.main, f"sample {finished}", flags)
    assert (status, error.count("\n")) == (2, 1)
    assert says in error


def test_resume_goes_on(command, tmp_path):
    workdir = tmp_path / "run"
    small.fit(small.config(steps=5), workdir)
    assert command(__main__.main, f"resume {workdir} --steps 12 --devices 1")[0] == 0
    assert run.load_config(workdir) == small.CONFIG
    assert logs.read_metrics(workdir)["step"].tolist() == [3, 6, 9, 12]


def test_conditional_samples_follow_their_labels(tmp_path):
    config = small.config(
        gen=mlp.Generator(shape=(8, 8, 1), widths=(24,), classes=10),
        disc=mlp.Discriminator(widths=(24,), classes=10, last_bias=False),
        data=dataclasses.replace(small.CONFIG.data, labels=True),
        steps=2,
    )
    small.fit(config, tmp_path / "run")
    assert config_json.loads((tmp_path / "run" / "config.json").read_text()) == config
    with Image.open(tmp_path / "run" / "samples" / "step_00000002.png") as image:
        assert image.width == 6 * (10 * 9 + 1)  # a column for each of the ten digits

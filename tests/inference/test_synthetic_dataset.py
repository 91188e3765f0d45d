"""Synthetic data sets: every format can be read back, and writes are atomic."""

import json
from typing import Any

import jax
import numpy as np
import pytest
import tensorflow_datasets

from gan_jax.cli import app
from gan_jax.config import ImageData, Logging, Penalties
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.images import pixels
from gan_jax.inference import sampling, synthetic_dataset
from gan_jax.networks import mlp
from gan_jax.runs.restore import restore
from gan_jax.training import population_state
from gan_jax.training.state import generator_variables
from tests.helpers import small

pytestmark = pytest.mark.integration

CONFIG = small.config(
    name="conditional",
    gen=mlp.Generator(shape=(8, 8, 1), widths=(8,), classes=12),
    disc=mlp.Discriminator(widths=(8,), classes=12),
    data=ImageData("digits", "all", labels=True, symmetric=False),
    loss="non_saturating",
    penalties=Penalties(),
    n_critic=1,
    steps=2,
    seeds=(3, 4),
)
# Twelve classes need folder names with two digits to sort correctly.
CLASSES = [2, 9, 11]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "conditional"
    small.fit(CONFIG, workdir, logging=Logging(checkpoint_every=1))
    return workdir


def expected_samples(run, classes, per_class, member, seed=5, step=None):
    """Images and labels from `sampling.sample`, generated in a single call."""
    _, config, state = restore(run, step)
    labels = np.tile(np.asarray(classes, np.int32), per_class)
    samples = sampling.sample(
        CONFIG,
        generator_variables(population_state.member_run(config, state, member)[1]),
        keys.step_key(keys.root_key(seed), keys.Purpose.SAMPLE, 0),
        len(labels),
        labels,
    )
    return pixels.to_pixels(samples, symmetric=False), labels


def sorted_by_content(images, labels):
    return sorted(
        (int(label), image.tobytes()) for image, label in zip(images, labels, strict=True)
    )


@pytest.mark.parametrize("format_name", ["npz", "png", "array_record"])
def test_every_format_is_read_back_exactly(run, command, tmp_path, monkeypatch, format_name):
    # Divides neither the number of samples nor that of classes.
    monkeypatch.setattr(synthetic_dataset, "BATCH", 7)
    out = tmp_path / "made_set"
    arguments = (
        f"synthesize {run} --per-class 4 --classes 2 9 11 --seed 5 --member 1"
        f" --format {format_name}"
    )
    status, output, _ = command(app.main, arguments, f"--out {out}")
    assert status == 0
    assert f"{out}: 12 labeled samples of step 2, member 1, seed 5, as {format_name}" in output
    images, labels = expected_samples(run, CLASSES, 4, 1)
    data = {
        "npz": ImageData("npz", path=str(out / "samples.npz"), labels=True),
        "png": ImageData("folder", path=str(out), channels=1, labels=True),
        "array_record": ImageData("made_set", dir=str(tmp_path), labels=True),
    }[format_name]
    loaded = sources.load(data).batch
    if format_name == "png":  # ordered by class; labels are folder indices
        assert sorted(path.name for path in out.iterdir()) == ["02", "09", "11", "samples.json"]
        labels = np.searchsorted(CLASSES, labels)
        assert sorted_by_content(loaded.real, loaded.cond) == sorted_by_content(images, labels)
    else:
        np.testing.assert_array_equal(loaded.real, images)
        np.testing.assert_array_equal(loaded.cond, labels)
    if format_name == "array_record":
        source: Any = tensorflow_datasets.data_source("made_set", split="train", data_dir=tmp_path)
        np.testing.assert_array_equal([example["label"] for example in source], labels)
        builder: Any = tensorflow_datasets.builder("made_set", data_dir=tmp_path)
        assert builder.info.features["label"].num_classes == 12
    record = json.loads((out / "samples.json").read_text())
    assert (record["run"], record["step"], record["member"]) == ("conditional", 2, 1)
    assert (record["run_seed"], record["seed"], record["classes"]) == (4, 5, CLASSES)
    assert record["versions"]["packages"]["jax"] == jax.__version__
    assert [path.name for path in tmp_path.iterdir()] == ["made_set"]


def test_all_classes_of_an_earlier_step(run, tmp_path, command):
    out = tmp_path / "deep" / "set"
    assert command(app.main, f"synthesize {run} --per-class 1 --step 1 --out {out}")[0] == 0
    loaded = sources.load(ImageData("npz", path=str(out / "samples.npz"), labels=True)).batch
    images, labels = expected_samples(run, range(12), 1, 0, seed=0, step=1)
    np.testing.assert_array_equal(loaded.real, images)
    np.testing.assert_array_equal(loaded.cond, labels)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--classes 3 12", "from 0 to 11, got 3 12"),
        ("--classes 3 3", "must be distinct and from 0 to 11, got 3 3"),
        ("--per-class 0", "per_class must be at least 1, got 0"),
        ("--seed -1", "seed must be from 0 to 4294967295, got -1"),
        ("--step 7", "step must be one of 1, 2, got 7"),
        ("--member 2", "member must be from 0 to 1, got 2"),
        ("--format tfrecord", "format must be one of npz, png, array_record, got 'tfrecord'"),
        ("--format array_record", "must end in a data set name"),
    ],
)
def test_errors_are_one_line_and_leave_no_files(run, command, tmp_path, flags, message):
    status, _, error = command(
        app.main, f"synthesize {run} --per-class 2 --out {tmp_path / 'a-set'}", flags
    )
    assert (status, error.count("\n")) == (2, 1)
    assert message in error
    assert not list(tmp_path.iterdir())


def test_runs_that_generate_no_labeled_images_are_rejected():
    points = CONFIG.replace(gen=mlp.Generator(shape=(2,), widths=(), classes=2))
    inputs = jax.random.key(0), np.zeros((1, 8)), np.zeros(1, np.int32)
    variables = points.gen.init(*inputs, train=False)
    with pytest.raises(UserError, match=r"must generate images, got points \[2\]"):
        synthetic_dataset.labeled_samples(points, variables, 0, 1)
    with pytest.raises(UserError, match="not conditioned on classes"):
        synthetic_dataset.labeled_samples(small.CONFIG, {}, 0, 1)
    images = CONFIG.replace(gen=mlp.Generator(shape=(2, 2, 1), widths=(), classes=2))
    shapes = jax.eval_shape(lambda: images.gen.init(*inputs, train=False))
    infinite = jax.tree.map(lambda leaf: np.full(leaf.shape, np.inf, np.float32), shapes)
    with jax.debug_nans(False), pytest.raises(UserError, match="a sample is not finite"):
        synthetic_dataset.labeled_samples(images, infinite, 0, 1)


IMAGES, LABELS = np.zeros((2, 8, 8, 1), np.uint8), np.arange(2, dtype=np.int32)


def test_existing_files_are_kept_unless_they_are_a_synthetic_data_set(tmp_path):
    out, record = tmp_path / "set", {"n": 1}
    synthetic_dataset.write(out, "npz", IMAGES, LABELS, 2, record)
    with pytest.raises(UserError, match="exists: give --force"):
        synthetic_dataset.write(out, "png", IMAGES, LABELS, 2, {"n": 2})
    assert json.loads((out / "samples.json").read_text()) == record
    synthetic_dataset.write(out, "png", IMAGES, LABELS, 2, {"n": 2}, force=True)
    assert sorted(path.name for path in out.iterdir()) == ["0", "1", "samples.json"]
    thesis = tmp_path / "work" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("do not overwrite")
    for path in (thesis, thesis.parent):
        with pytest.raises(UserError, match="must be a data set of samples"):
            synthetic_dataset.write(path, "npz", IMAGES, LABELS, 2, record, force=True)
    assert thesis.read_text() == "do not overwrite"
    with pytest.raises(UserError, match=r"set cannot be written: (File exists|Not a directory)"):
        synthetic_dataset.write(thesis / "set", "npz", IMAGES, LABELS, 2, record)


@pytest.mark.parametrize("exists", [False, True], ids=["new", "forced"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_write_keeps_the_existing_data_set(tmp_path, monkeypatch, exists, error):
    def interrupt(*_):
        raise error

    out = tmp_path / "set"
    if exists:
        synthetic_dataset.write(out, "npz", IMAGES, LABELS, 2, {"n": 1})
    monkeypatch.setattr(synthetic_dataset, "write_atomically", interrupt)
    with pytest.raises(error):
        synthetic_dataset.write(out, "npz", IMAGES, LABELS, 2, {"n": 2}, force=True)
    assert [path.name for path in tmp_path.iterdir()] == (["set"] if exists else [])
    if exists:
        assert json.loads((out / "samples.json").read_text()) == {"n": 1}
        assert (out / "samples.npz").is_file()

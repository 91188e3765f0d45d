"""The project's own classifiers: decided by a seed, kept in a cache, and accurate."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from scipy.io import wavfile

from gan_jax.config import AudioData, ImageData, PointData
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.metrics.features import classifier
from gan_jax.metrics.features.classifier_training import Recipe, warp
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.select import select_features
from tests.helpers.paths import REPOSITORY

TINY = Recipe(widths=(4, 4, 4), features=6, epochs=0.2, batch_size=16)
DATA = ImageData("digits", size=10)
TARGETS = {"digits": 0.98, "mnist": 0.992, "fashion_mnist": 0.925, "cifar10_jpeg75": 0.8}


def make(cache, seed=0):
    return classifier.load_classifier(DATA, cache, seed, recipe=TINY, quiet=True)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """(cache, the classifier that was trained into it)."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, make(cache)


def test_a_seed_decides_the_bits(kept, tmp_path):
    cache, first = kept
    again = make(tmp_path)
    assert again.sha256 == first.sha256
    assert make(tmp_path, seed=1).sha256 != first.sha256
    images = sources.load(DATA).batch.real[:7]
    assert first(images).tobytes() == again(images).tobytes()
    assert len(list(tmp_path.iterdir())) == 2
    assert len(list(cache.iterdir())) == 1


def test_the_cache_has_it_and_a_damaged_file_is_made_anew(kept, tmp_path, monkeypatch, caplog):
    cache, first = kept
    (path,) = cache.iterdir()
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "fit", None)  # nothing is trained
        found = make(tmp_path)
    assert (found.sha256, found.note, found.name) == (first.sha256, first.note, first.name)
    assert found.test_accuracy == first.test_accuracy
    assert first.note == f"test accuracy {first.test_accuracy:.4f}"
    whole = copy.read_bytes()
    bits = bytearray(whole)
    bits[len(bits) // 2] ^= 1
    for damaged in (whole[:500], bytes(bits), b""):
        copy.write_bytes(damaged)
        assert make(tmp_path).sha256 == first.sha256
        assert copy.read_bytes() == whole
    assert caplog.text.count("is damaged and will be replaced") == 3


def test_the_accuracy_of_a_cached_classifier_of_version_0_1_is_measured_again(kept, tmp_path):
    cache, first = kept
    (path,) = cache.iterdir()
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "test_accuracy"}
    np.savez(tmp_path / path.name, **arrays)
    again = make(tmp_path)
    assert (again.sha256, again.test_accuracy) == (first.sha256, first.test_accuracy)


def test_a_cache_that_cannot_be_written_costs_no_training(kept, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    assert make(tmp_path / "file" / "cache").sha256 == kept[1].sha256
    assert "cannot be written" in caplog.text


def test_features_are_of_each_picture_alone(kept):
    _, made = kept
    images = sources.load(DATA).batch.real[:300]
    whole = made(images)
    assert (whole.shape, whole.dtype) == ((300, 6), np.float32)
    # In programs of 256, the last filled up: the same program, so the same bits.
    apart = np.concatenate([made(images[:40]), made(images[40:41]), made(images[41:])])
    np.testing.assert_array_equal(apart, whole)
    shared = made(images, jax.local_devices()[:8])
    np.testing.assert_allclose(shared, whole, rtol=1e-5, atol=1e-5)  # sums in another order
    logits = made.logits(whole)
    assert logits.shape == (300, 10)
    np.testing.assert_array_equal(classifier.predict(made, images), logits.argmax(1))
    assert isinstance(made, Extractor)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (PointData("ring"), "'ring' .* got points"),
        (ImageData("folder", path="/nowhere"), "no such file"),
    ],
)
def test_data_without_a_classifier(data, says, tmp_path):
    with pytest.raises(UserError, match=says):
        classifier.load_classifier(data, tmp_path, recipe=TINY, quiet=True)


def test_pictures_of_another_size_are_refused(kept):
    with pytest.raises(
        UserError, match=r"must be \[n, 10, 10, 1\] for digits-classifier, got uint8 \[2, 8, 8, 1\]"
    ):
        kept[1](np.zeros((2, 8, 8, 1), np.uint8))


@pytest.mark.parametrize(
    ("images", "labels", "classes", "says"),
    [
        (np.zeros((4, 8, 8, 1), np.float32), [0, 1, 0, 1], None, "got float32"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], None, r"must be uint8 \[n, h, w, c\]"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0, 1, 0], None, "got 4 and 3"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0, 0, 0, 0], None, "must be 2 to 10000, got 1"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0, 1, 2, 3], 3, "from 0 to 2, got 3"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0.0, 1.0, 0.0, 1.0], None, "must be integers"),
    ],
)
def test_what_cannot_be_trained_on(images, labels, classes, says):
    with pytest.raises(UserError, match=says):
        classifier.train_classifier("any", images, np.asarray(labels), classes=classes, recipe=TINY)


def test_any_sides_channels_and_missing_classes():
    """Of samples some class may be missing; a spectrogram is not square."""
    images = np.random.default_rng(0).integers(0, 256, (40, 13, 22, 3), np.uint8)
    made = classifier.train_classifier(
        "any", images, np.arange(40) % 3, classes=5, recipe=TINY, quiet=True
    )
    assert made.logits(made(images)).shape == (40, 5)


@pytest.mark.parametrize("entries", [(1, 0, 0, 1), (1.1, 0.2, -0.15, 0.93), (0, -1, 1, 0)])
def test_warped_pictures_are_those_of_scipy(entries):
    image = np.random.default_rng(0).random((7, 10, 2), np.float32)
    matrix, middle = np.reshape(entries, (2, 2)), np.array([3.0, 4.5])
    expected = [
        ndimage.affine_transform(
            channel, matrix, middle - matrix @ middle, order=1, mode="grid-constant"
        )
        for channel in np.moveaxis(image, -1, 0)
    ]
    found = warp(jnp.asarray(image), jnp.asarray(matrix, jnp.float32))
    # Places are float32 here: 1e-6 off, between pixels that differ by up to 1.
    np.testing.assert_allclose(found, np.stack(expected, -1), atol=5e-6)


@pytest.mark.parametrize(
    ("labels", "name"),
    [(np.arange(30) % 2, "npz-classifier"), (np.zeros(30, int), "pixels"), (None, "pixels")],
    ids=["labels", "one class", "none"],
)
def test_features_without_a_name(labels, name, tmp_path, monkeypatch):
    """They go by the labels that the set has, whether or not the networks are given them; what is
    loaded already is not loaded again."""
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), np.uint8)
    if labels is None:
        np.savez(tmp_path / "set.npz", images=images)
    else:
        np.savez(tmp_path / "set.npz", images=images, labels=labels)
    data = ImageData("npz", path=str(tmp_path / "set.npz"))
    dataset = sources.load(data)
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(classifier, "RECIPES", {"npz": TINY})
    monkeypatch.setattr(sources, "load", None)
    assert select_features(None, data, dataset=dataset).name == name


def test_of_a_draw_it_is_the_whole_sets(kept, monkeypatch):
    cache, first = kept
    few = dataclasses.replace(DATA, per_class=2, labels=True)
    monkeypatch.setattr(classifier, "fit", None)  # nothing is trained
    found = classifier.load_classifier(
        few, cache, recipe=TINY, dataset=sources.load(few), quiet=True
    )
    assert found.sha256 == first.sha256
    assert sources.describe(few) == "digits train, 2 a class (draw 0)"
    assert sources.describe(DATA) == "digits train"


def test_of_spectrograms_it_is_that_of_their_sounds(tmp_path):
    rng, cache = np.random.default_rng(0), tmp_path / "cache"
    for i in range(8):
        folder = tmp_path / "files" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        wavfile.write(folder / f"{i}.wav", 8000, rng.uniform(-1, 1, 4096).astype(np.float32))
    heard = AudioData("sounds", path=str(tmp_path / "files"), length=4096, rate=8000)
    found = [
        classifier.load_classifier(data, cache, recipe=TINY, dataset=sources.load(data), quiet=True)
        for data in (heard, dataclasses.replace(heard, spectrogram=True))
    ]
    assert found[0].sha256 == found[1].sha256
    assert len(list(cache.iterdir())) == 1


@pytest.mark.nightly
@pytest.mark.usefixtures("optimized")
def test_digits_accuracy(tmp_path):
    made = classifier.load_classifier(ImageData("digits", size=28), tmp_path, quiet=True)
    assert made.test_accuracy >= TARGETS["digits"]


RECORDS = sorted((REPOSITORY / "experiments" / "results").glob("classifiers*.json"))
MEASURED = {
    name: one
    for record in RECORDS
    for name, one in json.loads(record.read_text())["classifiers"].items()
}


@pytest.mark.parametrize("name", MEASURED)
def test_accuracies_on_record(name):
    """Measured by `python -m gan_jax.metrics.features.classifier`; minutes of training each."""
    one = MEASURED[name]
    assert min(one["test_accuracy"]) >= TARGETS[name]
    recipe = dataclasses.asdict(classifier.classifier_recipe(name))
    assert one["recipe"] == json.loads(json.dumps(recipe))  # lists for tuples

"""Feature classifiers: reproducible from a seed, cached and accurate."""

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


def load(cache, seed=0):
    return classifier.load_classifier(DATA, cache, seed, recipe=TINY, quiet=True)


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """(cache folder, the classifier trained into it)."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, load(cache)


def test_a_seed_determines_the_bits(cached, tmp_path):
    cache, first = cached
    retrained = load(tmp_path)
    assert retrained.sha256 == first.sha256
    assert load(tmp_path, seed=1).sha256 != first.sha256
    images = sources.load(DATA).batch.real[:7]
    assert first(images).tobytes() == retrained(images).tobytes()
    assert len(list(tmp_path.iterdir())) == 2
    assert len(list(cache.iterdir())) == 1


def test_the_classifier_is_cached_and_a_damaged_file_is_replaced(
    cached, tmp_path, monkeypatch, caplog
):
    cache, first = cached
    (path,) = cache.iterdir()
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "fit", None)  # nothing is trained
        reloaded = load(tmp_path)
    assert (reloaded.sha256, reloaded.note, reloaded.name) == (first.sha256, first.note, first.name)
    assert reloaded.test_accuracy == first.test_accuracy
    assert first.note == f"test accuracy {first.test_accuracy:.4f}"
    intact = copy.read_bytes()
    flipped = bytearray(intact)
    flipped[len(flipped) // 2] ^= 1
    for damaged in (intact[:500], bytes(flipped), b""):
        copy.write_bytes(damaged)
        assert load(tmp_path).sha256 == first.sha256
        assert copy.read_bytes() == intact
    assert caplog.text.count("is damaged and will be replaced") == 3


def test_the_accuracy_of_a_cached_classifier_of_version_0_1_is_measured_again(cached, tmp_path):
    cache, first = cached
    (path,) = cache.iterdir()
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "test_accuracy"}
    np.savez(tmp_path / path.name, **arrays)
    remeasured = load(tmp_path)
    assert (remeasured.sha256, remeasured.test_accuracy) == (first.sha256, first.test_accuracy)


def test_an_unwritable_cache_does_not_lose_the_classifier(cached, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    assert load(tmp_path / "file" / "cache").sha256 == cached[1].sha256
    assert "cannot be written" in caplog.text


def test_features_of_an_image_do_not_depend_on_the_batch(cached):
    _, trained = cached
    images = sources.load(DATA).batch.real[:300]
    features = trained(images)
    assert (features.shape, features.dtype) == ((300, 6), np.float32)
    # Batches are padded to 256, so that one program computes every batch.
    in_parts = np.concatenate([trained(images[:40]), trained(images[40:41]), trained(images[41:])])
    np.testing.assert_array_equal(in_parts, features)
    on_eight_devices = trained(images, jax.local_devices()[:8])
    # Different summation order.
    np.testing.assert_allclose(on_eight_devices, features, rtol=1e-5, atol=1e-5)
    logits = trained.logits(features)
    assert logits.shape == (300, 10)
    np.testing.assert_array_equal(classifier.predict(trained, images), logits.argmax(1))
    assert isinstance(trained, Extractor)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PointData("ring"), "'ring' .* got points"),
        (ImageData("folder", path="/nowhere"), "no such file"),
    ],
)
def test_data_without_a_classifier_are_rejected(data, message, tmp_path):
    with pytest.raises(UserError, match=message):
        classifier.load_classifier(data, tmp_path, recipe=TINY, quiet=True)


def test_images_of_another_size_are_rejected(cached):
    with pytest.raises(
        UserError, match=r"must be \[n, 10, 10, 1\] for digits-classifier, got uint8 \[2, 8, 8, 1\]"
    ):
        cached[1](np.zeros((2, 8, 8, 1), np.uint8))


@pytest.mark.parametrize(
    ("images", "labels", "classes", "message"),
    [
        (np.zeros((4, 8, 8, 1), np.float32), [0, 1, 0, 1], None, "got float32"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], None, r"must be uint8 \[n, h, w, c\]"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0, 1, 0], None, "got 4 and 3"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0, 0, 0, 0], None, "must be 2 to 10000, got 1"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0, 1, 2, 3], 3, "from 0 to 2, got 3"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0.0, 1.0, 0.0, 1.0], None, "must be integers"),
    ],
)
def test_bad_training_data_are_rejected(images, labels, classes, message):
    with pytest.raises(UserError, match=message):
        classifier.train_classifier("any", images, np.asarray(labels), classes=classes, recipe=TINY)


def test_a_classifier_takes_any_shape_and_missing_classes():
    """Images need not be square, and a class may have no samples."""
    images = np.random.default_rng(0).integers(0, 256, (40, 13, 22, 3), np.uint8)
    trained = classifier.train_classifier(
        "any", images, np.arange(40) % 3, classes=5, recipe=TINY, quiet=True
    )
    assert trained.logits(trained(images)).shape == (40, 5)


@pytest.mark.parametrize("entries", [(1, 0, 0, 1), (1.1, 0.2, -0.15, 0.93), (0, -1, 1, 0)])
def test_warp_equals_scipys_affine_transform(entries):
    image = np.random.default_rng(0).random((7, 10, 2), np.float32)
    matrix, center = np.reshape(entries, (2, 2)), np.array([3.0, 4.5])
    expected = [
        ndimage.affine_transform(
            channel, matrix, center - matrix @ center, order=1, mode="grid-constant"
        )
        for channel in np.moveaxis(image, -1, 0)
    ]
    warped = warp(jnp.asarray(image), jnp.asarray(matrix, jnp.float32))
    # Float32 coordinates are off by 1e-6, between pixels that differ by up to 1.
    np.testing.assert_allclose(warped, np.stack(expected, -1), atol=5e-6)


@pytest.mark.parametrize(
    ("labels", "name"),
    [(np.arange(30) % 2, "npz-classifier"), (np.zeros(30, int), "pixels"), (None, "pixels")],
    ids=["labels", "one class", "none"],
)
def test_default_features_depend_on_the_labels_of_the_data(labels, name, tmp_path, monkeypatch):
    """Features depend on whether the data set has labels; a loaded data set is not reloaded."""
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


def test_a_subset_uses_the_classifier_of_the_whole_data_set(cached, monkeypatch):
    cache, first = cached
    subset = dataclasses.replace(DATA, per_class=2, labels=True)
    monkeypatch.setattr(classifier, "fit", None)  # nothing is trained
    loaded = classifier.load_classifier(
        subset, cache, recipe=TINY, dataset=sources.load(subset), quiet=True
    )
    assert loaded.sha256 == first.sha256
    assert sources.describe(subset) == "digits train, 2 a class (draw 0)"
    assert sources.describe(DATA) == "digits train"


def test_spectrograms_use_the_classifier_of_their_waveforms(tmp_path):
    rng, cache = np.random.default_rng(0), tmp_path / "cache"
    for i in range(8):
        folder = tmp_path / "files" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        wavfile.write(folder / f"{i}.wav", 8000, rng.uniform(-1, 1, 4096).astype(np.float32))
    waveforms = AudioData("sounds", path=str(tmp_path / "files"), length=4096, rate=8000)
    classifiers = [
        classifier.load_classifier(data, cache, recipe=TINY, dataset=sources.load(data), quiet=True)
        for data in (waveforms, dataclasses.replace(waveforms, spectrogram=True))
    ]
    assert classifiers[0].sha256 == classifiers[1].sha256
    assert len(list(cache.iterdir())) == 1


@pytest.mark.nightly
@pytest.mark.usefixtures("optimized")
def test_the_digits_classifier_reaches_its_target_accuracy(tmp_path):
    trained = classifier.load_classifier(ImageData("digits", size=28), tmp_path, quiet=True)
    assert trained.test_accuracy >= TARGETS["digits"]


RECORDS = sorted((REPOSITORY / "experiments" / "results").glob("classifiers*.json"))
MEASURED = {
    name: entry
    for record in RECORDS
    for name, entry in json.loads(record.read_text())["classifiers"].items()
}


@pytest.mark.parametrize("name", MEASURED)
def test_recorded_accuracies_reach_their_targets(name):
    """Accuracies measured by `python -m gan_jax.metrics.features.classifier`, in minutes each."""
    record = MEASURED[name]
    assert min(record["test_accuracy"]) >= TARGETS[name]
    recipe = dataclasses.asdict(classifier.classifier_recipe(name))
    assert record["recipe"] == json.loads(json.dumps(recipe))  # lists for tuples

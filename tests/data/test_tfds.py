"""Image data sets prepared by tensorflow-datasets, read without TensorFlow."""

import dataclasses
import io
import shutil
import types

import numpy as np
import pytest
import tensorflow_datasets
from PIL import Image

from gan_jax.config import ImageData
from gan_jax.data import sources
from gan_jax.data.images import tfds
from tests.helpers import small

SETS = [
    # MNIST is not balanced: counts of LeCun et al.
    ("mnist", (10000, 28, 28, 1), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ("fashion_mnist", (10000, 28, 28, 1), [1000] * 10),
    ("cifar10_jpeg75", (10000, 32, 32, 3), [1000] * 10),
]


@pytest.mark.parametrize(("name", "shape", "classes"), SETS)
def test_prepared_data_sets_are_read(tfds_dir, name, shape, classes):
    real, labels = tfds.read(ImageData(name, "test", dir=str(tfds_dir)))
    assert (real.shape, real.dtype) == (shape, np.uint8)
    assert (labels.shape, labels.dtype) == (shape[:1], np.int32)
    assert list(np.bincount(labels)) == classes


def test_stacked_mnist_is_three_digits_and_their_number(tfds_dir):
    data = ImageData("stacked_mnist", "test", dir=str(tfds_dir), labels=True)
    stacked = sources.load(data)
    real, labels = stacked.batch.real, stacked.batch.cond
    assert (real.shape, real.dtype) == ((10000, 28, 28, 3), np.uint8)
    digits, classes = tfds.read(dataclasses.replace(data, name="mnist"))
    label_of = {digit.tobytes(): label for digit, label in zip(digits, classes, strict=True)}
    for image, label in zip(real[:200], labels, strict=False):
        digit_labels = [label_of[image[..., channel].tobytes()] for channel in range(3)]
        assert label == 100 * digit_labels[0] + 10 * digit_labels[1] + digit_labels[2]
    # 10,000 samples leave a fraction of 5e-5 of 1000 equally likely modes empty.
    assert len(np.unique(labels)) >= 998
    assert sources.load(data).fingerprint == stacked.fingerprint


@pytest.mark.parametrize("name", ["mnist", "cifar10_jpeg75"])
def test_pixels_and_order_equal_those_of_tfds(tfds_dir, name):
    source = tensorflow_datasets.data_source(name, split="test[:50]", data_dir=tfds_dir)
    real, labels = tfds.read(ImageData(name, "test[:50]", dir=str(tfds_dir)))
    np.testing.assert_array_equal(real, np.stack([example["image"] for example in source]))
    np.testing.assert_array_equal(labels, [example["label"] for example in source])


def test_all_blocks_of_records_are_read(tfds_dir, monkeypatch):
    data = ImageData("mnist", "test[:50]", dir=str(tfds_dir))
    dataset = sources.load(data)
    monkeypatch.setattr(tfds, "BLOCK", 7)
    assert sources.load(data).fingerprint == dataset.fingerprint


def test_the_data_directory_may_come_from_the_environment(tfds_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_dir))
    dataset = sources.load(ImageData("cifar10_jpeg75", "test[:3]+train[-2:]", size=16, channels=1))
    assert dataset.batch.real.shape == (5, 16, 16, 1)


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("mnist", "valid", "'valid'"),
        ("mnist", "test[:0]", "'test[:0]'"),
        ("mnist:9.9.9", "test", "9.9.9"),
        ("minst", "test", "data set 'minst' is not in"),
        ("", "test", "data set ''"),
        ("..", "test", "data set '..'"),
    ],
)
def test_unknown_names_and_splits_are_rejected(tfds_dir, name, split, message):
    small.refused(ImageData(name, split, dir=str(tfds_dir)), message, str(tfds_dir))


@pytest.mark.parametrize("path", ["nowhere", "~no_such_user_at_all", "a" * 5000])
def test_a_missing_data_directory_is_rejected(path):
    small.refused(ImageData("mnist", dir=path), path)


def test_the_error_for_a_missing_data_set_names_the_command(tmp_path):
    small.refused(
        ImageData("mnist", dir=str(tmp_path)), "`tfds build mnist --file_format=array_record`"
    )


def test_an_unprepared_data_set_is_not_downloaded(tmp_path):
    (tmp_path / "mnist").mkdir()
    small.refused(ImageData("mnist", dir=str(tmp_path)), "data set 'mnist', split 'train'")
    assert not list((tmp_path / "mnist").iterdir())


def test_a_damaged_data_set_is_rejected(tfds_dir, tmp_path):
    shutil.copytree(
        tfds_dir / "mnist", tmp_path / "mnist", ignore=shutil.ignore_patterns("*train*")
    )
    (records,) = tmp_path.rglob("*-test.array_record*")
    contents = records.read_bytes()
    middle = len(contents) // 2
    records.write_bytes(contents[:middle] + bytes(64) + contents[middle + 64 :])
    small.refused(ImageData("mnist", "test", dir=str(tmp_path)), "data set 'mnist', split 'test'")


# --- other features; TFDS's mock_data cannot return encoded images without TensorFlow ---


def encoded(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"image": file.getvalue()}


class FakeBuilder(list):
    """A builder and its data source, with three copies of one example."""

    def __getitems__(self, indices):
        return [self[i] for i in indices]

    def as_data_source(self, split, decoders):
        assert (split, set(decoders)) == ("train", {"image"})
        return self


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Return a function that replaces the builder of TFDS and returns the data config."""

    def prepare(image, kind=None, shape=(None, None, 3), dtype=np.uint8, label=0):
        features = {"image": tensorflow_datasets.features.Image(shape=shape, dtype=dtype)}
        features |= {"label": kind} if kind else {}
        builder = FakeBuilder([{**encoded(image), "label": label}] * 3)
        builder.info = types.SimpleNamespace(features=features, full_name="set/1.0.0")
        monkeypatch.setattr(tensorflow_datasets, "builder", lambda name, data_dir: builder)
        return ImageData("set", dir=str(tmp_path))

    (tmp_path / "set").mkdir()
    return prepare


CLASS = tensorflow_datasets.features.ClassLabel(num_classes=3)
TEXT = tensorflow_datasets.features.Text()
RED = Image.new("RGB", (4, 3), "red")


@pytest.mark.parametrize(
    ("kind", "label", "expected"),
    [(CLASS, 2, [2, 2, 2]), (CLASS, -1, None), (TEXT, b"cat", None), (None, 2, None)],
)
def test_only_valid_class_labels_are_read(prepared, kind, label, expected):
    real, labels = tfds.read(prepared(RED, kind, label=label))
    np.testing.assert_array_equal(real, np.broadcast_to(np.uint8([255, 0, 0]), (3, 3, 4, 3)))
    assert (labels if labels is None else list(labels)) == expected


@pytest.mark.parametrize(
    ("image", "channels", "pixel"),
    [
        (RED.convert("P"), 3, [255, 0, 0]),
        (RED.convert("L"), 3, [76, 76, 76]),
        (RED.convert("L"), 1, [76]),
        (RED, 1, [76]),
    ],
)
def test_images_of_every_mode_are_decoded(prepared, image, channels, pixel):
    real, _ = tfds.read(prepared(image, shape=(3, 4, channels)))
    np.testing.assert_array_equal(real, np.broadcast_to(np.uint8(pixel), (3, 3, 4, channels)))


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [((3, 4, 4), np.uint8, "uint8 (3, 4, 4)"), ((3, 4, 1), np.uint16, "uint16 (3, 4, 1)")],
)
def test_other_pixels_are_rejected(prepared, shape, dtype, message):
    small.refused(prepared(RED, shape=shape, dtype=dtype), message, "uint8 of 1 or 3 channels")


def test_images_of_several_sizes_are_resized_to_one(prepared):
    data = prepared(RED)
    tensorflow_datasets.builder("set", None)[0] = encoded(RED.resize((5, 5)))
    assert sources.load(data).batch.real.shape == (3, 3, 3, 3)
    assert sources.load(dataclasses.replace(data, size=2)).batch.real.shape == (3, 2, 2, 3)

"""Image sets that tensorflow-datasets has prepared, read without TensorFlow."""

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
    # MNIST is not balanced: LeCun's counts.
    ("mnist", (10000, 28, 28, 1), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ("fashion_mnist", (10000, 28, 28, 1), [1000] * 10),
    ("cifar10_jpeg75", (10000, 32, 32, 3), [1000] * 10),
]


@pytest.mark.parametrize(("name", "shape", "classes"), SETS)
def test_prepared_sets(tfds_dir, name, shape, classes):
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
    place = {digit.tobytes(): label for digit, label in zip(digits, classes, strict=True)}
    for picture, label in zip(real[:200], labels, strict=False):
        each = [place[picture[..., channel].tobytes()] for channel in range(3)]
        assert label == 100 * each[0] + 10 * each[1] + each[2]
    # 10,000 draws of 1000 modes: 5e-5 of them are expected to stay empty, were all equally likely.
    assert len(np.unique(labels)) >= 998
    assert sources.load(data).fingerprint == stacked.fingerprint


@pytest.mark.parametrize("name", ["mnist", "cifar10_jpeg75"])
def test_pixels_and_order_are_those_of_tfds(tfds_dir, name):
    source = tensorflow_datasets.data_source(name, split="test[:50]", data_dir=tfds_dir)
    real, labels = tfds.read(ImageData(name, "test[:50]", dir=str(tfds_dir)))
    np.testing.assert_array_equal(real, np.stack([example["image"] for example in source]))
    np.testing.assert_array_equal(labels, [example["label"] for example in source])


def test_blocks_of_records_are_all_read(tfds_dir, monkeypatch):
    data = ImageData("mnist", "test[:50]", dir=str(tfds_dir))
    whole = sources.load(data)
    monkeypatch.setattr(tfds, "BLOCK", 7)
    assert sources.load(data).fingerprint == whole.fingerprint


def test_the_data_directory_may_come_from_the_environment(tfds_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_dir))
    dataset = sources.load(ImageData("cifar10_jpeg75", "test[:3]+train[-2:]", size=16, channels=1))
    assert dataset.batch.real.shape == (5, 16, 16, 1)


@pytest.mark.parametrize(
    ("name", "split", "said"),
    [
        ("mnist", "valid", "'valid'"),
        ("mnist", "test[:0]", "'test[:0]'"),
        ("mnist:9.9.9", "test", "9.9.9"),
        ("minst", "test", "data set 'minst' is not in"),
        ("", "test", "data set ''"),
        ("..", "test", "data set '..'"),
    ],
)
def test_what_tfds_cannot_give_is_refused(tfds_dir, name, split, said):
    small.refused(ImageData(name, split, dir=str(tfds_dir)), said, str(tfds_dir))


@pytest.mark.parametrize("path", ["nowhere", "~no_such_user_at_all", "a" * 5000])
def test_a_data_directory_that_is_not_there_is_refused(path):
    small.refused(ImageData("mnist", dir=path), path)


def test_a_missing_set_says_what_prepares_it(tmp_path):
    small.refused(
        ImageData("mnist", dir=str(tmp_path)), "`tfds build mnist --file_format=array_record`"
    )


def test_a_set_that_is_not_prepared_is_not_downloaded(tmp_path):
    (tmp_path / "mnist").mkdir()
    small.refused(ImageData("mnist", dir=str(tmp_path)), "data set 'mnist', split 'train'")
    assert not list((tmp_path / "mnist").iterdir())


def test_a_damaged_set_is_refused(tfds_dir, tmp_path):
    shutil.copytree(
        tfds_dir / "mnist", tmp_path / "mnist", ignore=shutil.ignore_patterns("*train*")
    )
    (records,) = tmp_path.rglob("*-test.array_record*")
    whole = records.read_bytes()
    at = len(whole) // 2
    records.write_bytes(whole[:at] + bytes(64) + whole[at + 64 :])
    small.refused(ImageData("mnist", "test", dir=str(tmp_path)), "data set 'mnist', split 'test'")


# --- sets of other kinds; TFDS's own mock_data cannot leave pictures encoded without TensorFlow ---


def encoded(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"image": file.getvalue()}


class Prepared(list):
    """Three times the same example, as a builder and as its source."""

    def __getitems__(self, places):
        return [self[i] for i in places]

    def as_data_source(self, split, decoders):
        assert (split, set(decoders)) == ("train", {"image"})
        return self


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    def prepare(image, kind=None, shape=(None, None, 3), dtype=np.uint8, label=0):
        features = {"image": tensorflow_datasets.features.Image(shape=shape, dtype=dtype)}
        features |= {"label": kind} if kind else {}
        builder = Prepared([{**encoded(image), "label": label}] * 3)
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
def test_labels_are_known_classes(prepared, kind, label, expected):
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
def test_pictures_are_stored_in_any_mode(prepared, image, channels, pixel):
    real, _ = tfds.read(prepared(image, shape=(3, 4, channels)))
    np.testing.assert_array_equal(real, np.broadcast_to(np.uint8(pixel), (3, 3, 4, channels)))


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [((3, 4, 4), np.uint8, "uint8 (3, 4, 4)"), ((3, 4, 1), np.uint16, "uint16 (3, 4, 1)")],
)
def test_other_pixels_are_refused(prepared, shape, dtype, said):
    small.refused(prepared(RED, shape=shape, dtype=dtype), said, "uint8 of 1 or 3 channels")


def test_pictures_of_several_sizes_become_one(prepared):
    data = prepared(RED)
    tensorflow_datasets.builder("set", None)[0] = encoded(RED.resize((5, 5)))
    assert sources.load(data).batch.real.shape == (3, 3, 3, 3)
    assert sources.load(dataclasses.replace(data, size=2)).batch.real.shape == (3, 2, 2, 3)

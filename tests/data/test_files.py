"""User-supplied npz and idx files: arrays, and one-line errors for bad files and paths."""

import dataclasses
import gzip
import io
import struct

import jax
import numpy as np
import pytest

from gan_jax.config import ImageData, Logging
from gan_jax.config.validation import validate_logging
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.images import files
from gan_jax.inference import sampling
from gan_jax.networks import unet
from gan_jax.runs.restore import restore
from gan_jax.training.state import generator_variables
from tests.helpers import small

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
POINTS = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize("name", ["folder", "npz", "idx"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        (None, "needs --data.path"),
        ("nowhere", "data.path is 'nowhere': there is no such file or folder"),
        ("~no_such_user_at_all/x", "data.path is '~no_such_user_at_all/x': "),
        ("a" * 5000, "File name too long"),
        ("a\0b", r"data.path is 'a\x00b': "),
    ],
    ids=lambda value: str(value)[:20],
)
def test_missing_and_invalid_paths_are_rejected(name, path, message):
    small.refused(ImageData(name, path=path), message)


# --- npz ---


@pytest.mark.parametrize(
    ("arrays", "shape", "dtype"),
    [
        ({"images": PIXELS}, (2, 3, 4, 1), np.uint8),
        ({"x": PIXELS[..., None], "other": POINTS}, (2, 3, 4, 1), np.uint8),
        ({"anything": PIXELS[None]}, (1, 2, 3, 4), np.uint8),
        ({"images": POINTS, "x": PIXELS}, (3, 2), np.float32),
        ({"x": POINTS.astype(np.float16)}, (3, 2), np.float32),
        ({"x": POINTS.astype(">f8"), "labels": np.array([2, 0, 1], np.uint8)}, (3, 2), np.float32),
        ({"a": POINTS, "y": np.array([2, 0, 1])}, (3, 2), np.float32),
    ],
)
@pytest.mark.parametrize("save_npz", [np.savez, np.savez_compressed])
def test_npz_arrays_are_loaded(tmp_path, arrays, shape, dtype, save_npz):
    save_npz(tmp_path / "a.npz", **arrays)
    real, labels = files.load_npz(ImageData("npz", path=str(tmp_path / "a.npz")))
    assert (real.shape, real.dtype) == (shape, dtype)
    if {"labels", "y"} & set(arrays):
        assert (list(labels), labels.dtype) == ([2, 0, 1], np.int32)
    else:
        assert labels is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.array([{}, None])}, "Object arrays cannot be loaded"),
        ({"a": PIXELS, "b": PIXELS}, "an array 'images' or 'x', got ['a', 'b']"),
        ({"labels": np.arange(2)}, "an array 'images' or 'x', got []"),
        ({}, "an array 'images' or 'x', got []"),
        (
            {"x": PIXELS.astype(np.int64)},
            "must be uint8 [n, h, w] or [n, h, w, c], or floats [n, d]",
        ),
        ({"x": PIXELS.astype(float)}, "float64 [2, 3, 4]"),
        ({"x": PIXELS > 3}, "bool [2, 3, 4]"),
        ({"x": PIXELS[0]}, "uint8 [3, 4]"),
        ({"x": np.float32(3)}, "float32 []"),
        ({"x": np.array(["a"])}, "[1]"),
        ({"x": POINTS * 1j}, "complex128 [3, 2]"),
        ({"x": PIXELS[:, :0]}, "uint8 [2, 0, 4]"),
        ({"x": POINTS[:, :0]}, "float64 [3, 0]"),
        ({"x": np.array([[0, np.nan]])}, "finite as float32"),
        ({"x": np.array([[0, 1e300]])}, "finite as float32"),
        ({"x": PIXELS[:0]}, "'npz' has no examples"),
        (
            {"x": PIXELS, "y": np.arange(3)},
            "labels must be 2 integers from 0 to 2^31 - 1, got int64 [3]",
        ),
        (
            {"x": PIXELS, "y": np.eye(2)},
            "labels must be 2 integers from 0 to 2^31 - 1, got float64 [2, 2]",
        ),
        ({"x": PIXELS, "y": np.array([0, -1])}, "from 0 to 2^31 - 1"),
        ({"x": PIXELS, "y": np.array([0, 2**31])}, "from 0 to 2^31 - 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
def test_invalid_npz_arrays_are_rejected(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    small.refused(ImageData("npz", path=str(tmp_path / "a.npz"), size=2), message)


@pytest.mark.parametrize("damage", ["empty", "text", "half", "npy", "bit", "folder"])
def test_damaged_npz_files_are_rejected(tmp_path, damage):
    path, archive = tmp_path / "a.npz", io.BytesIO()
    np.savez_compressed(archive, x=PIXELS)
    archive = archive.getvalue()
    middle = len(archive) // 2  # in the compressed data
    npy = io.BytesIO()
    np.save(npy, PIXELS)
    contents = {
        "empty": b"",
        "text": b"hello\n",
        "half": archive[: len(archive) // 2],
        "npy": npy.getvalue(),
        "bit": archive[:middle] + bytes([archive[middle] ^ 4]) + archive[middle + 1 :],
    }
    path.write_bytes(contents[damage]) if damage in contents else path.mkdir()
    small.refused(ImageData("npz", path=str(path)), f"{path}: not a readable npz file: ")


# --- idx ---


def to_idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("prefix", "split", "labeled"),
    [
        ("train", "train", True),
        ("t10k", "test", True),
        ("test", "test", False),
        ("mine", "mine", True),
    ],
)
def test_idx_arrays_are_loaded(tmp_path, compress, prefix, split, labeled):
    suffix = ".gz" if compress is gzip.compress else ""
    (tmp_path / f"{prefix}-images-idx3-ubyte{suffix}").write_bytes(compress(to_idx(PIXELS)))
    if labeled:
        path = tmp_path / f"{prefix}-labels-idx1-ubyte{suffix}"
        path.write_bytes(compress(to_idx(np.array([7, 255], np.uint8))))
    real, labels = files.load_idx(ImageData("idx", split, path=str(tmp_path)))
    np.testing.assert_array_equal(real, PIXELS[..., None])
    assert real.dtype == np.uint8
    if labeled:
        assert (list(labels), labels.dtype) == ([7, 255], np.int32)
    else:
        assert labels is None


IMAGES, LABELS = to_idx(PIXELS), to_idx(np.array([1, 2], np.uint8))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (None, LABELS, "must contain train-images-idx3-ubyte, plain or .gz"),
        (b"", LABELS, "images-idx3-ubyte: not a readable idx file: "),
        (IMAGES[:9], LABELS, "images-idx3-ubyte: not a readable idx file: "),
        (IMAGES[:-1], LABELS, "idx of shape [2, 3, 4] must have 24 bytes, got 23"),
        (IMAGES + b"x", LABELS, "idx of shape [2, 3, 4] must have 24 bytes, got more"),
        (
            b"\0\0\x0d\3" + IMAGES[4:],
            LABELS,
            "must start with 00000801 to 00000804, got 00000d03",
        ),
        (b"\1\0\x08\3" + IMAGES[4:], LABELS, "got 01000803"),
        (b"\0\0\x08\0", LABELS, "got 00000800"),
        (b"\x89PNG\r\n\x1a\n", LABELS, "got 89504e47"),
        (to_idx(PIXELS)[:4] + b"\xff" * 12 + b"abc", LABELS, "its header claims"),
        (LABELS, LABELS, "[n, d] that are finite as float32, got uint8 [2]"),
        (to_idx(PIXELS[:0]), None, "'idx' has no examples"),
        (to_idx(PIXELS[:, :0]), LABELS, "uint8 [2, 0, 4]"),
        (IMAGES, IMAGES, "labels must be 2 integers from 0 to 2^31 - 1, got uint8 [2, 3, 4]"),
        (
            IMAGES,
            to_idx(np.zeros(3, np.uint8)),
            "labels must be 2 integers from 0 to 2^31 - 1, got uint8 [3]",
        ),
        (IMAGES, LABELS[:-1], "labels-idx1-ubyte: idx of shape [2] must have 2 bytes"),
    ],
)
def test_invalid_idx_files_are_rejected(tmp_path, images, labels, message):
    for part, contents in (("images-idx3", images), ("labels-idx1", labels)):
        if contents is not None:
            (tmp_path / f"train-{part}-ubyte").write_bytes(contents)
    small.refused(ImageData("idx", path=str(tmp_path)), message)


COMPRESSED = gzip.compress(IMAGES)


DAMAGED = {
    "empty": b"",
    "not compressed": IMAGES,
    "truncated": COMPRESSED[:-12],
    "header": COMPRESSED[:12],
    "garbled": COMPRESSED[:15] + b"\xff\xff\xff" + COMPRESSED[18:],
    "checksum": COMPRESSED[:-8] + bytes(8),
}


@pytest.mark.parametrize("contents", DAMAGED.values(), ids=DAMAGED)
def test_damaged_gz_is_rejected(tmp_path, contents):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(contents)
    small.refused(ImageData("idx", path=str(tmp_path)), f"{path}: not a readable idx file: ")


def test_idx_requires_a_folder(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(IMAGES)
    small.refused(
        ImageData("idx", path=str(path)),
        f"{path} must contain train-images-idx3-ubyte, plain or .gz",
    )


# --- conditions in npz files ---

MAPS = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
CONDS = {"x": MAPS, "y": np.arange(3), "map": MAPS[::-1], "age": np.arange(3), "pose": np.eye(3)}


def test_npz_arrays_as_conditions(tmp_path):
    np.savez(tmp_path / "a.npz", **CONDS)
    data = ImageData("npz", path=str(tmp_path / "a.npz"), cond=("map", "age", "pose"), labels=True)
    dataset = sources.load(data)
    shapes = {name: (leaf.shape, leaf.dtype) for name, leaf in dataset.batch.cond.items()}
    assert shapes == {
        "map": ((3, 8, 8, 1), np.uint8),
        "age": ((3, 1), np.float32),
        "pose": ((3, 3), np.float32),
        "labels": ((3,), np.int32),
    }
    cond = sources.dummy_examples(dataset, 5).cond
    assert (cond["map"].shape, cond["map"].dtype) == ((5, 8, 8, 1), np.float32)
    other = sources.load(dataclasses.replace(data, cond=("map", "age")))
    assert other.fingerprint != dataset.fingerprint


@pytest.mark.parametrize(
    ("changes", "cond", "message"),
    [
        ({}, ("maps",), "got 'maps'"),
        ({"age": np.arange(2)}, ("age",), "'age' must have 3 examples, got 2"),
        ({"age": np.array(["a", "b", "c"])}, ("age",), "arrays must be uint8"),
        ({"age": np.array([0, np.nan, 1])}, ("age",), "finite"),
    ],
)
def test_invalid_npz_conditions_are_rejected(tmp_path, changes, cond, message):
    np.savez(tmp_path / "a.npz", **{**CONDS, **changes})
    small.refused(ImageData("npz", path=str(tmp_path / "a.npz"), cond=cond), message)
    small.refused(ImageData("digits", cond=("map",)), "other than 'npz', got ('map',)")


def test_a_run_on_pairs_of_images(tmp_path):
    """Train a U-Net conditioned on an image, a number and a label, and restore the run."""
    np.savez(tmp_path / "a.npz", **CONDS)
    fields = {"size": 8, "widths": (4, 2), "blocks": (1, 1), "cardinality": (1, 1), "classes": 3}
    config = small.config(
        gen=unet.Generator(**fields),
        disc=unet.Discriminator(**fields),
        data=ImageData("npz", path=str(tmp_path / "a.npz"), cond=("map", "age"), labels=True),
        steps=1,
    )
    folder = tmp_path / "run"
    state = small.fit(config, folder)
    small.assert_same_bits(restore(folder)[2], state)
    assert (folder / "samples" / "step_00000001.png").exists()
    with pytest.raises(UserError, match="is conditioned on"):
        sampling.sample(config, generator_variables(state), jax.random.key(0), 2)
    with pytest.raises(UserError, match="score_every"):
        validate_logging(config, Logging(score_every=5))

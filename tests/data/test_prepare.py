"""Prepared data sets: contents, omitted files, and resuming after interruptions."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from gan_jax.cli import app
from gan_jax.config import ImageData
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.images import pixels, prepare
from gan_jax.data.images.shards import PreparedImages
from tests.helpers import small

RANDOM = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path):
    """Create twelve images of two classes, among them gray, odd-sized and broken ones."""
    root = tmp_path / "pictures"
    for i in range(12):
        (root / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        shape = {3: (9, 13, 3), 6: (8, 8), 7: (5, 5, 3)}.get(i, (8, 8, 3))
        pixels = RANDOM.integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(root / "ab"[i % 2] / f"{i:02d}.png")
    contents = (root / "a" / "04.png").read_bytes()
    (root / "a" / "04.png").write_bytes(contents[:60])  # the header is complete
    (root / "b" / "05.png").write_text("no picture")
    return root


def prepare_folder(source, out, **options):
    """Prepare a folder and load the prepared data set."""
    data = ImageData("folder", path=str(source), size=options.pop("size", 8))
    prepare.prepare(data, out, shard_size=options.pop("shard", 5), **options)
    return sources.load(ImageData("prepared", path=str(out), labels=True))


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.mark.parametrize("form", ["png", "raw"])
def test_a_prepared_data_set_equals_its_folder(folder, tmp_path, form):
    dataset = prepare_folder(folder, tmp_path / "out", image_format=form)
    expected = sources.load(ImageData("folder", path=str(folder), size=8, labels=True))
    assert isinstance(dataset.batch.real, PreparedImages)
    assert dataset.batch.real.shape == (10, 8, 8, 3)
    assert dataset.batch.real.nbytes == expected.batch.real.nbytes
    np.testing.assert_array_equal(np.asarray(dataset.batch.real), expected.batch.real)
    np.testing.assert_array_equal(dataset.batch.cond, expected.batch.cond)


def test_a_shard_may_have_only_broken_images(folder, tmp_path):
    dataset = prepare_folder(folder, tmp_path / "out", shard=1)
    expected = sources.load(ImageData("folder", path=str(folder), size=8, labels=True))
    np.testing.assert_array_equal(dataset.batch.cond, expected.batch.cond)


def test_unusual_images_are_reported_without_errors(command, folder, tmp_path):
    arguments = f"prepare {folder} --size 8 --shard 5 --out {tmp_path / 'out'}"
    status, output, _ = command(app.main, arguments)
    assert status == 0
    assert "10 of 12 images, 8 x 8 x 3; 1 were gray" in output
    assert "1 cropped to a square, 1 enlarged" in output
    assert "2 omitted" in output
    report = json.loads((tmp_path / "out" / "prepared.json").read_text())["report"]
    assert [name for name, _ in report["left_out"]] == ["a/04.png", "b/05.png"]
    assert command(app.main, arguments)[:2] == (0, output)  # a second call has nothing to do


@pytest.mark.parametrize("end", range(4))
def test_an_interrupted_preparation_resumes_to_the_same_bytes(folder, tmp_path, end, monkeypatch):
    prepare_folder(folder, tmp_path / "whole")
    write, written = prepare._write_shard, []

    def interrupt(*args):
        if len(written) == end:
            path = args[2]
            path.with_name(path.name + ".part").write_bytes(b"half of it")
            raise KeyboardInterrupt
        written.append(1)
        return write(*args)

    monkeypatch.setattr(prepare, "_write_shard", interrupt)
    if end < 3:
        with pytest.raises(KeyboardInterrupt):
            prepare_folder(folder, tmp_path / "cut")
        with pytest.raises(UserError, match=r"not a prepared set: it has no prepared\.json"):
            sources.load(ImageData("prepared", path=str(tmp_path / "cut")))
    before = digests(tmp_path / "cut") if end < 3 else {}
    monkeypatch.setattr(prepare, "_write_shard", write)
    prepare_folder(folder, tmp_path / "cut")
    after = digests(tmp_path / "cut")
    assert after == digests(tmp_path / "whole")
    unchanged = [name for name in before if name.endswith("array_record")]
    assert len(unchanged) == (end if end < 3 else 0)
    assert all(before[name] == after[name] for name in unchanged)


def test_the_fingerprint_depends_on_pixels_size_and_format(folder, tmp_path):
    datasets = [
        prepare_folder(folder, tmp_path / "a"),
        prepare_folder(folder, tmp_path / "raw", image_format="raw"),
        prepare_folder(folder, tmp_path / "size", size=7),
        sources.load(ImageData("prepared", path=str(tmp_path / "a"), size=4, labels=True)),
        sources.load(ImageData("prepared", path=str(tmp_path / "a"), channels=1, labels=True)),
        sources.load(ImageData("prepared", path=str(tmp_path / "a"))),
    ]
    with Image.open(folder / "a" / "00.png") as image:
        pixels = np.array(image)
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(folder / "a" / "00.png")
    datasets.append(prepare_folder(folder, tmp_path / "b"))
    assert len({dataset.fingerprint for dataset in datasets}) == len(datasets)
    shutil.copytree(tmp_path / "a", tmp_path / "moved")
    moved = sources.load(ImageData("prepared", path=str(tmp_path / "moved"), labels=True))
    assert moved.fingerprint == datasets[0].fingerprint


@pytest.mark.parametrize("changes", [{"size": 5}, {"channels": 1}, {"per_class": 2}])
def test_data_fields_convert_a_prepared_data_set(folder, tmp_path, changes):
    prepare_folder(folder, tmp_path / "out")
    data = ImageData("prepared", path=str(tmp_path / "out"), labels=True, **changes)
    batch = sources.load(data).batch
    as_folder = ImageData("folder", path=str(folder), size=8, labels=True)
    in_memory = sources.load(as_folder)
    if "per_class" in changes:
        np.testing.assert_array_equal(batch.real, sources.subsample(in_memory, data).batch.real)
    else:
        expected = pixels.conform(in_memory.batch.real, data)
        np.testing.assert_array_equal(np.asarray(batch.real), expected)


def test_images_are_read_with_any_index(folder, tmp_path):
    real = prepare_folder(folder, tmp_path / "out").batch.real
    array = np.asarray(real)
    for index in (0, -1, slice(2, 9, 3), np.array([[1, 9], [0, 5]]), array[:, 0, 0, 0] > 99):
        np.testing.assert_array_equal(real[index], array[index])
    for index in (10, -11, np.array([0, 10])):
        with pytest.raises(IndexError, match="within 10 images"):
            real[index]


def test_a_tfds_data_set_can_be_prepared(tfds_dir, tmp_path):
    data = ImageData("mnist", "test[:250]", dir=str(tfds_dir))
    prepare.prepare(data, tmp_path / "out", shard_size=100)
    prepared = sources.load(
        ImageData("prepared", "test[:250]", path=str(tmp_path / "out"), labels=True)
    )
    expected = sources.load(dataclasses.replace(data, labels=True))
    np.testing.assert_array_equal(np.asarray(prepared.batch.real), expected.batch.real)
    np.testing.assert_array_equal(prepared.batch.cond, expected.batch.cond)


def damage(out, name):
    """Damage one file of a prepared data set."""
    path, info = out / "shard-00001.array_record", json.loads((out / "prepared.json").read_text())
    if name == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif name == "gone":
        path.unlink()
    elif name == "flipped":
        raw = bytearray(path.read_bytes())
        raw[200] ^= 1
        path.write_bytes(raw)
    elif name == "labels":
        (out / "labels.npy").write_bytes((out / "labels.npy").read_bytes()[:-4])
    elif name == "pickle":
        np.save(out / "labels.npy", np.array([{}] * 10, object), allow_pickle=True)
    elif name == "huge":
        (out / "prepared.json").write_text(json.dumps(info | {"shape": [2**20, 2**20, 3]}))
    elif name == "others":
        path.write_bytes((out / "shard-00000.array_record").read_bytes())
    elif name == "json":
        (out / "prepared.json").write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cut", "shard-00001.array_record is damaged: must have"),
        ("gone", "shard-00001.array_record: No such file"),
        ("flipped", "cannot be read"),
        ("labels", "labels.npy is damaged"),
        ("pickle", "labels.npy is damaged"),
        ("huge", "pixels of 1 or 3 channels, got [1048576"),
        ("json", "prepared.json is damaged: it is nested too deeply"),
    ],
)
def test_damaged_files_are_named(folder, tmp_path, name, message):
    prepare_folder(folder, tmp_path / "out")
    damage(tmp_path / "out", name)
    with pytest.raises(UserError) as error:
        np.asarray(sources.load(ImageData("prepared", path=str(tmp_path / "out"))).batch.real)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{folder} --out {out} --format jpg", "format must be one of png, raw, got 'jpg'"),
        ("{folder} --out {out} --size 0", "data.size must be at least 1, got 0"),
        ("{folder} --out {folder}", "out must be empty or a partly prepared set"),
        ("{folder} --out {out} --size 6", "another set: shape is [8, 8, 3], not [6, 6, 3]"),
        ("digits --split all --out {out}", "another set: source is 'folder', not 'digits'"),
        ("ring --out {out}2", "data.name must be an image data set with ImageData, got 'ring'"),
        ("{empty} --size 8 --out {out}2", "no readable image"),
        ("nowhere --out {out}2", "data set 'nowhere' is not in"),
    ],
)
def test_errors_are_one_line(command, folder, tmp_path, arguments, message):
    prepare_folder(folder, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    paths = {"folder": folder, "out": tmp_path / "out", "empty": tmp_path / "empty"}
    status, _, error = command(app.main, "prepare", arguments.format(**paths))
    assert (status, error.count("\n")) == (2, 1)
    assert message in error


def test_a_split_other_than_the_prepared_one_is_rejected(folder, tmp_path):
    prepare_folder(folder, tmp_path / "out")
    data = ImageData("prepared", "test", path=str(tmp_path / "out"))
    small.refused(data, "got 'test'", "give --data.split train")


def test_concurrent_preparation_into_one_folder_is_rejected(folder, tmp_path):
    (tmp_path / "out").mkdir()
    with prepare.locking.lock_folder(tmp_path / "out"), pytest.raises(UserError, match="in use"):
        prepare_folder(folder, tmp_path / "out")


def test_without_a_size_images_have_the_shortest_side(folder, tmp_path):
    assert prepare_folder(folder, tmp_path / "out", size=None).batch.real.shape == (10, 5, 5, 3)

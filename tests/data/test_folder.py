"""Image folders: order, classes, links, and files that are skipped or rejected."""

import io
import logging
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_jax.config import ImageData
from gan_jax.data.images import files
from tests.helpers import small


def save(path, gray, shape=(3, 4)):
    """Write an image of one gray level."""
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.full(shape, gray, np.uint8)).save(path)


def gray_levels(real):
    return list(real[:, 0, 0, 0])


def test_a_folder_is_read_in_order_of_file_names(tmp_path):
    for gray, name in enumerate(["b.png", "a.PNG", "c.bmp", "B.png", "a.tif", "a10.gif", "a9.gif"]):
        save(tmp_path / name, 10 * gray)
    (tmp_path / "notes.txt").write_text("no picture, and not tried")
    real, labels = files.load_folder(ImageData("folder", path=str(tmp_path)))
    assert (real.shape, real.dtype) == ((7, 3, 4, 3), np.uint8)
    # B.png a.PNG a.tif a10.gif a9.gif b.png c.bmp: code point order, on every file system.
    assert gray_levels(real) == [30, 10, 40, 50, 60, 0, 20]
    assert labels is None


@pytest.mark.parametrize(("channels", "expected"), [(None, 3), (1, 1), (3, 3)])
def test_a_folder_in_gray_or_color(tmp_path, channels, expected):
    save(tmp_path / "a.png", 7)
    real, _ = files.load_folder(ImageData("folder", path=str(tmp_path), channels=channels))
    assert real.shape == (1, 3, 4, expected)


def test_subfolders_are_classes(tmp_path):
    names = ["dog/1.png", "cat/2.png", "dog/3.png", "cat/old/4.png", "emu/5.png"]
    for gray, name in enumerate(names):
        save(tmp_path / name, gray)
    (tmp_path / "cat" / "2.png").write_bytes(b"")  # the only image of its class
    real, labels = files.load_folder(ImageData("folder", path=str(tmp_path)))
    assert gray_levels(real) == [3, 0, 2, 4]
    assert list(labels) == [1, 2, 2, 3]  # cat, without a readable image, is still class 0
    assert labels.dtype == np.int32


def test_a_single_subfolder_gives_no_labels(tmp_path):
    save(tmp_path / "dog" / "1.png", 1)
    assert files.load_folder(ImageData("folder", path=str(tmp_path)))[1] is None
    small.refused(ImageData("folder", path=str(tmp_path), labels=True), "'folder' has no labels")


def test_mixed_sizes_are_resized_to_the_shortest_side(tmp_path, caplog):
    save(tmp_path / "a.png", 1, (3, 4))
    save(tmp_path / "b.png", 2, (5, 5))
    real, _ = files.load_folder(ImageData("folder", path=str(tmp_path)))
    assert real.shape == (2, 3, 3, 3)
    assert "images of 2 sizes, all resized to the shortest side, 3 x 3" in caplog.text
    real, _ = files.load_folder(ImageData("folder", path=str(tmp_path), size=2))
    assert real.shape == (2, 2, 2, 3)


def test_broken_images_are_reported_and_skipped(tmp_path, caplog):
    save(tmp_path / "good.png", 9)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "half.png").write_bytes((tmp_path / "good.png").read_bytes()[:-30])
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with caplog.at_level(logging.WARNING):
        real, _ = files.load_folder(ImageData("folder", path=str(tmp_path)))
    assert gray_levels(real) == [9]
    for name in ("empty.png", "half.png", "text.jpg", "gone.png"):
        assert f"left out {tmp_path / name}: " in caplog.text
    assert f"read 1 of 5 images in {tmp_path}" in caplog.text


def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path):
    save(tmp_path / "elsewhere" / "1.png", 5)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "set" / "round").symlink_to(tmp_path / "set")  # a loop
    (tmp_path / "set" / "more").symlink_to(tmp_path / "elsewhere")
    assert gray_levels(files.load_folder(ImageData("folder", path=str(tmp_path / "set")))[0]) == [5]
    (tmp_path / "way").symlink_to(tmp_path / "set")  # data.path itself may be a link
    assert gray_levels(files.load_folder(ImageData("folder", path=str(tmp_path / "way")))[0]) == [5]


def test_folders_without_images_are_rejected(tmp_path):
    small.refused(ImageData("folder", path=str(tmp_path)), "no readable image (0 tried)")
    (tmp_path / "a.png").write_bytes(b"")
    small.refused(ImageData("folder", path=str(tmp_path)), "no readable image (1 tried)")
    small.refused(ImageData("folder", path=str(tmp_path / "a.png")), "must be a folder")


@pytest.mark.parametrize("closed", ["", "inner"])
def test_a_folder_that_cannot_be_read_is_rejected(tmp_path, monkeypatch, closed):
    save(tmp_path / "inner" / "a.png", 1)
    scandir = os.scandir

    def refuse(path):  # not by chmod: the tests may run as root
        if os.fspath(path) == str(tmp_path / closed):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    small.refused(
        ImageData("folder", path=str(tmp_path)), "Permission denied", str(tmp_path / closed)
    )


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"]), st.data())
def test_corrupted_images_are_read_or_skipped(tmp_path_factory, kind, data):
    file = io.BytesIO()
    Image.linear_gradient("L").resize((4, 3)).convert("RGB").save(file, kind)
    contents = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    root = tmp_path_factory.mktemp("set")
    (root / "a.png").write_bytes(contents)
    save(root / "b.png", 77, (1, 1))
    real, _ = files.load_folder(ImageData("folder", path=str(root), size=1))
    assert real.shape[1:] == (1, 1, 3)
    assert real[-1, 0, 0, 0] == 77

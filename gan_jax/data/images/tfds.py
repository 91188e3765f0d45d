"""Image sets that tensorflow-datasets has prepared, read without TensorFlow; none is downloaded."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.config import Data, ImageData
from gan_jax.core.errors import UserError, reason
from gan_jax.data.images import pixels as images_pixels

BLOCK = 1000  # records that are read at once: three times as quick as one by one


def find_data_dir(data: Data) -> Path:
    """The data directory in which the set is. Raises UserError, which says how to prepare it, where
    it is not."""
    root = data.dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    name = data.name.partition(":")[0].partition("/")[0]
    try:
        root = Path(root).expanduser()
        there = (root / name).is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~ of an unknown user
        raise UserError(f"data.dir is {str(root)!r}: {error}") from None
    if not there:
        raise UserError(
            f"data set {name!r} is not in {root}: give --data.dir (or TFDS_DATA_DIR) where it is, "
            f"or prepare it with `tfds build {name} --file_format=array_record` (needs "
            "tensorflow); sets that need no preparing: digits, ring, grid, folder, npz, idx"
        )
    return root


def _decode(encoded: bytes, channels: int) -> np.ndarray:
    """The pixels that TFDS stored, uint8 [h, w, channels]. By Pillow whatever else is installed:
    TFDS would take OpenCV where it finds it, whose JPEG pixels need not be the same."""
    with Image.open(io.BytesIO(encoded)) as picture:
        pixels = np.asarray(picture.convert(images_pixels.MODES[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


class TfdsImages:
    """The pictures that `data` names, on the disk."""

    def __init__(self, data: Data):
        """Raises UserError where they are not there, or are no pictures of uint8."""
        self._data, self._root = data, find_data_dir(data)
        try:
            self._open()
        except Exception as error:  # TFDS raises many kinds; each says what it misses
            raise self._wrong(error) from None

    def _wrong(self, error: Exception) -> UserError:
        data = self._data
        where = f"data set {data.name!r}, split {data.split!r}, in {self._root}"
        return UserError(f"{where}: {reason(error)[:300]}")

    def _open(self) -> None:
        import tensorflow_datasets

        data, kinds = self._data, tensorflow_datasets.features
        builder: Any = tensorflow_datasets.builder(data.name, data_dir=self._root)
        raw = {"image": tensorflow_datasets.decode.SkipDecoding()}
        self._source = builder.as_data_source(data.split, decoders=raw)
        features: dict[str, Any] = dict(builder.info.features.items())
        if not isinstance(features.get("image"), kinds.Image):  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError(
                f"it has no feature 'image' of pictures, only {', '.join(sorted(features))}"
            )
        image = features["image"]
        kind = np.dtype(image.np_dtype)
        if kind != np.uint8 or image.shape[-1] not in images_pixels.MODES:
            raise ValueError(f"its pictures are {kind} {image.shape}: only uint8, 1 or 3 channels")
        self.channels: int = image.shape[-1]
        label = features.get("label")
        self.has_labels = bool(
            label is not None and not label.shape and np.issubdtype(label.np_dtype, np.integer)
        )
        self.identity = f"{builder.info.full_name} {data.split}"

    def __len__(self) -> int:
        return len(self._source)

    def read(self, places: Sequence[int]) -> tuple[list[np.ndarray], list[int]]:
        """Pictures uint8 [h, w, c], and their labels (-1: not known), none where the set has none.
        Raises UserError where they cannot be read."""
        found, labels = [], []
        try:
            for example in self._source.__getitems__(list(places)):
                found.append(_decode(example["image"], self.channels))
                labels += [int(example["label"])] if self.has_labels else []
        except Exception as error:
            raise self._wrong(error) from None
        return found, labels


def read(data: ImageData) -> tuple[np.ndarray, np.ndarray | None]:
    """The whole set, uint8 [n, h, w, c], and its labels int32 [n] if it has any."""
    source = TfdsImages(data)
    if not len(source):
        raise UserError(f"data set {data.name!r} holds no examples in data.split {data.split!r}")
    found, labels = [], []
    for start in range(0, len(source), BLOCK):
        part = source.read(range(start, min(start + BLOCK, len(source))))
        found += part[0]
        labels += part[1]
    known = source.has_labels and min(labels, default=0) >= 0
    return images_pixels.stack_images(found, data), np.asarray(labels, np.int32) if known else None

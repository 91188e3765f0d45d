"""Image sets that tensorflow-datasets prepared, read without TensorFlow or a download."""

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

BLOCK = 1000  # records read at once: three times as fast as single reads


def find_data_dir(data: Data) -> Path:
    """Return the data directory that contains the set.

    Raises:
        UserError: If it is absent, with instructions for preparing it.
    """
    root = data.dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    name = data.name.partition(":")[0].partition("/")[0]
    try:
        root = Path(root).expanduser()
        exists = (root / name).is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~ of an unknown user
        raise UserError(f"data.dir is {str(root)!r}: {error}") from None
    if not exists:
        raise UserError(
            f"data set {name!r} is not in {root}: set --data.dir (or TFDS_DATA_DIR) to its folder, "
            f"or prepare it with `tfds build {name} --file_format=array_record` (needs "
            "tensorflow); sets without preparation: digits, ring, grid, folder, npz, idx"
        )
    return root


def _decode(encoded: bytes, channels: int) -> np.ndarray:
    """Decode an image of TFDS by Pillow, to uint8 [h, w, channels].

    TFDS uses OpenCV if it is installed, whose JPEG pixels may differ.
    """
    with Image.open(io.BytesIO(encoded)) as image:
        pixels = np.asarray(image.convert(images_pixels.MODES[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


class TfdsImages:
    """Images of a TFDS data set, on the disk."""

    def __init__(self, data: Data):
        """Open the set that `data` names.

        Raises:
            UserError: If it is absent, or has no uint8 images.
        """
        self._data, self._root = data, find_data_dir(data)
        try:
            self._open()
        except Exception as error:  # TFDS raises exceptions of many types
            raise self._user_error(error) from None

    def _user_error(self, error: Exception) -> UserError:
        data = self._data
        source = f"data set {data.name!r}, split {data.split!r}, in {self._root}"
        return UserError(f"{source}: {reason(error)[:300]}")

    def _open(self) -> None:
        import tensorflow_datasets

        data, kinds = self._data, tensorflow_datasets.features
        builder: Any = tensorflow_datasets.builder(data.name, data_dir=self._root)
        raw = {"image": tensorflow_datasets.decode.SkipDecoding()}
        self._source = builder.as_data_source(data.split, decoders=raw)
        features: dict[str, Any] = dict(builder.info.features.items())
        if not isinstance(features.get("image"), kinds.Image):  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError(
                f"it must have a feature 'image' of images, got {', '.join(sorted(features))}"
            )
        image = features["image"]
        dtype = np.dtype(image.np_dtype)
        if dtype != np.uint8 or image.shape[-1] not in images_pixels.MODES:
            raise ValueError(f"images must be uint8 of 1 or 3 channels, got {dtype} {image.shape}")
        self.channels: int = image.shape[-1]
        label = features.get("label")
        self.has_labels = bool(
            label is not None and not label.shape and np.issubdtype(label.np_dtype, np.integer)
        )
        self.identity = f"{builder.info.full_name} {data.split}"

    def __len__(self) -> int:
        return len(self._source)

    def read(self, indices: Sequence[int]) -> tuple[list[np.ndarray], list[int]]:
        """Read images by their indices.

        Returns:
            Images uint8 [h, w, c], and their labels (-1: unknown), which are empty if the set has
            none.

        Raises:
            UserError: If an image cannot be read.
        """
        images, labels = [], []
        try:
            for example in self._source.__getitems__(list(indices)):
                images.append(_decode(example["image"], self.channels))
                labels += [int(example["label"])] if self.has_labels else []
        except Exception as error:
            raise self._user_error(error) from None
        return images, labels


def read(data: ImageData) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a whole set.

    Returns:
        Images uint8 [n, h, w, c], and labels int32 [n] if the set has them.

    Raises:
        UserError: If the set is absent, empty or damaged.
    """
    source = TfdsImages(data)
    if not len(source):
        raise UserError(f"data set {data.name!r} has no examples in data.split {data.split!r}")
    images, labels = [], []
    for start in range(0, len(source), BLOCK):
        block = source.read(range(start, min(start + BLOCK, len(source))))
        images += block[0]
        labels += block[1]
    known = source.has_labels and min(labels, default=0) >= 0
    array = images_pixels.stack_images(images, data)
    return array, np.asarray(labels, np.int32) if known else None

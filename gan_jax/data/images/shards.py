"""Prepared sets of images, which are read from the disk on demand.

A prepared set is a folder that `gan-jax prepare` wrote (gan_jax/data/images/prepare.py):

    prepared.json               source and options, and a hash of the pixels of every shard
    shard-00000.array_record    images of one shape, one per record, as PNG or as raw bytes
    labels.npy                  int32 [n], if the set has labels
"""

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.config import ImageData
from gan_jax.core.errors import UserError, reason
from gan_jax.data.images import files
from gan_jax.data.images import pixels as images_pixels

NAME, LABELS = "prepared.json", "labels.npy"
FORMATS = ("png", "raw")
RESIZE = "the central square, by Pillow's bicubic filter"
MAX_PIXELS = 89_000_000  # per image: Pillow's limit


def shard_name(number: int) -> str:
    """Return the file name of a shard. Names are computed, never read from prepared.json."""
    return f"shard-{number:05d}.array_record"


@dataclasses.dataclass(frozen=True)
class Info:
    """The fields of prepared.json that are needed to read the set."""

    format: str
    """Format of the records, `png` or `raw`."""
    shape: tuple[int, int, int]
    """Shape of an image: height, width and channels."""
    split: str
    """Split of the source."""
    examples: tuple[int, ...]
    """Number of examples in each shard."""
    bytes: tuple[int, ...]
    """Size of the file of each shard."""
    pixels: tuple[str, ...]
    """SHA-256 of the pixels of each shard."""
    labels: str | None
    """SHA-256 of all labels; None if there are none."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the pixels, the labels, the resize method and the format."""
        content = [RESIZE, self.format, self.shape, self.pixels, self.labels]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _info(fields: dict[str, Any]) -> Info:
    """Validate the content of prepared.json.

    Raises:
        ValueError: If a value is invalid; KeyError or TypeError for another structure.
    """
    rows = fields["shards"]
    columns = {name: tuple(row[name] for row in rows) for name in ("examples", "bytes", "pixels")}
    info = Info(fields["format"], tuple(fields["shape"]), fields["split"], **columns, labels=None)
    info = dataclasses.replace(info, labels=fields["labels"])
    if info.format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {info.format!r}")
    for number in (*info.shape, *info.examples, *info.bytes):
        if not (type(number) is int and 0 <= number < 2**63):
            raise ValueError(f"sizes must be integers from 0 to 2^63 - 1, got {number!r}")
    height, width, channels = info.shape
    if channels not in images_pixels.MODES or not 1 <= height * width <= MAX_PIXELS:
        raise ValueError(
            f"shape must be 1 to {MAX_PIXELS} pixels of 1 or 3 channels, got {list(info.shape)}"
        )
    if not 1 <= sum(info.examples) < 2**31:
        raise ValueError(f"examples must be from 1 to 2^31 - 1, got {sum(info.examples)}")
    for text in (info.split, *info.pixels, info.labels or ""):
        if not isinstance(text, str):
            raise ValueError(f"the split and hashes must be strings, got {text!r}")
    return info


def load_info(folder: Path) -> Info:
    """Load prepared.json of a prepared set.

    Raises:
        UserError: If it is absent or damaged.
    """
    path = folder / NAME
    try:
        return _info(json.loads(path.read_text()))
    except FileNotFoundError:
        message = f"{folder} is not a prepared set: it has no {NAME}"
        raise UserError(f"{message}; `gan-jax prepare` writes a set") from None
    except RecursionError:
        raise UserError(f"{path} is damaged: it is nested too deeply") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}: {reason(error)}") from None


class PreparedImages:
    """Images of a prepared set, like an array uint8 [n, h, w, c] that is read from the disk.

    An index, a slice or an array of indices reads the images it selects. Instances can be pickled.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, size: int | None = None, channels: int | None = None):
        """Open a prepared set.

        Args:
            folder: Path to the set.
            size: Side to which images are resized when read; None keeps the stored size.
            channels: Number of channels to which they are converted; None keeps the stored ones.

        Raises:
            UserError: If the set is incomplete or damaged.
        """
        from grain.sources import ArrayRecordDataSource  # slow to import

        info = load_info(folder)
        self._folder, self._info, self._channels = folder, info, channels or info.shape[2]
        side = info.shape[:2] if size is None else (size, size)
        self.shape = (sum(info.examples), *side, self._channels)
        paths = [folder / shard_name(i) for i in range(len(info.bytes))]
        for path, length in zip(paths, info.bytes, strict=True):
            try:
                size_on_disk = path.stat().st_size
            except OSError as error:
                raise UserError(f"{path}: {error.strerror}: the set is incomplete") from None
            if size_on_disk != length:
                raise UserError(f"{path} is damaged: must have {length} bytes, got {size_on_disk}")
        try:
            self._source: Any = ArrayRecordDataSource([str(path) for path in paths])
        except Exception as error:  # riegeli's types
            raise UserError(f"{folder} cannot be read: {reason(error)[:200]}") from None
        if len(self._source) != len(self):
            raise UserError(f"{folder} must have {len(self)} records, got {len(self._source)}")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the images in the shape in which they are read."""
        content = f"{self._info.fingerprint} {self.shape[1:]}"
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def ndim(self) -> int:
        """Number of axes, as of an array."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of all images in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def _read(self, index: int) -> np.ndarray:
        record, shape = self._source[index], self._info.shape
        if self._info.format == "raw":
            image = np.frombuffer(record, np.uint8).reshape(shape)
        else:
            with Image.open(io.BytesIO(record), formats=["PNG"]) as png:
                expected = (*shape[:2], images_pixels.MODES[shape[2]])
                if (png.height, png.width, png.mode) != expected:
                    raise ValueError(f"got {png.mode} {png.width} x {png.height}")
                image = np.asarray(png).reshape(shape)
        if image.shape[:2] != self.shape[1:3]:
            image = images_pixels.resize(image, self.shape[1])
        if image.shape[2] != self._channels:
            image = images_pixels.convert_channels(image[None], self._channels)[0]
        return image

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, slice):
            key = np.arange(*key.indices(len(self)))
        indices = np.asarray(key)
        if indices.dtype == bool:
            indices = np.flatnonzero(indices)
        images = np.empty((indices.size, *self.shape[1:]), np.uint8)
        for i, index in enumerate(indices.flat):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index must be within {len(self)} images, got {index}")
            try:
                images[i] = self._read(int(index) % len(self))
            except Exception as error:  # riegeli's or Pillow's types, or a file that was deleted
                message = f"{self._folder}: image {index} cannot be read"
                raise UserError(f"{message}: {reason(error)[:200]}") from None
        return images.reshape(*indices.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)


def _labels(folder: Path, info: Info) -> np.ndarray | None:
    if info.labels is None:
        return None
    path, n = folder / LABELS, sum(info.examples)
    try:
        if path.stat().st_size > 4 * n + 1024:
            raise ValueError(f"it is larger than {n} labels")
        with path.open("rb") as file:
            labels = np.lib.format.read_array(file, allow_pickle=False)
        if labels.dtype != np.int32 or labels.shape != (n,) or labels.min() < 0:
            raise ValueError(f"must be {n} int32 >= 0, got {labels.dtype} {list(labels.shape)}")
        if hashlib.sha256(labels.tobytes()).hexdigest() != info.labels:
            raise ValueError("the labels do not match their hash")
    except Exception as error:  # numpy's reader raises exceptions of many types
        raise UserError(f"{path} is damaged: {reason(error)[:200]}") from None
    return labels


def read(data: ImageData) -> tuple[PreparedImages, np.ndarray | None]:
    """Open the prepared set in the folder `data.path`, at `data.size` and in `data.channels`.

    Returns:
        The images, and labels int32 [n] if the set has any.

    Raises:
        UserError: If the set is damaged, or of another split.
    """
    folder = files.require_path(data)
    info = load_info(folder)
    if info.split != data.split:
        raise UserError(
            f"data.split must be {info.split!r} for the prepared set {folder}, got "
            f"{data.split!r}: give --data.split {info.split}"
        )
    return PreparedImages(folder, data.size, data.channels), _labels(folder, info)

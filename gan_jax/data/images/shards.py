"""Prepared sets of pictures, read where they lie: none of it is in memory until it is asked for.

A prepared set is a folder that `gan-jax prepare` wrote (gan_jax/data/images/prepare.py):

    prepared.json               what it was made of and how, and a hash of every shard's pixels
    shard-00000.array_record    pictures of one shape, a record each, as PNG or as plain bytes
    labels.npy                  int32 [n], where there are any
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
LARGEST = 89_000_000  # pixels of a picture: Pillow's own limit


def shard_name(number: int) -> str:
    """Of the file, in the folder of the set. It is never read from a file."""
    return f"shard-{number:05d}.array_record"


@dataclasses.dataclass(frozen=True)
class Info:
    """What prepared.json must say for the set to be read."""

    format: str
    shape: tuple[int, int, int]
    """Of a picture: height, width and channels."""
    split: str
    examples: tuple[int, ...]
    """In each shard."""
    bytes: tuple[int, ...]
    """Of each shard's file."""
    pixels: tuple[str, ...]
    """sha256 of each shard's pixels."""
    labels: str | None
    """sha256 of all labels."""

    @property
    def fingerprint(self) -> str:
        """sha256 over pixels and labels, and how the pictures were resized and are stored."""
        what = [RESIZE, self.format, self.shape, self.pixels, self.labels]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _info(found: dict[str, Any]) -> Info:
    """Raises ValueError, KeyError or TypeError where `found` says something that cannot be."""
    rows = found["shards"]
    columns = {name: tuple(row[name] for row in rows) for name in ("examples", "bytes", "pixels")}
    info = Info(found["format"], tuple(found["shape"]), found["split"], **columns, labels=None)
    info = dataclasses.replace(info, labels=found["labels"])
    if info.format not in FORMATS:
        raise ValueError(f"format is {info.format!r}: it must be one of {', '.join(FORMATS)}")
    numbers = (*info.shape, *info.examples, *info.bytes)
    if not all(type(one) is int and 0 <= one < 2**63 for one in numbers):
        raise ValueError("a size in it is no size")
    height, width, channels = info.shape
    if channels not in images_pixels.MODES or not 1 <= height * width <= LARGEST:
        raise ValueError(f"shape is {list(info.shape)}")
    if not 1 <= sum(info.examples) < 2**31:
        raise ValueError(f"{sum(info.examples)} examples")
    if not all(isinstance(one, str) for one in (info.split, *info.pixels, info.labels or "")):
        raise ValueError("a hash, or the split, is no text")
    return info


def load_info(folder: Path) -> Info:
    """Of a prepared set. Raises UserError where there is none, or its prepared.json is damaged."""
    path = folder / NAME
    try:
        return _info(json.loads(path.read_text()))
    except FileNotFoundError:
        what = f"{folder} is no prepared set: it has no {NAME}"
        raise UserError(f"{what}; `gan-jax prepare` makes one") from None
    except RecursionError:
        raise UserError(f"{path} is damaged: it is nested too deep") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}: {reason(error)}") from None


class PreparedImages:
    """The pictures of a prepared set, like an array uint8 [n, h, w, c] that is read from the disk
    at each index: by a number, a slice, or an array of numbers. It can be pickled."""

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, size: int | None = None, channels: int | None = None):
        """With `size` and `channels` as those of `Data`, to which pictures are brought as they are
        read. Raises UserError where the set is not whole."""
        from grain.sources import ArrayRecordDataSource  # slow to import

        info = load_info(folder)
        self._folder, self._info, self._channels = folder, info, channels or info.shape[2]
        side = info.shape[:2] if size is None else (size, size)
        self.shape = (sum(info.examples), *side, self._channels)
        paths = [folder / shard_name(i) for i in range(len(info.bytes))]
        for path, length in zip(paths, info.bytes, strict=True):
            try:
                there = path.stat().st_size
            except OSError as error:
                raise UserError(f"{path}: {error.strerror}: the set is not whole") from None
            if there != length:
                raise UserError(f"{path} is damaged: it has {there} bytes, {length} were written")
        try:
            self._source: Any = ArrayRecordDataSource([str(path) for path in paths])
        except Exception as error:  # riegeli's
            raise UserError(f"{folder} cannot be read: {reason(error)[:200]}") from None
        if len(self._source) != len(self):
            raise UserError(f"{folder} holds {len(self._source)} records, not {len(self)}")

    @property
    def fingerprint(self) -> str:
        """Of the pictures as they are read: sha256."""
        what = f"{self._info.fingerprint} {self.shape[1:]}"
        return hashlib.sha256(what.encode()).hexdigest()

    @property
    def ndim(self) -> int:
        """As of an array."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Of all pictures, were they in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def _read(self, place: int) -> np.ndarray:
        record, shape = self._source[place], self._info.shape
        if self._info.format == "raw":
            picture = np.frombuffer(record, np.uint8).reshape(shape)
        else:
            with Image.open(io.BytesIO(record), formats=["PNG"]) as found:
                if (found.height, found.width, found.mode) != (
                    *shape[:2],
                    images_pixels.MODES[shape[2]],
                ):
                    raise ValueError(f"it is {found.mode} {found.width} x {found.height}")
                picture = np.asarray(found).reshape(shape)
        if picture.shape[:2] != self.shape[1:3]:
            picture = images_pixels.resize(picture, self.shape[1])
        if picture.shape[2] != self._channels:
            picture = images_pixels.convert_channels(picture[None], self._channels)[0]
        return picture

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, slice):
            key = np.arange(*key.indices(len(self)))
        places = np.asarray(key)
        if places.dtype == bool:
            places = np.flatnonzero(places)
        found = np.empty((places.size, *self.shape[1:]), np.uint8)
        for i, place in enumerate(places.flat):
            if not -len(self) <= place < len(self):
                raise IndexError(f"{place} is not among {len(self)} pictures")
            try:
                found[i] = self._read(int(place) % len(self))
            except Exception as error:  # of riegeli, of Pillow, of a file that is no longer there
                what = f"{self._folder}: picture {place} cannot be read"
                raise UserError(f"{what}: {reason(error)[:200]}") from None
        return found.reshape(*places.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)


def _labels(folder: Path, info: Info) -> np.ndarray | None:
    if info.labels is None:
        return None
    path, n = folder / LABELS, sum(info.examples)
    try:
        if path.stat().st_size > 4 * n + 1024:
            raise ValueError(f"it is larger than {n} labels are")
        with path.open("rb") as file:
            labels = np.lib.format.read_array(file, allow_pickle=False)
        if labels.dtype != np.int32 or labels.shape != (n,) or labels.min() < 0:
            raise ValueError(f"{labels.dtype} {list(labels.shape)}: {n} integers were written")
        if hashlib.sha256(labels.tobytes()).hexdigest() != info.labels:
            raise ValueError("they are not the labels that were written")
    except Exception as error:  # numpy's reader raises many kinds
        raise UserError(f"{path} is damaged: {reason(error)[:200]}") from None
    return labels


def read(data: ImageData) -> tuple[PreparedImages, np.ndarray | None]:
    """The prepared set in the folder `data.path`, at `data.size` and in `data.channels`, and its
    labels int32 [n] if it has any. Raises UserError where it is damaged, or of another split."""
    folder = files.require_path(data)
    info = load_info(folder)
    if info.split != data.split:
        raise UserError(
            f"data.split is {data.split!r}: the prepared set {folder} is of the split "
            f"{info.split!r}; give --data.split {info.split}"
        )
    return PreparedImages(folder, data.size, data.channels), _labels(folder, info)

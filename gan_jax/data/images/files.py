"""A user's own files: folders of pictures, npz, idx."""

import gzip
import logging
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from gan_jax.config import Data, ImageData
from gan_jax.core import memory
from gan_jax.core.errors import UserError, reason
from gan_jax.data.images import pixels

log = logging.getLogger(__name__)
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
DEFLATE = 1032  # the most that deflate can shrink by, so the most that a .gz can hold


def require_path(data: Data) -> Path:
    """Of `data.path`, which is there. Raises UserError if it is not, or not given."""
    if data.path is None:
        raise UserError(f"data set {data.name!r} needs --data.path")
    try:
        path = Path(data.path).expanduser()
        path.stat()
    except FileNotFoundError:
        raise UserError(f"data.path is {data.path!r}: there is no such file or folder") from None
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~ of an unknown user
        raise UserError(f"data.path is {data.path!r}: {reason(error)}") from None
    return path


def find_files(root: Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """All files of these suffixes (by default pictures), in lower case or not, below `root`, in the
    order of their names. Raises OSError at a folder that cannot be read."""

    def stop(error: OSError) -> None:
        raise error

    found = os.walk(root, onerror=stop)  # rglob would pass over what it may not read
    paths = [Path(folder, name) for folder, _, names in found for name in names]
    return sorted(path for path in paths if path.suffix.lower() in suffixes)


def load_folder(data: ImageData) -> tuple[np.ndarray, np.ndarray | None]:
    """All pictures below `data.path`, in the order of their names: uint8 [n, h, w, c].

    Links to files are followed, links to folders are not. See `pictures.decode` for what becomes of
    which kind; broken files are named in the log and left out. Where the pictures lie in more than
    one folder these are classes, labels int32 [n], numbered by name. Raises UserError where there
    is no picture, or a folder that cannot be read.
    """
    root = require_path(data)
    if not root.is_dir():
        raise UserError(f"data.path is {data.path!r}: it is not a folder")
    try:
        tried = find_files(root)
    except OSError as error:
        raise UserError(f"data.path is {data.path!r}: {reason(error)}") from None
    found, paths = [], []
    for path in tried:
        try:
            picture = pixels.decode(path, data.channels or 3)
        except Exception as error:  # Pillow's readers raise kinds of their own
            log.warning("left out %s: %s", path, reason(error))
            continue
        found.append(pixels.resize(picture, data.size) if data.size else picture)
        paths.append(path)
    if not found:
        raise UserError(
            f"data.path is {data.path!r}: it holds no readable picture ({len(tried)} tried)"
        )
    if len(found) < len(tried):
        log.warning("read %d of %d pictures in %s", len(found), len(tried), root)
    classes = sorted({path.parent for path in tried})  # also one of broken pictures only
    labels = np.asarray([classes.index(path.parent) for path in paths], np.int32)
    return pixels.stack_images(found, data), labels if len(classes) > 1 else None


def _pixels(real: np.ndarray, path: Path) -> np.ndarray:
    """Arrays [n, h, w] or [n, h, w, c] of uint8 as [n, h, w, c]; floats [n, d] as float32."""
    if math.prod(real.shape[1:]):
        if real.dtype == np.uint8 and real.ndim in (3, 4):
            return real if real.ndim == 4 else real[..., None]
        if real.dtype.kind == "f" and real.ndim == 2:
            with np.errstate(over="ignore"):
                points = real.astype(np.float32)
            if np.isfinite(points).all():
                return points
    raise UserError(
        f"{path}: {real.dtype} {list(real.shape)}: it must be uint8 [n, h, w] or [n, h, w, c], or "
        "floats [n, d], finite as float32"
    )


def _checked(labels: np.ndarray | None, n: int, path: Path) -> np.ndarray | None:
    """Labels as int32 [n]."""
    if labels is None:
        return None
    good = labels.shape == (n,) and labels.dtype.kind in "iu"
    if not good or (n and not 0 <= labels.min() <= labels.max() < 2**31):
        raise UserError(
            f"{path}: labels {labels.dtype} {list(labels.shape)}: they must be {n} integers, from "
            "0 to 2^31 - 1"
        )
    return labels.astype(np.int32)


def load_npz(data: ImageData) -> tuple[np.ndarray, np.ndarray | None]:
    """Arrays `images` (or `x`, or the only one) and, if there, `labels` (or `y`) of an npz file.

    Pictures uint8 [n, h, w, c], or points float32 [n, d], and labels int32 [n]. Raises UserError on
    any other file; arrays of Python objects are not read.
    """
    path = require_path(data)
    named = read_npz(path)
    labels = next((named.pop(name) for name in ("labels", "y") if name in named), None)
    real = next((named[name] for name in ("images", "x") if name in named), None)
    if real is None and len(named) == 1:
        (real,) = named.values()
    if real is None:
        raise UserError(f"{path}: no array 'images' or 'x' among {sorted(named)}")
    real = _pixels(real, path)
    return real, _checked(labels, len(real), path)


def load_conditions(data: ImageData, n: int) -> dict[str, np.ndarray]:
    """The arrays of an npz file that `data.cond` names, for its n examples: pictures uint8
    [n, h, w, c], or numbers float32 [n, d]. Raises UserError if one is neither."""
    if data.name != "npz":
        raise UserError(f"data.cond is {data.cond}: only the data set 'npz' has such arrays")
    path = require_path(data)
    named, found = read_npz(path), {}
    for name in data.cond:
        if name not in named:
            raise UserError(f"data.cond: no array {name!r} among {sorted(named)} of {path}")
        array = named[name]
        if array.ndim == 1 and array.dtype.kind in "fiu":
            array = array[:, None]
        if array.ndim == 2 and array.dtype.kind in "iu":
            array = array.astype(np.float64)
        found[name] = _pixels(array, path)
        if len(array) != n:
            raise UserError(f"data.cond: {name!r} is of {len(array)} examples, there are {n}")
    return found


def _check_sizes(archive: zipfile.ZipFile) -> None:
    """Raises ValueError if an array says it is larger than what it is stored in, or all are larger
    than memory: before any of it is allocated."""
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if total > memory.host_limit():
        raise ValueError(f"it would take {total / 2**30:.1f} GiB")
    for member in members:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0
            header = np.lib.format.read_array_header_2_0 if version > (1, 0) else header
            shape, _, dtype = header(file)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{member.filename} promises {dtype} {list(shape)}")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file, by name; none of Python objects. Raises UserError if it is none,
    or larger than memory."""
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):  # of which numpy would say that it is pickled
                raise ValueError("it is no whole zip archive")
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                _check_sizes(archive)
            file.seek(0)
            archive = np.load(file, allow_pickle=False)
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # numpy, zipfile and zlib each raise kinds of their own
        raise UserError(f"{path}: not a readable npz file: {reason(error)}") from None


def _read_idx(path: Path) -> np.ndarray:
    """One idx file of uint8 (LeCun's format, plain or gzipped), its header checked before it is
    read."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            zero, kind, ndim = struct.unpack(">HBB", file.read(4))
            if zero or kind != 8 or not 1 <= ndim <= 4:
                magic = f"{zero:04x}{kind:02x}{ndim:02x}"
                raise ValueError(f"it starts with {magic}, not with 00000801 to 00000804")
            shape = struct.unpack(f">{ndim}I", file.read(4 * ndim))
            size = math.prod(shape)
            if size > min(DEFLATE * path.stat().st_size, memory.host_limit()):
                raise ValueError(f"its header promises {size} bytes")
            body = file.read(size + 1)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise UserError(f"{path}: not a readable idx file: {reason(error)}") from None
    if len(body) != size:
        found = "more" if len(body) > size else len(body)
        raise UserError(
            f"{path}: idx of shape {list(shape)} must hold {size} bytes, it holds {found}"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def load_idx(data: ImageData) -> tuple[np.ndarray, np.ndarray | None]:
    """MNIST's own files in the folder `data.path`: pictures uint8 [n, h, w, 1], labels int32 [n].

    They are SPLIT-images-idx3-ubyte and, if there, SPLIT-labels-idx1-ubyte, plain or .gz; the split
    `test` is also spelt t10k. Raises UserError if the pictures are not there or a file is damaged.
    """
    root = require_path(data)
    prefixes = {"test": ["test", "t10k"]}.get(data.split, [data.split])

    def find(part: str) -> Path | None:
        tried = [root / f"{prefix}-{part}{end}" for prefix in prefixes for end in ("", ".gz")]
        return next((path for path in tried if os.path.isfile(path)), None)

    images, labels = find("images-idx3-ubyte"), find("labels-idx1-ubyte")
    if images is None:
        raise UserError(f"{root}: no {prefixes[-1]}-images-idx3-ubyte or .gz of it")
    real = _pixels(_read_idx(images), images)
    return real, _checked(_read_idx(labels), len(real), labels) if labels else None

"""Data sets in a user's files: folders of images, npz files and idx files."""

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
DEFLATE = 1032  # largest compression ratio of deflate, which bounds the content of a .gz


def require_path(data: Data) -> Path:
    """Return the path `data.path`.

    Raises:
        UserError: If it is not set, or does not exist.
    """
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
    """Find all files with given suffixes below a folder, sorted by name.

    Args:
        root: Path to the folder.
        suffixes: Suffixes in lower case, matched in any case; images by default.

    Raises:
        OSError: If a folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise error

    folders = os.walk(root, onerror=stop)  # rglob would skip folders that it may not read
    paths = [Path(folder, name) for folder, _, names in folders for name in names]
    return sorted(path for path in paths if path.suffix.lower() in suffixes)


def load_folder(data: ImageData) -> tuple[np.ndarray, np.ndarray | None]:
    """Load all images below `data.path`, in the order of their names.

    Links to files are followed, links to folders are not. See `pixels.decode` for the conversion.
    Damaged files are logged and left out.

    Returns:
        Images uint8 [n, h, w, c], and labels int32 [n] if the images are in several folders: these
        are the classes, numbered by name.

    Raises:
        UserError: If no image, or a folder, can be read.
    """
    root = require_path(data)
    if not root.is_dir():
        raise UserError(f"data.path must be a folder, got {data.path!r}")
    try:
        image_paths = find_files(root)
    except OSError as error:
        raise UserError(f"data.path is {data.path!r}: {reason(error)}") from None
    images, paths = [], []
    for path in image_paths:
        try:
            image = pixels.decode(path, data.channels or 3)
        except Exception as error:  # Pillow's readers raise exceptions of their own types
            log.warning("left out %s: %s", path, reason(error))
            continue
        images.append(pixels.resize(image, data.size) if data.size else image)
        paths.append(path)
    if not images:
        raise UserError(f"data.path is {data.path!r}: no readable image ({len(image_paths)} tried)")
    if len(images) < len(image_paths):
        log.warning("read %d of %d images in %s", len(images), len(image_paths), root)
    classes = sorted({path.parent for path in image_paths})  # also those of damaged files only
    labels = np.asarray([classes.index(path.parent) for path in paths], np.int32)
    return pixels.stack_images(images, data), labels if len(classes) > 1 else None


def _pixels(real: np.ndarray, path: Path) -> np.ndarray:
    """Return images uint8 [n, h, w, c], from [n, h, w] too, or points [n, d] as float32."""
    if math.prod(real.shape[1:]):
        if real.dtype == np.uint8 and real.ndim in (3, 4):
            return real if real.ndim == 4 else real[..., None]
        if real.dtype.kind == "f" and real.ndim == 2:
            with np.errstate(over="ignore"):
                points = real.astype(np.float32)
            if np.isfinite(points).all():
                return points
    raise UserError(
        f"{path}: arrays must be uint8 [n, h, w] or [n, h, w, c], or floats [n, d] that are finite "
        f"as float32, got {real.dtype} {list(real.shape)}"
    )


def _check_labels(labels: np.ndarray | None, n: int, path: Path) -> np.ndarray | None:
    """Return labels as int32 [n] if they are valid."""
    if labels is None:
        return None
    is_valid = labels.shape == (n,) and labels.dtype.kind in "iu"
    if not is_valid or (n and not 0 <= labels.min() <= labels.max() < 2**31):
        raise UserError(
            f"{path}: labels must be {n} integers from 0 to 2^31 - 1, got {labels.dtype} "
            f"{list(labels.shape)}"
        )
    return labels.astype(np.int32)


def load_npz(data: ImageData) -> tuple[np.ndarray, np.ndarray | None]:
    """Load the arrays `images` (or `x`, or the only one) and `labels` (or `y`) of an npz file.

    Arrays of Python objects are not read.

    Returns:
        Images uint8 [n, h, w, c] or points float32 [n, d], and labels int32 [n] if present.

    Raises:
        UserError: If the file cannot be read, or its arrays are of another kind.
    """
    path = require_path(data)
    named = read_npz(path)
    labels = next((named.pop(name) for name in ("labels", "y") if name in named), None)
    real = next((named[name] for name in ("images", "x") if name in named), None)
    if real is None and len(named) == 1:
        (real,) = named.values()
    if real is None:
        raise UserError(f"{path} must have an array 'images' or 'x', got {sorted(named)}")
    real = _pixels(real, path)
    return real, _check_labels(labels, len(real), path)


def load_conditions(data: ImageData, n: int) -> dict[str, np.ndarray]:
    """Load the arrays of an npz file that `data.cond` names.

    Args:
        data: Path and options of the data set.
        n: Number of examples.

    Returns:
        Images uint8 [n, h, w, c] or numbers float32 [n, d], by name.

    Raises:
        UserError: If an array is absent or of another kind.
    """
    if data.name != "npz":
        raise UserError(f"data.cond must be empty for data sets other than 'npz', got {data.cond}")
    path = require_path(data)
    arrays, conditions = read_npz(path), {}
    for name in data.cond:
        if name not in arrays:
            raise UserError(f"data.cond must be among {sorted(arrays)} of {path}, got {name!r}")
        array = arrays[name]
        if array.ndim == 1 and array.dtype.kind in "fiu":
            array = array[:, None]
        if array.ndim == 2 and array.dtype.kind in "iu":
            array = array.astype(np.float64)
        conditions[name] = _pixels(array, path)
        if len(array) != n:
            raise UserError(f"data.cond: {name!r} must have {n} examples, got {len(array)}")
    return conditions


def _check_sizes(archive: zipfile.ZipFile) -> None:
    """Check the sizes in the headers of an npz file, before any array is allocated.

    Raises:
        ValueError: If an array claims more bytes than its file has, or all exceed the memory.
    """
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if total > memory.host_limit():
        raise ValueError(f"its {total / 2**30:.1f} GiB exceed the memory")
    for member in members:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0
            header = np.lib.format.read_array_header_2_0 if version > (1, 0) else header
            shape, _, dtype = header(file)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{member.filename} is too short for {dtype} {list(shape)}")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file, by name; arrays of Python objects are not read.

    Raises:
        UserError: If it is not an npz file, or larger than the memory.
    """
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):  # numpy's message would be about pickles
                raise ValueError("it is not a complete zip archive")
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                _check_sizes(archive)
            file.seek(0)
            archive = np.load(file, allow_pickle=False)
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # numpy, zipfile and zlib raise exceptions of their own types
        raise UserError(f"{path}: not a readable npz file: {reason(error)}") from None


def _read_idx(path: Path) -> np.ndarray:
    """Check the header of an idx file of uint8 (LeCun's format, plain or gzipped) and read it."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            zero, kind, ndim = struct.unpack(">HBB", file.read(4))
            if zero or kind != 8 or not 1 <= ndim <= 4:
                magic = f"{zero:04x}{kind:02x}{ndim:02x}"
                raise ValueError(f"it must start with 00000801 to 00000804, got {magic}")
            shape = struct.unpack(f">{ndim}I", file.read(4 * ndim))
            size = math.prod(shape)
            if size > min(DEFLATE * path.stat().st_size, memory.host_limit()):
                raise ValueError(f"its header claims {size} bytes")
            body = file.read(size + 1)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise UserError(f"{path}: not a readable idx file: {reason(error)}") from None
    if len(body) != size:
        length = "more" if len(body) > size else len(body)
        raise UserError(f"{path}: idx of shape {list(shape)} must have {size} bytes, got {length}")
    return np.frombuffer(body, np.uint8).reshape(shape)


def load_idx(data: ImageData) -> tuple[np.ndarray, np.ndarray | None]:
    """Load files in the format of MNIST from the folder `data.path`.

    They are SPLIT-images-idx3-ubyte and, optionally, SPLIT-labels-idx1-ubyte, plain or .gz. The
    prefix of the split `test` may also be t10k.

    Returns:
        Images uint8 [n, h, w, 1], and labels int32 [n] if present.

    Raises:
        UserError: If the images are absent, or a file is damaged.
    """
    root = require_path(data)
    prefixes = {"test": ["test", "t10k"]}.get(data.split, [data.split])

    def find(part: str) -> Path | None:
        paths = [root / f"{prefix}-{part}{end}" for prefix in prefixes for end in ("", ".gz")]
        return next((path for path in paths if os.path.isfile(path)), None)

    images, labels = find("images-idx3-ubyte"), find("labels-idx1-ubyte")
    if images is None:
        raise UserError(f"{root} must contain {prefixes[-1]}-images-idx3-ubyte, plain or .gz")
    real = _pixels(_read_idx(images), images)
    return real, _check_labels(_read_idx(labels), len(real), labels) if labels else None

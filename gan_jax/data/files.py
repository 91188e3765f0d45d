"""A user's own files: folders of pictures, npz, idx."""

import gzip
import logging
import math
import struct
from pathlib import Path

import numpy as np

from gan_jax.config import Data
from gan_jax.data import pictures
from gan_jax.errors import UserError

log = logging.getLogger(__name__)
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}


def _path(data: Data) -> Path:
    if data.path is None:
        raise UserError(f"data set {data.name!r} needs --data.path")
    path = Path(data.path).expanduser()
    if not path.exists():
        raise UserError(f"data.path is {data.path!r}: there is no such file or folder")
    return path


def folder(data: Data) -> tuple[np.ndarray, np.ndarray | None]:
    """All pictures below `data.path`, in the order of their names: uint8 [n, h, w, c].

    Grey, RGBA, palette and 16-bit pictures are converted; broken files are named in the log and
    left out. Where the pictures lie in sub-folders these are classes, numbered by name.
    """
    root = _path(data)
    try:
        if not root.is_dir():
            raise UserError(f"data.path is {data.path!r}: it is not a folder")
        names = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
        next(root.iterdir(), None)  # rglob passes over a folder that may not be read
    except OSError as error:
        raise UserError(f"data.path is {data.path!r}: {error.strerror}") from None
    found, paths = [], []
    for path in names:
        try:
            picture = pictures.decode(path, data.channels or 3)
        except (OSError, ValueError, SyntaxError, OverflowError) as error:  # as Pillow's readers do
            log.warning("left out %s: %s", path, " ".join(str(error).split()))
            continue
        found.append(pictures.resize(picture, data.size) if data.size else picture)
        paths.append(path)
    if not found:
        raise UserError(f"data.path is {data.path!r}: it holds no readable picture ({len(names)} tried)")
    if len(found) < len(names):
        log.warning("read %d of %d pictures in %s", len(found), len(names), root)
    parents = [path.parent.relative_to(root).as_posix() for path in paths]
    classes = sorted(set(parents))
    labels = np.asarray([classes.index(parent) for parent in parents], np.int32)
    return pictures.stack(found, data), labels if len(classes) > 1 else None


def _pixels(real: np.ndarray, path: Path) -> np.ndarray:
    """Arrays [n, h, w] or [n, h, w, c] of uint8 as [n, h, w, c]; float32 [n, d] as they are."""
    if real.dtype == np.uint8 and real.ndim in (3, 4):
        return real if real.ndim == 4 else real[..., None]
    if real.dtype.kind == "f" and real.ndim == 2 and np.isfinite(real).all():
        return real.astype(np.float32)
    raise UserError(
        f"{path}: {real.dtype} {list(real.shape)}: it must be uint8 [n, h, w] or [n, h, w, c], or "
        "finite floats [n, d]"
    )


def _checked(labels: np.ndarray | None, n: int, path: Path) -> np.ndarray | None:
    if labels is None:
        return None
    if labels.shape != (n,) or labels.dtype.kind not in "iu" or (n and labels.min() < 0):
        raise UserError(
            f"{path}: labels {labels.dtype} {list(labels.shape)}: they must be {n} integers from 0"
        )
    return labels.astype(np.int32)


def npz(data: Data) -> tuple[np.ndarray, np.ndarray | None]:
    """Arrays `images` (or `x`, or the only one) and, if there, `labels` (or `y`) of an npz file."""
    path = _path(data)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # numpy, zipfile and zlib each raise kinds of their own
        raise UserError(f"{path}: not a readable npz file: {error}") from None
    labels = next((arrays.pop(name) for name in ("labels", "y") if name in arrays), None)
    real = next((arrays[name] for name in ("images", "x") if name in arrays), None)
    if real is None and len(arrays) == 1:
        (real,) = arrays.values()
    if real is None:
        raise UserError(f"{path}: no array 'images' or 'x' among {', '.join(arrays) or 'none'}")
    real = _pixels(real, path)
    return real, _checked(labels, len(real), path)


def _read_idx(path: Path) -> np.ndarray:
    """One idx file of uint8 (LeCun's format, plain or gzipped), its size checked before it is read."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            zero, kind, ndim = struct.unpack(">HBB", file.read(4))
            shape = struct.unpack(f">{ndim}I", file.read(4 * ndim))
            if zero or kind != 8 or not 1 <= ndim <= 4 or math.prod(shape) > 2**34:
                raise ValueError(f"type {kind}, shape {shape}: only uint8 arrays are read")
            body = file.read(math.prod(shape) + 1)
    except (OSError, EOFError, struct.error, ValueError) as error:
        raise UserError(f"{path}: not a readable idx file: {error}") from None
    if len(body) != math.prod(shape):
        raise UserError(f"{path}: idx of shape {shape} must hold {math.prod(shape)} bytes")
    return np.frombuffer(body, np.uint8).reshape(shape)


def idx(data: Data) -> tuple[np.ndarray, np.ndarray | None]:
    """MNIST's own files in the folder `data.path`: SPLIT-images-idx3-ubyte and SPLIT-labels-idx1-ubyte,
    plain or .gz; the split `test` is also spelt t10k."""
    root = _path(data)
    prefixes = {"test": ["test", "t10k"]}.get(data.split, [data.split])

    def find(part: str) -> Path | None:
        tried = [root / f"{prefix}-{part}{end}" for prefix in prefixes for end in ("", ".gz")]
        return next((path for path in tried if path.is_file()), None)

    images, labels = find("images-idx3-ubyte"), find("labels-idx1-ubyte")
    if images is None:
        raise UserError(f"{root}: no {prefixes[-1]}-images-idx3-ubyte or .gz of it")
    real = _pixels(_read_idx(images), images)
    return real, _checked(_read_idx(labels), len(real), labels) if labels else None

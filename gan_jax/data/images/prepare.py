"""Writing of prepared sets (gan_jax/data/images/shards.py).

Every image is decoded, cropped and resized once. Shard k contains the k-th range of files of the
source, in their order, without the damaged ones. It is written to a temporary file and renamed when
complete, next to a JSON file of its statistics. So an interrupted preparation continues with the
first shard that is absent, and results in the same bytes.
"""

import dataclasses
import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from gan_jax.config import ImageData
from gan_jax.core import locking
from gan_jax.core.errors import UserError, reason
from gan_jax.core.files import write_atomically
from gan_jax.data import sources
from gan_jax.data.images import files, shards, tfds
from gan_jax.data.images import pixels as images_pixels

log = logging.getLogger(__name__)
SHARD = 10_000  # images per file
PLAN = "prepare.json"  # present while the set is being prepared
OPTIONS = {"png": "group_size:1,uncompressed", "raw": "group_size:1"}


@dataclasses.dataclass(frozen=True)
class Example:
    """An image of a source, or the reason why it cannot be read."""

    name: str
    """Name in the source."""
    image: np.ndarray | None
    """Image uint8 [h, w, c]; None if it cannot be read."""
    label: int | None = None
    """Class, if the source has labels."""
    error: str = ""
    """Reason why it cannot be read."""
    was_gray: bool = False
    """Conversion of the image from gray to RGB."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Numbered images to prepare."""

    count: int
    """Number of images."""
    identity: str
    """Hash or name that differs between sources."""
    read: Callable[[range], Iterator[Example]]
    """Function that reads a range of images."""
    shape: tuple[int, int, int]
    """Shape of a prepared image: height, width and channels."""
    has_labels: bool
    """Presence of labels."""


def _folder_source(data: ImageData) -> Source:
    """Return the images below `data.path`; several folders are the classes."""
    root = files.require_path(data)
    try:
        paths = files.find_files(root)
    except OSError as error:
        raise UserError(f"{root}: {reason(error)}") from None
    names = [str(path.relative_to(root)) for path in paths]
    digest, sizes = hashlib.sha256(), set()
    for name, path in zip(names, paths, strict=True):
        digest.update(f"{name}\0{path.stat().st_size if path.exists() else -1}\0".encode())
        if data.size is None and (header := images_pixels.read_header(path)):
            sizes.add(header[1])
    if data.size is None and not sizes:
        raise UserError(f"{root}: no readable image ({len(paths)} tried)")
    side = data.size or min(map(min, sizes))
    height, width = (side, side) if data.size or len(sizes) > 1 else sizes.pop()
    if data.size is None and height != width:
        side = min(height, width)
        log.warning("%s: images are cropped to %d x %d; set --size for another", root, side, side)
    classes = {folder: i for i, folder in enumerate(sorted({path.parent for path in paths}))}
    channels = data.channels or 3

    def read(indices: range) -> Iterator[Example]:
        for i in indices:
            label = classes[paths[i].parent] if len(classes) > 1 else None
            try:
                image = images_pixels.decode(paths[i], channels)
            except Exception as error:  # Pillow's readers raise exceptions of their own types
                yield Example(names[i], None, label, reason(error)[:200])
                continue
            header = images_pixels.read_header(paths[i])
            is_gray = header is not None and header[0] in ("1", "L", "LA", "I;16")
            yield Example(names[i], image, label, was_gray=channels == 3 and is_gray)

    shape = (side, side, channels)
    return Source(len(paths), digest.hexdigest(), read, shape, len(classes) > 1)


def _dataset_source(data: ImageData) -> Source:
    """Return the images of a data set by name.

    Those of tensorflow-datasets are read in blocks. Other sets are loaded into memory.
    """
    if sources.is_tfds(data):
        return _tfds_source(data)
    dataset = sources.load(dataclasses.replace(data, size=None, channels=None))
    real, labels = dataset.batch.real, dataset.labels
    if real.ndim != 4 or real.dtype != np.uint8:
        raise UserError(
            f"data set {data.name!r} must have uint8 images [h, w, c], got {real.dtype} "
            f"{list(real.shape[1:])}"
        )
    side = data.size or min(real.shape[1:3])
    channels = data.channels or real.shape[-1]

    def read(indices: range) -> Iterator[Example]:
        for i in indices:
            image = images_pixels.convert_channels(real[i : i + 1], channels)[0]
            label = None if labels is None else int(labels[i])
            yield Example(str(i), image, label, was_gray=channels > real.shape[-1])

    shape = (side, side, channels)
    return Source(len(real), dataset.fingerprint, read, shape, labels is not None)


def _tfds_source(data: ImageData) -> Source:
    images = tfds.TfdsImages(data)
    channels = data.channels or images.channels
    if not len(images):
        raise UserError(f"data set {data.name!r} has no examples")
    first = images.read(range(1))[0][0]
    side = data.size or min(first.shape[:2])

    def read(indices: range) -> Iterator[Example]:
        for start in range(indices.start, indices.stop, tfds.BLOCK):
            block = range(start, min(start + tfds.BLOCK, indices.stop))
            real, labels = images.read(block)
            for i, image in zip(block, real, strict=True):
                image = images_pixels.convert_channels(image[None], channels)[0]
                label = labels[i - start] if labels else None
                yield Example(str(i), image, label, was_gray=channels > images.channels)

    return Source(len(images), images.identity, read, (side, side, channels), images.has_labels)


def _encode(image: np.ndarray, image_format: str) -> bytes:
    """Encode an image as the bytes of a record."""
    if image_format == "raw":
        return image.tobytes()
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()


def _write_shard(source: Source, indices: range, path: Path, image_format: str) -> dict[str, Any]:
    """Write the shard `path` of images `indices` of the source; return its statistics."""
    from array_record.python import array_record_module  # pyright: ignore[reportAttributeAccessIssue]

    part, pixels = path.with_name(path.name + ".part"), hashlib.sha256()
    row: dict[str, Any] = {"left_out": [], "grey": 0, "cropped": 0, "enlarged": 0}
    labels, side = [], source.shape[0]
    writer: Any = array_record_module.ArrayRecordWriter(str(part), OPTIONS[image_format])
    for example in source.read(indices):
        image = example.image
        if image is None:
            log.warning("left out %s: %s", example.name, example.error)
            row["left_out"].append([example.name, example.error])
            continue
        row["grey"] += example.was_gray
        row["cropped"] += image.shape[0] != image.shape[1]
        row["enlarged"] += min(image.shape[:2]) < side
        image = images_pixels.resize(image, side)
        pixels.update(image.tobytes())
        writer.write(_encode(image, image_format))
        labels.append(example.label)
    writer.close()
    row |= {"examples": len(labels), "bytes": part.stat().st_size, "pixels": pixels.hexdigest()}
    part.replace(path)
    return row | {"labels": labels if source.has_labels else None}


def _is_complete(folder: Path, plan: dict[str, Any]) -> bool:
    """Return whether the folder contains the complete set of this plan, else write the plan.

    Raises:
        UserError: If it contains another set, or something else.
    """
    for name in (shards.NAME, PLAN):
        try:
            stored = json.loads((folder / name).read_text())
            stored = stored["plan"] if name == shards.NAME else stored
            differing = [key for key in plan if stored[key] != plan[key]]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder / name} is damaged: {reason(error)}") from None
        if differing:
            pairs = "; ".join(f"{key} is {stored[key]!r}, not {plan[key]!r}" for key in differing)
            raise UserError(f"out {folder} contains another set: {pairs}")
        return name == shards.NAME
    if {path.name for path in folder.iterdir()} - {locking.NAME, f"{PLAN}.part"}:
        raise UserError(f"out must be empty or a partly prepared set, got {folder}")
    write_atomically(folder / PLAN, json.dumps(plan, indent=1) + "\n")
    return False


def prepare(
    data: ImageData, out: Path, image_format: str = "png", shard_size: int = SHARD
) -> dict[str, Any]:
    """Write a prepared set, or continue an interrupted preparation.

    Args:
        data: Name and options of the data set to prepare.
        out: Path to the folder to write.
        image_format: Format of the records: `png` or `raw`.
        shard_size: Number of images of the source per file.

    Returns:
        The content of prepared.json.

    Raises:
        UserError: If the set is absent or has no image, or if `out` has another set or cannot be
            written.
    """
    if image_format not in shards.FORMATS:
        raise UserError(f"format must be one of {', '.join(shards.FORMATS)}, got {image_format!r}")
    if not 1 <= shard_size < 2**31:
        raise UserError(f"shard must be from 1 to 2^31 - 1, got {shard_size}")
    if data.size is not None and not 1 <= data.size <= 2**13:
        raise UserError(f"size must be from 1 to 8192, got {data.size}")
    source = _folder_source(data) if data.name == "folder" else _dataset_source(data)
    plan = {"source": data.name, "split": data.split, "identity": source.identity}
    plan |= {
        "tried": source.count,
        "shape": list(source.shape),
        "format": image_format,
        "shard": shard_size,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locking.lock_folder(out):
            if not _is_complete(out, plan):
                _finish(source, plan, out)
            _clean(out)
        return json.loads((out / shards.NAME).read_text())
    except (OSError, RuntimeError) as error:  # array_record raises RuntimeError
        raise UserError(f"out {out} cannot be written: {reason(error)}") from None


def _clean(out: Path) -> None:
    for path in [out / PLAN, *out.glob("shard-*.json"), *out.glob("*.part")]:
        path.unlink(missing_ok=True)


def _finish(source: Source, plan: dict[str, Any], out: Path) -> None:
    """Write the absent shards, and then prepared.json, which marks the set as complete."""
    rows, shard_size = [], plan["shard"]
    starts = range(0, source.count, shard_size)
    for k, start in enumerate(tqdm(starts, unit="shard", disable=None)):
        path = out / shards.shard_name(k)
        row_path = path.with_suffix(".json")
        if not (path.exists() and row_path.exists()):
            indices = range(start, min(start + shard_size, source.count))
            row = _write_shard(source, indices, path, plan["format"])
            write_atomically(row_path, json.dumps(row) + "\n")
        rows.append(json.loads(row_path.read_text()))
    examples = sum(row["examples"] for row in rows)
    if not examples:
        raise UserError(f"{plan['source']}: no readable image ({source.count} tried)")
    digest = _write_labels(source, [row.pop("labels") for row in rows], out)
    report: dict[str, Any] = {
        name: sum(row.pop(name) for row in rows) for name in ("grey", "cropped", "enlarged")
    }
    report["left_out"] = [example for row in rows for example in row.pop("left_out")]
    info = {"examples": examples, "split": plan["split"], "format": plan["format"]}
    info |= {"shape": plan["shape"], "resize": shards.RESIZE, "labels": digest}
    info |= {"report": report, "plan": plan, "shards": rows}
    write_atomically(out / shards.NAME, json.dumps(info, indent=1) + "\n")


def _write_labels(source: Source, shard_labels: list[list[int] | None], out: Path) -> str | None:
    """Write the labels and return their hash, or None if they are not known."""
    labels = np.asarray([label for part in shard_labels for label in part or ()], np.int32)
    if not source.has_labels or labels.min() < 0:  # TFDS has -1 for an unknown label
        return None
    with (out / f"{shards.LABELS}.part").open("wb") as file:
        np.lib.format.write_array(file, labels, allow_pickle=False)
    (out / f"{shards.LABELS}.part").replace(out / shards.LABELS)
    return hashlib.sha256(labels.tobytes()).hexdigest()

"""Makes prepared sets (gan_jax/data/images/shards.py): every picture is decoded, cropped and
resized once.

Shard k holds the k-th so many files of the source, in their order, less those that are broken. It
is written beside its place and moved there when whole, with what was found in it; so a preparation
that is broken off goes on with the first shard that is not there, to the same bytes.
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
SHARD = 10_000  # pictures in a file
PLAN = "prepare.json"  # there while the set is being made
OPTIONS = {"png": "group_size:1,uncompressed", "raw": "group_size:1"}


@dataclasses.dataclass(frozen=True)
class Example:
    """One that the source has: a picture, or why there is none."""

    name: str
    picture: np.ndarray | None
    """uint8 [h, w, c]."""
    label: int | None = None
    broken: str = ""
    grey: bool = False
    """It was grey, and was made RGB."""


@dataclasses.dataclass(frozen=True)
class Source:
    """What is to be prepared, by number."""

    count: int
    identity: str
    """Another one where the source is not the same."""
    read: Callable[[range], Iterator[Example]]
    shape: tuple[int, int, int]
    """Of the prepared pictures."""
    has_labels: bool


def _folder_source(data: ImageData) -> Source:
    """The pictures below `data.path`; the folders are classes, where there are several."""
    root = files.require_path(data)
    try:
        paths = files.find_files(root)
    except OSError as error:
        raise UserError(f"{root}: {reason(error)}") from None
    names = [str(path.relative_to(root)) for path in paths]
    digest, sizes = hashlib.sha256(), set()
    for name, path in zip(names, paths, strict=True):
        digest.update(f"{name}\0{path.stat().st_size if path.exists() else -1}\0".encode())
        if data.size is None and (found := images_pixels.read_header(path)):
            sizes.add(found[1])
    if data.size is None and not sizes:
        raise UserError(f"{root} holds no readable picture ({len(paths)} tried)")
    side = data.size or min(map(min, sizes))
    height, width = (side, side) if data.size or len(sizes) > 1 else sizes.pop()
    if data.size is None and height != width:
        side = min(height, width)
        log.warning("%s: pictures are cropped to %d x %d: --size sets another", root, side, side)
    classes = {folder: i for i, folder in enumerate(sorted({path.parent for path in paths}))}
    channels = data.channels or 3

    def read(places: range) -> Iterator[Example]:
        for i in places:
            label = classes[paths[i].parent] if len(classes) > 1 else None
            try:
                picture = images_pixels.decode(paths[i], channels)
            except Exception as error:  # Pillow's readers raise kinds of their own
                yield Example(names[i], None, label, reason(error)[:200])
                continue
            found = images_pixels.read_header(paths[i])
            grey = channels == 3 and found is not None and found[0] in ("1", "L", "LA", "I;16")
            yield Example(names[i], picture, label, grey=grey)

    shape = (side, side, channels)
    return Source(len(paths), digest.hexdigest(), read, shape, len(classes) > 1)


def _dataset_source(data: ImageData) -> Source:
    """A set by name: one of tensorflow-datasets, of which only so much is in memory as is read at a
    time; or another one of pictures, whole in memory."""
    if sources.is_tfds(data):
        return _tfds_source(data)
    whole = dataclasses.replace(data, size=None, channels=None)
    dataset = sources.load(whole)
    real, labels = dataset.batch.real, dataset.labels
    if real.ndim != 4 or real.dtype != np.uint8:
        raise UserError(f"data set {data.name!r} holds {real.dtype} {list(real.shape[1:])}")
    side = data.size or min(real.shape[1:3])
    channels = data.channels or real.shape[-1]

    def read(places: range) -> Iterator[Example]:
        for i in places:
            picture = images_pixels.convert_channels(real[i : i + 1], channels)[0]
            label = None if labels is None else int(labels[i])
            yield Example(str(i), picture, label, grey=channels > real.shape[-1])

    shape = (side, side, channels)
    return Source(len(real), dataset.fingerprint, read, shape, labels is not None)


def _tfds_source(data: ImageData) -> Source:
    found = tfds.TfdsImages(data)
    channels = data.channels or found.channels
    if not len(found):
        raise UserError(f"data set {data.name!r} holds no examples")
    first = found.read(range(1))[0][0]
    side = data.size or min(first.shape[:2])

    def read(places: range) -> Iterator[Example]:
        for start in range(places.start, places.stop, tfds.BLOCK):
            part = range(start, min(start + tfds.BLOCK, places.stop))
            real, labels = found.read(part)
            for i, picture in zip(part, real, strict=True):
                picture = images_pixels.convert_channels(picture[None], channels)[0]
                label = labels[i - start] if labels else None
                yield Example(str(i), picture, label, grey=channels > found.channels)

    return Source(len(found), found.identity, read, (side, side, channels), found.has_labels)


def _encode(picture: np.ndarray, form: str) -> bytes:
    if form == "raw":
        return picture.tobytes()
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(buffer, "PNG")
    return buffer.getvalue()


def _write_shard(source: Source, places: range, path: Path, form: str) -> dict[str, Any]:
    """Writes the shard `path` of the examples `places` of the source; returns what it came to."""
    from array_record.python import array_record_module  # pyright: ignore[reportAttributeAccessIssue]

    part, pixels = path.with_name(path.name + ".part"), hashlib.sha256()
    found: dict[str, Any] = {"left_out": [], "grey": 0, "cropped": 0, "enlarged": 0}
    labels, side = [], source.shape[0]
    writer: Any = array_record_module.ArrayRecordWriter(str(part), OPTIONS[form])
    for example in source.read(places):
        picture = example.picture
        if picture is None:
            log.warning("left out %s: %s", example.name, example.broken)
            found["left_out"].append([example.name, example.broken])
            continue
        found["grey"] += example.grey
        found["cropped"] += picture.shape[0] != picture.shape[1]
        found["enlarged"] += min(picture.shape[:2]) < side
        picture = images_pixels.resize(picture, side)
        pixels.update(picture.tobytes())
        writer.write(_encode(picture, form))
        labels.append(example.label)
    writer.close()
    found |= {"examples": len(labels), "bytes": part.stat().st_size, "pixels": pixels.hexdigest()}
    part.replace(path)
    return found | {"labels": labels if source.has_labels else None}


def _plan(folder: Path, plan: dict[str, Any]) -> bool:
    """Whether the folder has the whole set of this plan already; else it has the plan afterwards.
    Raises UserError where it has another set, or something else."""
    for name in (shards.NAME, PLAN):
        try:
            there = json.loads((folder / name).read_text())
            there = there["plan"] if name == shards.NAME else there
            unlike = [key for key in plan if there[key] != plan[key]]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder / name} is damaged: {reason(error)}") from None
        if unlike:
            said = "; ".join(f"{key} is {there[key]!r} there, {plan[key]!r} here" for key in unlike)
            raise UserError(f"out {folder} holds another set: {said}")
        return name == shards.NAME
    if {path.name for path in folder.iterdir()} - {locking.NAME, f"{PLAN}.part"}:
        raise UserError(f"out {folder} is neither empty nor a set that was being prepared")
    write_atomically(folder / PLAN, json.dumps(plan, indent=1) + "\n")
    return False


def prepare(
    data: ImageData, out: Path, image_format: str = "png", shard_size: int = SHARD
) -> dict[str, Any]:
    """Writes the set that `data` names into the folder `out`, or goes on with that; returns its
    prepared.json. Raises UserError where there is no such set, it holds no picture, `out` has
    another one, or cannot be written."""
    if image_format not in shards.FORMATS:
        raise UserError(
            f"format is {image_format!r}: it must be one of {', '.join(shards.FORMATS)}"
        )
    if not 1 <= shard_size < 2**31 or (data.size is not None and not 1 <= data.size <= 2**13):
        raise UserError(f"shard is {shard_size}, size {data.size}: at least 1, size at most 8192")
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
            if not _plan(out, plan):
                _finish(source, plan, out)
            _clean(out)
        return json.loads((out / shards.NAME).read_text())
    except (OSError, RuntimeError) as error:  # array_record raises RuntimeError
        raise UserError(f"out {out} cannot be written: {reason(error)}") from None


def _clean(out: Path) -> None:
    for path in [out / PLAN, *out.glob("shard-*.json"), *out.glob("*.part")]:
        path.unlink(missing_ok=True)


def _finish(source: Source, plan: dict[str, Any], out: Path) -> None:
    """The shards that are not there yet, and then prepared.json, which makes the set whole."""
    rows, shard = [], plan["shard"]
    starts = range(0, source.count, shard)
    for k, start in enumerate(tqdm(starts, unit="shard", disable=None)):
        path = out / shards.shard_name(k)
        beside = path.with_suffix(".json")
        if not (path.exists() and beside.exists()):
            places = range(start, min(start + shard, source.count))
            row = _write_shard(source, places, path, plan["format"])
            write_atomically(beside, json.dumps(row) + "\n")
        rows.append(json.loads(beside.read_text()))
    examples = sum(row["examples"] for row in rows)
    if not examples:
        raise UserError(f"{plan['source']}: there is no readable picture ({source.count} tried)")
    labels = [row.pop("labels") for row in rows]
    digest = None
    every = np.asarray([label for part in labels for label in part or ()], np.int32)
    if source.has_labels and every.min() >= 0:  # -1: not known, of TFDS
        digest = hashlib.sha256(every.tobytes()).hexdigest()
        with (out / f"{shards.LABELS}.part").open("wb") as file:
            np.lib.format.write_array(file, every, allow_pickle=False)
        (out / f"{shards.LABELS}.part").replace(out / shards.LABELS)
    report: dict[str, Any] = {
        name: sum(row.pop(name) for row in rows) for name in ("grey", "cropped", "enlarged")
    }
    report["left_out"] = [one for row in rows for one in row.pop("left_out")]
    found = {"examples": examples, "split": plan["split"], "format": plan["format"]}
    found |= {"shape": plan["shape"], "resize": shards.RESIZE, "labels": digest}
    found |= {"report": report, "plan": plan, "shards": rows}
    write_atomically(out / shards.NAME, json.dumps(found, indent=1) + "\n")

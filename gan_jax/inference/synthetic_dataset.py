"""A labelled data set of a class-conditional run's samples: gan-jax synthesize RUN.

It is a folder of one of three forms, each of which `--data.name` reads:

    npz           samples.npz with `images` uint8 [n, h, w, c] and `labels` int32 [n]
    png           a folder a class, named by its number, of pictures
    array_record  what tensorflow-datasets reads by the folder's name, version 1.0.0, split `train`

and samples.json, which says how it was made. Example i is of class i mod the number of classes,
and depends on the seed and on i alone.
"""

import json
import logging
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from gan_jax.config import AudioData, Config
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.core.files import write_atomically
from gan_jax.data.images import pixels as images_pixels
from gan_jax.inference import sampling
from gan_jax.runs import folder as run_folder

RECORD = "samples.json"
BATCH = 4096  # samples that are floats at a time
FORMATS = ("npz", "png", "array_record")
VERSION = "1.0.0"
SHARD = 100_000  # examples in one file of array_record


def select_classes(config: Config, asked: Sequence[int] | None) -> list[int]:
    """The classes asked for, or all. Raises UserError if the generator has none, or not these."""
    count = sampling.num_classes(config)
    if not count:
        raise UserError(f"{config.name} is not conditioned on classes: its samples have no labels")
    wanted = list(range(count)) if asked is None else list(asked)
    absent = [label for label in wanted if not 0 <= label < count]
    if absent or not wanted or len(set(wanted)) < len(wanted):
        raise UserError(
            f"classes is {' '.join(map(str, wanted)) or 'empty'}: it must be some of the run's "
            f"classes, 0 to {count - 1}, each once"
        )
    return wanted


def labelled_samples(
    config: Config,
    variables: Any,
    seed: int,
    per_class: int,
    classes: Sequence[int] | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`per_class` samples of each of the `classes` (by default all) of a generator with
    `variables`: uint8 [n, h, w, c], and their labels int32 [n], which take turns.

    The noise is that of `sampling.sample` with this seed. Raises UserError for classes that it has
    not, samples that are no pictures, and those that are not finite.
    """
    wanted = select_classes(config, classes)
    if per_class < 1:
        raise UserError(f"per_class is {per_class}: it must be at least 1")
    labels = np.tile(np.asarray(wanted, np.int32), per_class)
    key, made = keys.sample_key(seed), []
    for first in range(0, len(labels), BATCH):
        part = labels[first : first + BATCH]
        x = sampling.sample(config, variables, key, len(part), part, first=first, devices=devices)
        if x.ndim != 4 or isinstance(config.data, AudioData):
            kind = "sounds" if isinstance(config.data, AudioData) else "points"
            raise UserError(f"{config.name} makes {kind} {list(x.shape[1:])}, not pictures")
        if not np.isfinite(x).all():
            raise UserError(f"{config.name}: a sample is not finite, the run has diverged")
        made.append(images_pixels.to_pixels(x, symmetric=config.data.symmetric))
    return np.concatenate(made), labels


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _png(folder: Path, images: np.ndarray, labels: np.ndarray, classes: int) -> None:
    width = len(str(classes - 1))  # folders are classes in the order of their names
    for label in np.unique(labels):
        (folder / f"{label:0{width}d}").mkdir()
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        _picture(pixels).save(folder / f"{label:0{width}d}" / f"{i:08d}.png")


def _array_record(
    folder: Path, name: str, images: np.ndarray, labels: np.ndarray, classes: int
) -> None:
    """By TFDS's own writer, which needs no TensorFlow where it is given pictures of Pillow's."""
    import tensorflow_datasets as tfds

    kinds: Any = tfds.features
    features = {"image": kinds.Image(shape=images.shape[1:], encoding_format="png")}
    features["label"] = kinds.ClassLabel(num_classes=classes)
    where = folder / VERSION
    where.mkdir()
    identity = tfds.core.DatasetIdentity(name, tfds.core.Version(VERSION), str(where), "")
    info = tfds.core.DatasetInfo(
        builder=identity,
        description="Samples of a GAN: see samples.json.",
        features=kinds.FeaturesDict(features),
        supervised_keys=("image", "label"),
    )
    writer = tfds.core.SequentialWriter(info, SHARD, file_format="array_record")
    writer.initialize_splits(["train"])
    for first in range(0, len(images), BATCH):
        pairs = zip(images[first : first + BATCH], labels[first : first + BATCH], strict=True)
        writer.add_examples({"train": [{"image": _picture(x), "label": int(y)} for x, y in pairs]})
    writer.close_all()


def check_output(out: Path, form: str, *, force: bool) -> None:
    """Raises UserError if a set of this form cannot be `out`: there is something, and no `force`;
    there is something else than such a set, force or not; or its name is none for TFDS."""
    if out.exists() or out.is_symlink():
        if not force:
            raise UserError(f"{out} exists: give --force to overwrite it, or another --out")
        if not (out / RECORD).is_file():
            raise UserError(f"{out} is no set of samples (it has no {RECORD}): it is left alone")
    if form not in FORMATS:
        raise UserError(f"format is {form!r}: it must be one of {', '.join(FORMATS)}")
    if form == "array_record" and not re.fullmatch(r"[a-z][a-z0-9_]*", out.name):
        raise UserError(
            f"out is {str(out)!r}: its last part names the data set, so it must be lower-case "
            "letters, digits and _, from a letter on"
        )


def write(
    out: Path,
    form: str,
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    record: dict[str, Any],
    *,
    force: bool = False,
) -> None:
    """Makes the folder `out` of images uint8 [n, h, w, c] with labels int32 [n] out of `classes`
    many, and of `record` as samples.json. It is made beside its place and moved there when whole.

    Raises UserError as `check_out` does, and if it cannot be written.
    """
    check_output(out, form, force=force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
            whole = Path(beside) / "whole"
            whole.mkdir()
            if form == "npz":
                np.savez_compressed(whole / "samples.npz", images=images, labels=labels)
            elif form == "png":
                _png(whole, images, labels, classes)
            else:
                _array_record(whole, out.name, images, labels, classes)
            write_atomically(whole / RECORD, json.dumps(record, indent=1) + "\n")
            old = Path(beside) / "old"
            if out.exists():
                out.rename(old)
            try:
                whole.rename(out)
            except OSError:
                if old.exists():
                    old.rename(out)
                raise
    except OSError as error:
        raise UserError(f"out is {str(out)!r}: {error.strerror or error}") from None


def synthesize(
    config: Config,
    variables: Any,
    out: Path,
    *,
    form: str = "npz",
    per_class: int = 1000,
    classes: Sequence[int] | None = None,
    seed: int = 0,
    step: int | None = None,
    member: int | None = None,
    force: bool = False,
) -> int:
    """Writes the set of samples of a run's generator; `step` and `member` are for its record.
    Returns how many there are. Raises UserError before anything is made, where it is a mistake."""
    check_output(out, form, force=force)
    images, labels = labelled_samples(config, variables, seed, per_class, classes)
    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS proposes OpenCV
    record = {
        "run": config.name,
        "step": step,
        "member": member,
        "run_seed": config.seed,
        "seed": seed,
        "per_class": per_class,
        "classes": [int(label) for label in labels[: len(labels) // per_class]],
        "examples": len(images),
        "shape": list(images.shape[1:]),
        "format": form,
        "versions": run_folder.environment(jax.local_devices()[:1]),
    }
    write(out, form, images, labels, sampling.num_classes(config), record, force=force)
    return len(images)

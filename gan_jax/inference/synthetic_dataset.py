"""Labeled data sets of a class-conditional generator's samples: `gan-jax synthesize RUN`.

A data set is a folder in one of three formats, each of which `--data.name` reads:

    npz           samples.npz with `images` uint8 [n, h, w, c] and `labels` int32 [n]
    png           one folder of images for each class, named by its number
    array_record  tensorflow-datasets files, named after the folder, version 1.0.0, split `train`

and samples.json, which records how it was generated. Example i has class i mod the number of
classes, and depends only on the seed and i.
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
BATCH = 4096  # samples held as float32 at a time
FORMATS = ("npz", "png", "array_record")
VERSION = "1.0.0"
SHARD = 100_000  # examples in one file of array_record


def select_classes(config: Config, classes: Sequence[int] | None) -> list[int]:
    """Return the requested classes, or all. Raises UserError if the generator lacks any."""
    count = sampling.num_classes(config)
    if not count:
        raise UserError(f"{config.name} is not conditioned on classes: its samples have no labels")
    selected = list(range(count)) if classes is None else list(classes)
    is_valid = all(0 <= label < count for label in selected)
    if not is_valid or not selected or len(set(selected)) < len(selected):
        got = " ".join(map(str, selected)) or "none"
        raise UserError(f"classes must be distinct and from 0 to {count - 1}, got {got}")
    return selected


def labeled_samples(
    config: Config,
    variables: Any,
    seed: int,
    per_class: int,
    classes: Sequence[int] | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Generate images of each class, with the latents of `sampling.sample`.

    Args:
        config: Config of the run.
        variables: Variables of its generator.
        seed: Seed of the latents.
        per_class: Number of samples of each class.
        classes: Classes to sample; all by default.
        devices: Devices to use; one by default.

    Returns:
        Images, uint8 [n, h, w, c], and their labels, int32 [n], which cycle through the classes.

    Raises:
        UserError: If the generator lacks a class, its samples are not images, or one is not finite.
    """
    selected = select_classes(config, classes)
    if per_class < 1:
        raise UserError(f"per_class must be at least 1, got {per_class}")
    labels = np.tile(np.asarray(selected, np.int32), per_class)
    key, batches = keys.sample_key(seed), []
    for first in range(0, len(labels), BATCH):
        part = labels[first : first + BATCH]
        x = sampling.sample(config, variables, key, len(part), part, first=first, devices=devices)
        if x.ndim != 4 or isinstance(config.data, AudioData):
            kind = "audio" if isinstance(config.data, AudioData) else "points"
            raise UserError(f"{config.name} must generate images, got {kind} {list(x.shape[1:])}")
        if not np.isfinite(x).all():
            raise UserError(f"{config.name}: a sample is not finite, the run has diverged")
        batches.append(images_pixels.to_pixels(x, symmetric=config.data.symmetric))
    return np.concatenate(batches), labels


def _to_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _write_png(folder: Path, images: np.ndarray, labels: np.ndarray, classes: int) -> None:
    width = len(str(classes - 1))  # folders are classes in the order of their names
    for label in np.unique(labels):
        (folder / f"{label:0{width}d}").mkdir()
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        _to_image(pixels).save(folder / f"{label:0{width}d}" / f"{i:08d}.png")


def _write_array_record(
    folder: Path, name: str, images: np.ndarray, labels: np.ndarray, classes: int
) -> None:
    # TFDS's writer needs no TensorFlow if images are Pillow images.
    import tensorflow_datasets as tfds

    kinds: Any = tfds.features
    features = {"image": kinds.Image(shape=images.shape[1:], encoding_format="png")}
    features["label"] = kinds.ClassLabel(num_classes=classes)
    version_folder = folder / VERSION
    version_folder.mkdir()
    identity = tfds.core.DatasetIdentity(name, tfds.core.Version(VERSION), str(version_folder), "")
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
        writer.add_examples({"train": [{"image": _to_image(x), "label": int(y)} for x, y in pairs]})
    writer.close_all()


def check_output(out: Path, form: str, *, force: bool) -> None:
    """Check that a data set can be written.

    Args:
        out: Folder to write.
        form: Format of the data set.
        force: Overwrite an earlier data set of samples.

    Raises:
        UserError: If `out` exists and `force` is false, `out` is anything but a data set of samples
            (even with `force`), or its name is not valid for TFDS.
    """
    if out.exists() or out.is_symlink():
        if not force:
            raise UserError(f"{out} exists: give --force to overwrite it, or another --out")
        if not (out / RECORD).is_file():
            raise UserError(f"{out} must be a data set of samples to be overwritten: no {RECORD}")
    if form not in FORMATS:
        raise UserError(f"format must be one of {', '.join(FORMATS)}, got {form!r}")
    if form == "array_record" and not re.fullmatch(r"[a-z][a-z0-9_]*", out.name):
        raise UserError(
            "out must end in a data set name of lower-case letters, digits and _, starting with a "
            f"letter, got {str(out)!r}"
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
    """Write a data set atomically: into a temporary folder, which is renamed when complete.

    Args:
        out: Folder to write.
        form: Format of the data set.
        images: Images, uint8 [n, h, w, c].
        labels: Class labels, int32 [n].
        classes: Number of classes of the generator.
        record: Content of samples.json.
        force: Overwrite an earlier data set of samples.

    Raises:
        UserError: As `check_output`, or if the data set cannot be written.
    """
    check_output(out, form, force=force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
            complete = Path(temporary) / "complete"
            complete.mkdir()
            if form == "npz":
                np.savez_compressed(complete / "samples.npz", images=images, labels=labels)
            elif form == "png":
                _write_png(complete, images, labels, classes)
            else:
                _write_array_record(complete, out.name, images, labels, classes)
            write_atomically(complete / RECORD, json.dumps(record, indent=1) + "\n")
            old = Path(temporary) / "old"
            if out.exists():
                out.rename(old)
            try:
                complete.rename(out)
            except OSError:
                if old.exists():
                    old.rename(out)
                raise
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from None


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
    """Write a labeled data set of a generator's samples.

    Args:
        config: Config of the run.
        variables: Variables of its generator.
        out: Folder to write.
        form: Format: "npz", "png" or "array_record".
        per_class: Number of samples of each class.
        classes: Classes to sample; all by default.
        seed: Seed of the latents.
        step: Step of the generator, for samples.json.
        member: Member of the population, for samples.json.
        force: Overwrite an earlier data set of samples.

    Returns:
        Number of samples.

    Raises:
        UserError: If an argument is out of range; nothing is written then.
    """
    check_output(out, form, force=force)
    images, labels = labeled_samples(config, variables, seed, per_class, classes)
    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS recommends OpenCV
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

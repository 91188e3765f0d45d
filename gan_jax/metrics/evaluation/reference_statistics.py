"""The statistics of real data under some features, kept on the disk: they are always the same."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.metrics import frechet
from gan_jax.metrics.evaluation import image
from gan_jax.metrics.evaluation.image import Gathered
from gan_jax.metrics.features.extractor import Features
from gan_jax.progress import tqdm

log = logging.getLogger(__name__)
BATCH = 512  # pictures between two steps of progress
MOST_PIXELS = 64 * 64 * 3  # as features: their covariance takes 1.2 GB


def cache_folder() -> Path:
    """$GAN_JAX_CACHE, or the user's cache folder."""
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "gan_jax"
    return Path(os.environ.get("GAN_JAX_CACHE", root)).expanduser()


def keep(path: Path, arrays: dict[str, Any]) -> None:
    """Writes a file .npz of the cache, whole or not at all. Where that cannot be, the log says so:
    what is in it is at hand, and not lost for that."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(path)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error.strerror)


def of_images(
    features: Features, images: np.ndarray, devices: Sequence[jax.Device] | None, *, quiet: bool
) -> Gathered:
    """Of images uint8 [n, h, w, c]."""
    with tqdm(total=len(images), unit="picture", disable=quiet, desc=features.name) as bar:

        def batches():
            for first in range(0, len(images), BATCH):
                part = images[first : first + BATCH]
                yield features(part, devices)
                bar.update(len(part))

        return image.gather(batches(), len(images))


def of_reals(
    features: Features,
    dataset: Dataset,
    devices: Sequence[jax.Device] | None = None,
    *,
    cache: Path | None = None,
    quiet: bool = False,
) -> Gathered:
    """Of all examples of a data set, from the cache where they are there.

    A file of the cache that cannot be read is named in the log and made anew, one that cannot be
    written is named. Raises UserError where pixels are more features than a covariance is had of.
    """
    numbers = int(np.prod(dataset.batch.real.shape[1:]))
    if features.name == "pixels" and numbers > MOST_PIXELS:
        raise UserError(
            f"features 'pixels': {numbers} numbers a picture, at most {MOST_PIXELS} are allowed; "
            "give smaller pictures, or --features inception"
        )
    key = hashlib.sha256(f"2 {dataset.fingerprint} {features.sha256}".encode()).hexdigest()
    path = (cache or cache_folder() / "statistics") / f"{key[:32]}.npz"
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            moments = frechet.Moments(int(file["count"]), file["mean"], file["scatter"])
            return Gathered(moments, file["kept"])
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # numpy and zipfile raise many kinds
        log.warning("%s is damaged and made anew: %s", path, " ".join(str(error).split()))
    found = of_images(features, dataset.batch.real, devices, quiet=quiet)
    keep(path, {"kept": found.kept, **found.moments._asdict()})
    return found

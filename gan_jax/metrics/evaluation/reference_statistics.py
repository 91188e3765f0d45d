"""Feature statistics of real data, cached on disk because they never change."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from gan_jax.core.cache import cache_folder, save_cached
from gan_jax.core.errors import UserError
from gan_jax.core.progress import tqdm
from gan_jax.data.sources import Dataset
from gan_jax.metrics import frechet
from gan_jax.metrics.evaluation.feature_statistics import FeatureStatistics, accumulate
from gan_jax.metrics.features.extractor import Features

log = logging.getLogger(__name__)
BATCH = 512  # images between two updates of the progress bar
MAX_PIXELS = 64 * 64 * 3  # as features: their covariance takes 1.2 GB


def _extract(
    features: Features, images: np.ndarray, devices: Sequence[jax.Device] | None, bar: tqdm
) -> Iterator[np.ndarray]:
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        yield features(part, devices)
        bar.update(len(part))


def image_statistics(
    features: Features, images: np.ndarray, devices: Sequence[jax.Device] | None, *, quiet: bool
) -> FeatureStatistics:
    """Compute the statistics of uint8 images [n, h, w, c].

    Args:
      features: the features.
      images: the images.
      devices: devices to compute features on.
      quiet: whether to show no progress.

    Returns:
      The statistics of all images.
    """
    with tqdm(total=len(images), unit="image", disable=quiet, desc=features.name) as bar:
        return accumulate(_extract(features, images, devices, bar), len(images))


def real_statistics(
    features: Features,
    dataset: Dataset,
    devices: Sequence[jax.Device] | None = None,
    *,
    cache: Path | None = None,
    quiet: bool = False,
) -> FeatureStatistics:
    """Compute the statistics of a data set, or read them from the cache.

    A cache file that cannot be read is logged and computed again.

    Args:
      features: the features.
      dataset: preprocessed images.
      devices: devices to compute features on.
      cache: folder of the cache, by default `statistics` in the user's.
      quiet: whether to show no progress.

    Returns:
      The statistics of all images of the data set.

    Raises:
      UserError: pixels of large images, whose covariance does not fit in memory.
    """
    numbers = int(np.prod(dataset.batch.real.shape[1:]))
    if features.name == "pixels" and numbers > MAX_PIXELS:
        raise UserError(
            f"features 'pixels': {numbers} numbers a picture, at most {MAX_PIXELS} are allowed; "
            "give smaller pictures, or --features inception"
        )
    key = hashlib.sha256(f"2 {dataset.fingerprint} {features.sha256}".encode()).hexdigest()
    path = (cache or cache_folder() / "statistics") / f"{key[:32]}.npz"
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            moments = frechet.Moments(int(file["count"]), file["mean"], file["scatter"])
            return FeatureStatistics(moments, file["kept"])
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # numpy and zipfile raise many kinds
        log.warning("%s is damaged and made anew: %s", path, " ".join(str(error).split()))
    statistics = image_statistics(features, dataset.batch.real, devices, quiet=quiet)
    save_cached(path, {"kept": statistics.subsample, **statistics.moments._asdict()})
    return statistics

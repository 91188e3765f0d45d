"""Feature statistics of real data, cached on disk."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import UInt8

from gan_jax.core.cache import cache_folder, save_cached
from gan_jax.core.errors import UserError
from gan_jax.core.progress import tqdm
from gan_jax.data.sources import Dataset
from gan_jax.metrics import frechet
from gan_jax.metrics.evaluation.feature_statistics import FeatureStatistics, accumulate
from gan_jax.metrics.features.extractor import Features

log = logging.getLogger(__name__)
BATCH = 512  # images between two updates of the progress bar
MAX_PIXELS = 64 * 64 * 3  # limit of pixel features: a covariance of 1.2 GB


def _extract(
    features: Features, images: np.ndarray, devices: Sequence[jax.Device] | None, bar: tqdm
) -> Iterator[np.ndarray]:
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        yield features(part, devices)
        bar.update(len(part))


def image_statistics(
    features: Features,
    images: UInt8[np.ndarray, "n h w c"],
    devices: Sequence[jax.Device] | None,
    *,
    quiet: bool,
) -> FeatureStatistics:
    """Compute the feature statistics of images.

    Args:
        features: Features to compute.
        images: Images.
        devices: Devices to compute features on. None: one.
        quiet: Whether to hide the progress bar.

    Returns:
        Statistics of all images.
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
    """Compute the feature statistics of a data set, or read them from the cache.

    A cache file that cannot be read is logged and replaced.

    Args:
        features: Features to compute.
        dataset: Preprocessed images.
        devices: Devices to compute features on. None: one.
        cache: Folder of the cache. None: `statistics` in the cache folder of the user.
        quiet: Whether to hide the progress bar.

    Returns:
        Statistics of all images of the data set.

    Raises:
        UserError: If the features are the pixels of large images, since their covariance does not
            fit in memory.
    """
    image_size = int(np.prod(dataset.batch.real.shape[1:]))
    if features.name == "pixels" and image_size > MAX_PIXELS:
        raise UserError(
            f"images for features 'pixels' must have at most {MAX_PIXELS} values, got "
            f"{image_size}: use smaller images, or --features inception"
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
        log.warning("%s is damaged and will be replaced: %s", path, " ".join(str(error).split()))
    statistics = image_statistics(features, dataset.batch.real, devices, quiet=quiet)
    save_cached(path, {"kept": statistics.subsample, **statistics.moments._asdict()})
    return statistics

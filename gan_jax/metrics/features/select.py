"""Selection of features by name, or by the data."""

import dataclasses
import importlib
import logging
from pathlib import Path
from typing import Any, cast

from gan_jax.config import Data
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.metrics.features import extractor
from gan_jax.metrics.features.extractor import Extractor, Features
from gan_jax.metrics.features.inception_network import TAPS

NAMES = ("classifier", "inception", "pixels")
STACKED_MNIST = "stacked_mnist"
log = logging.getLogger(__name__)


def mnist_data(data: Data) -> Data:
    """Return the data set whose digits Stacked MNIST is made of."""
    return dataclasses.replace(data, name="mnist", labels=False, size=None, channels=None)


def _own(name: str) -> Features:
    """Import a user's `module:function`, or object with the attributes of `Features`."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"features {name!r}: {error}") from None
    if not callable(function):
        raise UserError(f"features {name!r}: it cannot be called with images")
    return extractor.wrap_features(cast(Any, function), name)


def select_features(
    name: str | None,
    data: Data,
    weights: Path | None = None,
    seed: int = 0,
    *,
    dataset: Dataset | None = None,
) -> Features:
    """Select features by name, or those that fit the data.

    A classifier is trained on the data's own labels, unless it is in the cache.

    Args:
      name: `classifier`, `inception` (`inception-768` for another layer than the last), `pixels`,
        or a user's own `module:function`. By default `classifier` where the data have labels of two
        classes or more, else `pixels`.
      data: the data to score.
      weights: those of the Inception network.
      seed: seed of the classifier's training.
      dataset: the loaded `data`.

    Returns:
      The features.

    Raises:
      UserError: another name, or features that are not available.
    """
    if name is None:
        dataset = sources.load(data) if dataset is None else dataset
        several = dataset.labels is not None and dataset.labels.max() > 0
        name = "classifier" if several else "pixels"
    if ":" in name:
        return _own(name)
    kind, _, tap = name.partition("-")
    if kind not in NAMES or (tap and (kind != "inception" or tap not in map(str, TAPS))):
        allowed = ", ".join([*NAMES, *(f"inception-{layer}" for layer in TAPS), "MODULE:FUNCTION"])
        raise UserError(f"features is {name!r}: allowed are {allowed}")
    if kind == "pixels":
        return extractor.pixels()
    if kind == "inception":
        from gan_jax.metrics.features import inception

        return inception.extractor(weights, int(tap or 2048))
    from gan_jax.metrics.features import classifier

    if data.name == STACKED_MNIST:  # each channel is a digit of MNIST
        return classifier.load_classifier(mnist_data(data), seed=seed)
    return classifier.load_classifier(data, seed=seed, dataset=dataset)


def select_training_features(
    data: Data, shape: tuple[int, ...], dataset: Dataset | None = None
) -> Extractor:
    """Select the features for scores in training.

    Args:
      data: the data to score.
      shape: the shape [h, w, c] of its images.
      dataset: the loaded `data`.

    Returns:
      The classifier of the data's own labels, or, where that cannot be had, the pixels of at most
      `extractor.COARSE_SIZE` on a side. The log says why.
    """
    try:
        features = select_features(None, data, dataset=dataset)
    except UserError as error:
        log.warning("scored by pixels: no classifier of %s: %s", data.name, error)
        return extractor.coarse_pixels(shape)
    if not isinstance(features, Extractor) or features.name == "pixels":
        return extractor.coarse_pixels(shape)
    return features

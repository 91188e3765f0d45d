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
    """Return the config of MNIST, which Stacked MNIST is composed of."""
    return dataclasses.replace(data, name="mnist", labels=False, size=None, channels=None)


def _import_features(name: str) -> Features:
    """Import custom features: a `module:function`, or an object that implements `Features`."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"features {name!r}: {error}") from None
    if not callable(function):
        raise UserError(f"features must be callable, got {name!r}")
    return extractor.wrap_features(cast(Any, function), name)


def select_features(
    name: str | None,
    data: Data,
    weights: Path | None = None,
    seed: int = 0,
    *,
    dataset: Dataset | None = None,
) -> Features:
    """Select features by name, or by the data.

    A classifier is trained on the labels of the data set, unless it is cached.

    Args:
        name: `classifier`, `inception` (`inception-768` for another layer than the last), `pixels`,
            or a custom `module:function`. None: `classifier` for data with labels of two classes or
            more, otherwise `pixels`.
        data: Config of the data set to score.
        weights: Path of the weights of the Inception network.
        seed: Seed of the training of the classifier.
        dataset: The loaded `data`, if already loaded.

    Returns:
        The features.

    Raises:
        UserError: If the name is unknown, or the features are not available.

    Example:
        >>> from gan_jax.config import ImageData
        >>> select_features("pixels", ImageData("digits")).name
        'pixels'
    """
    if name is None:
        dataset = sources.load(data) if dataset is None else dataset
        several = dataset.labels is not None and dataset.labels.max() > 0
        name = "classifier" if several else "pixels"
    if ":" in name:
        return _import_features(name)
    kind, _, tap = name.partition("-")
    if kind not in NAMES or (tap and (kind != "inception" or tap not in map(str, TAPS))):
        allowed = ", ".join([*NAMES, *(f"inception-{layer}" for layer in TAPS), "MODULE:FUNCTION"])
        raise UserError(f"features must be one of {allowed}, got {name!r}")
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
        data: Config of the data set to score.
        shape: Shape of its images [h, w, c].
        dataset: The loaded `data`, if already loaded.

    Returns:
        The classifier trained on the labels of the data set. If there is none, the pixels at a size
        of at most `extractor.COARSE_SIZE`; the reason is logged.
    """
    try:
        features = select_features(None, data, dataset=dataset)
    except UserError as error:
        log.warning("scoring by pixels, because %s has no classifier: %s", data.name, error)
        return extractor.coarse_pixels(shape)
    if not isinstance(features, Extractor) or features.name == "pixels":
        return extractor.coarse_pixels(shape)
    return features

"""Which features go with which data, by name."""

import importlib
from pathlib import Path
from typing import Any, cast

from gan_jax.config import Data
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.metrics.evaluation import stacked_mnist
from gan_jax.metrics.features import extractor
from gan_jax.metrics.features.extractor import Features
from gan_jax.metrics.features.inception_network import TAPS

NAMES = ("classifier", "inception", "pixels")


def _own(name: str) -> Features:
    """A user's `module:function`, or object with the attributes of `Features`."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"features {name!r}: {error}") from None
    if not callable(found):
        raise UserError(f"features {name!r}: it cannot be called with images")
    return extractor.own(cast(Any, found), name)


def choose(
    name: str | None,
    data: Data,
    weights: Path | None = None,
    seed: int = 0,
    *,
    dataset: Dataset | None = None,
) -> Features:
    """`classifier`, `inception` (or `inception-768` for another layer than the last), `pixels`, or
    a user's own `module:function`; without a name the classifier where the data has labels of two
    classes or more, else pixels.

    The classifier is trained on the data's own labels, unless it is in the cache; `weights` are the
    Inception network's; `dataset` is what `data` names, where it is loaded already. Raises
    UserError for another name, or where these cannot be had.
    """
    if name is None:
        dataset = sources.load(data) if dataset is None else dataset
        several = dataset.labels is not None and dataset.labels.max() > 0
        name = "classifier" if several else "pixels"
    if ":" in name:
        return _own(name)
    kind, _, tap = name.partition("-")
    if kind not in NAMES or (tap and (kind != "inception" or tap not in map(str, TAPS))):
        allowed = ", ".join([*NAMES, *(f"inception-{one}" for one in TAPS), "MODULE:FUNCTION"])
        raise UserError(f"features is {name!r}: allowed are {allowed}")
    if kind == "pixels":
        return extractor.pixels()
    if kind == "inception":
        from gan_jax.metrics.features import inception

        return inception.extractor(weights, int(tap or 2048))
    from gan_jax.metrics.features import classifier

    if data.name == stacked_mnist.NAME:  # each channel is a digit of MNIST
        return classifier.classifier(stacked_mnist.digits_of(data), seed=seed)
    return classifier.classifier(data, seed=seed, dataset=dataset)

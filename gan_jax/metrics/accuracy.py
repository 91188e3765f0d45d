"""Accuracy of a classifier, which scores a GAN where fakes train it and reals examine it."""

from typing import Any, NamedTuple

import numpy as np

from gan_jax.core.errors import UserError
from gan_jax.metrics import checks


class Accuracy(NamedTuple):
    """top_1: share of examples that are classified right. per_class [classes]: the same of each
    class's examples, NaN where it has none."""

    top_1: float
    per_class: np.ndarray


def accuracy(predictions: Any, labels: Any, classes: int) -> Accuracy:
    """Of predicted against true labels, both integers [n].

    The classification accuracy score is this on the real test set, of a classifier that was trained
    on labelled samples of the generator. Ravuri and Vinyals 2019 (1905.10887). Raises UserError
    unless both are labels from 0 to classes - 1, as many of one as of the other.
    """
    predictions = checks.check_labels("predictions", predictions, classes)
    labels = checks.check_labels("labels", labels, classes)
    if len(predictions) != len(labels):
        n, m = len(predictions), len(labels)
        raise UserError(f"{n} predictions and {m} labels given: as many of both allowed")
    right = predictions == labels
    examples = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[right], minlength=classes)
    per_class = np.full(classes, np.nan)
    np.divide(hits, examples, where=examples > 0, out=per_class)
    return Accuracy(float(right.mean()), per_class)

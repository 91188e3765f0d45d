"""Classification accuracy, which also scores a GAN: train on fakes, test on reals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from gan_jax.core.errors import UserError
from gan_jax.metrics import checks
from gan_jax.metrics.checks import AnyArray


class Accuracy(NamedTuple):
    """Accuracy of predicted labels."""

    top_1: float
    """Fraction of examples with the right label."""
    per_class: Float[np.ndarray, " classes"]
    """Accuracy within each class; NaN for classes without examples."""


def accuracy(
    predictions: Integer[AnyArray, " n"] | Sequence[int],
    labels: Integer[AnyArray, " n"] | Sequence[int],
    classes: int,
) -> Accuracy:
    """Compute the accuracy of predicted labels against true labels.

    This is the classification accuracy score (Ravuri and Vinyals 2019, 1905.10887) if the examples
    are the real test set, and the classifier was trained on labeled samples of a generator.

    Args:
        predictions: Predicted labels [n].
        labels: True labels [n].
        classes: Number of classes.

    Returns:
        Accuracy over all examples, and within each class.

    Raises:
        UserError: If a label is not an integer from 0 to `classes` - 1, or the lengths differ.

    Example:
        >>> overall, per_class = accuracy([0, 1, 1, 1], [0, 0, 1, 1], classes=2)
        >>> overall
        0.75
        >>> per_class.tolist()
        [0.5, 1.0]
    """
    predictions = checks.check_labels("predictions", predictions, classes)
    labels = checks.check_labels("labels", labels, classes)
    if len(predictions) != len(labels):
        raise UserError(
            "predictions and labels must have the same length, "
            f"got {len(predictions)} and {len(labels)}"
        )
    correct = predictions == labels
    examples = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[correct], minlength=classes)
    per_class = np.full(classes, np.nan)
    np.divide(hits, examples, where=examples > 0, out=per_class)
    return Accuracy(float(correct.mean()), per_class)

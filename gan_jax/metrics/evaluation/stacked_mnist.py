"""Which of Stacked MNIST's 1000 modes samples are of, by MNIST's classifier, channel by channel.

The protocol of VEEGAN and PacGAN (1712.04086, sec. 4.2): 26,000 samples, the KL of their histogram
over the modes to uniform. The classifier is the project's own (metrics/features/classifier.py).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax.config import Config, Data
from gan_jax.errors import UserError
from gan_jax.metrics import modes
from gan_jax.metrics.evaluation import streaming
from gan_jax.metrics.evaluation.image import Score
from gan_jax.metrics.features.extractor import Extractor, Features

NAME = "stacked_mnist"
SAMPLES = 26_000
CLASSES = 1000
Counter = Callable[[Any, jax.Array], tuple[np.ndarray, bool]]
METRICS = modes.StackedModes._fields


def digits_of(data: Data) -> Data:
    """The digits that a data set is stacked of."""
    return dataclasses.replace(data, name="mnist", labels=False, size=None, channels=None)


def predict(classifier: Extractor, constants: Any, pictures: jax.Array) -> jax.Array:
    """Modes int32 [n] of pictures uint8 [n, 28, 28, 3]; `constants` are the classifier's variables
    and head."""
    variables, (kernel, bias) = constants
    channels = jnp.moveaxis(pictures, -1, 1).reshape(-1, *pictures.shape[1:3], 1)
    features = classifier.function(variables, channels)
    logits = jnp.dot(features, kernel, precision=lax.Precision.HIGHEST) + bias[None]
    digits = logits.argmax(1).astype(jnp.int32).reshape(-1, 3)
    return digits @ jnp.array([100, 10, 1], jnp.int32)


def make_counter(config: Config, classifier: Features, n: int) -> Counter:
    """count(a generator's variables, key) -> how many of its first `n` samples are of each mode,
    int64 [1000], and whether all samples were finite. One program; the arguments' device does it.

    Raises UserError for features that are no classifier's.
    """
    if not isinstance(classifier, Extractor) or classifier.head is None:
        raise UserError(f"features is {classifier.name!r}: modes are counted by the classifier")
    constants = classifier.variables, classifier.head

    @jax.jit
    def program(constants: Any, variables: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def add(counted: tuple[jax.Array, jax.Array], index: jax.Array):
            counts, finite = counted
            made = streaming.generate_from(config, variables, key, index)
            pictures = streaming.to_pixels(made, symmetric=config.data.symmetric)
            found = jnp.where(index < n, predict(classifier, constants, pictures), CLASSES)
            counts = counts + jnp.bincount(found, length=CLASSES + 1)
            return (counts, finite & jnp.isfinite(made).all()), None

        none = jnp.zeros(CLASSES + 1, jnp.int32), jnp.asarray(True)
        (counts, finite), _ = lax.scan(add, none, streaming.batches(n))
        return counts[:CLASSES], finite

    def count(variables: Any, key: jax.Array) -> tuple[np.ndarray, bool]:
        counts, finite = jax.device_get(program(constants, variables, key))
        return counts.astype(np.int64), bool(finite)

    return count


def scores(counts: np.ndarray) -> dict[str, Score]:
    """covered, kl and excess_kl of counts [1000]."""
    n = int(counts.sum())
    found = modes.stacked_modes(np.repeat(np.arange(CLASSES), counts), CLASSES)
    expected = float(CLASSES), modes.kl_floor(CLASSES, n), 0.0
    return {
        name: Score(float(value), 0, n, of_truth)
        for name, value, of_truth in zip(METRICS, found, expected, strict=True)
    }

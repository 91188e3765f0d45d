"""Evaluation of Stacked MNIST by coverage of its modes, with an MNIST classifier per channel.

The protocol is that of VEEGAN and PacGAN (1712.04086, sec. 4.2): 26,000 samples, and the KL of
their histogram over 1000 modes to the uniform distribution. The classifier is that of
metrics/features/classifier.py.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int, Integer, UInt8

from gan_jax.config import Config, population
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.metrics import modes
from gan_jax.metrics.evaluation import streaming
from gan_jax.metrics.evaluation.evaluator import Evaluation, EvaluationProtocol, Score, Scores
from gan_jax.metrics.evaluation.members import Member
from gan_jax.metrics.features import select
from gan_jax.metrics.features.extractor import Extractor, Features

SAMPLES = 26_000
CLASSES = 1000
METRICS = modes.StackedModes._fields
Counter = Callable[[Any, jax.Array], tuple[np.ndarray, bool]]
"""counter(variables, key): number of samples of each mode int64 [1000], whether all are finite."""


def predict(
    function: Callable[[Any, jax.Array], jax.Array],
    constants: Any,
    images: UInt8[Array, "n h w 3"],
) -> Int[Array, " n"]:
    """Predict the modes of images.

    Args:
        function: Features of the classifier, a function of its variables and images.
        constants: Variables and head of the classifier.
        images: Images of three digits, one in each channel.

    Returns:
        100 a + 10 b + c for digits a, b and c of the channels.
    """
    variables, (kernel, bias) = constants
    channels = jnp.moveaxis(images, -1, 1).reshape(-1, *images.shape[1:3], 1)
    features = function(variables, channels)
    logits = jnp.dot(features, kernel, precision=lax.Precision.HIGHEST) + bias[None]
    digits = logits.argmax(1).astype(jnp.int32).reshape(-1, 3)
    return digits @ jnp.array([100, 10, 1], jnp.int32)


def _count(
    config: Config,
    function: Callable[[Any, jax.Array], jax.Array],
    n: int,
    constants: Any,
    variables: Any,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    def add(total: tuple[jax.Array, jax.Array], index: jax.Array):
        counts, finite = total
        samples = streaming.generate_from(config, variables, key, index)
        images = streaming.to_pixels(samples, symmetric=config.data.symmetric)
        labels = jnp.where(index < n, predict(function, constants, images), CLASSES)
        counts = counts + jnp.bincount(labels, length=CLASSES + 1)
        return (counts, finite & jnp.isfinite(samples).all()), None

    zero = jnp.zeros(CLASSES + 1, jnp.int32), jnp.asarray(True)
    (counts, finite), _ = lax.scan(add, zero, streaming.index_batches(n))
    return counts[:CLASSES], finite


def make_counter(config: Config, classifier: Features, n: int) -> Counter:
    """Make the program that counts the first `n` samples of a generator by mode.

    Args:
        config: Config of the run.
        classifier: Features of MNIST with logits.
        n: Number of samples.

    Returns:
        The program, which runs on the device of its arguments.

    Raises:
        UserError: If the features are not those of a classifier.
    """
    if not isinstance(classifier, Extractor) or classifier.head is None:
        raise UserError(f"features must be those of a classifier, got {classifier.name!r}")
    constants = classifier.variables, classifier.head
    program = jax.jit(functools.partial(_count, config, classifier.function, n))

    def counter(variables: Any, key: jax.Array) -> tuple[np.ndarray, bool]:
        counts, finite = jax.device_get(program(constants, variables, key))
        return counts.astype(np.int64), bool(finite)

    return counter


def scores(counts: Integer[np.ndarray, "1000"]) -> Scores:
    """Compute covered, kl and excess_kl from the number of samples of each mode."""
    n = int(counts.sum())
    coverage = modes.stacked_modes(np.repeat(np.arange(CLASSES), counts), CLASSES)
    expected = expected_scores(n)
    return {
        name: Score(float(score), 0, n, expected[name])
        for name, score in coverage._asdict().items()
    }


def expected_scores(n: int) -> dict[str, float]:
    """Return the expected scores of `n` samples of the data."""
    return {"covered": float(CLASSES), "kl": modes.kl_floor(CLASSES, n), "excess_kl": 0.0}


class StackedModeCoverage:
    """Evaluator of covered modes and KL to uniform of samples of Stacked MNIST."""

    metrics: tuple[str, ...] = METRICS

    def __init__(self, evaluation: Evaluation, classifier: Features, n: int):
        """Make the evaluator.

        Args:
            evaluation: Run to evaluate.
            classifier: Features of MNIST with logits.
            n: Number of samples.

        Raises:
            UserError: If the features are not those of a classifier.
        """
        self._config = evaluation.config
        self._counter = make_counter(evaluation.config, classifier, n)
        self.protocol = EvaluationProtocol(
            features=classifier.name,
            features_note=classifier.note,
            features_sha256=classifier.sha256,
            resize=classifier.resize,
            real=sources.describe(evaluation.config.data),
            real_sha256=evaluation.dataset.fingerprint,
            n_real=0,
            n_fake=n,
            expected=expected_scores(n),
        )

    def _score(self, variables: Any, key: jax.Array) -> Scores | None:
        counts, finite = self._counter(variables, key)
        return scores(counts) if finite else None

    def __call__(self, member: Member) -> Scores:
        """Score a member."""
        member_scores = self._score(member.variables, member.key)
        if member_scores is None:
            raise FloatingPointError("a sample is not finite")
        return member_scores

    def score_members(self, variables: Any, roots: jax.Array) -> list[Scores | None]:
        """Score all members, one after another by the same program."""
        stacked = streaming.with_member_axis((variables, roots), self._config)
        indices = range(len(population.member_configs(self._config)))
        members = [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in indices]
        return [
            self._score(member_variables, keys.step_key(root, keys.Purpose.SAMPLE, 0))
            for member_variables, root in members
        ]


def stacked_mode_coverage(evaluation: Evaluation) -> StackedModeCoverage:
    """Make the evaluator of a run on Stacked MNIST.

    The default features are those of the classifier of MNIST.
    """
    features = evaluation.settings.features
    if features is None:
        features = select.select_features("classifier", evaluation.data)
    return StackedModeCoverage(evaluation, features, evaluation.settings.num or SAMPLES)

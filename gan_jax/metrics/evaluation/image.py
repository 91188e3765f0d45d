"""Evaluation of images by metrics of features of samples and of real data.

The Frechet distance uses all examples, and metrics of pairs use a subsample of each set. During
training, only the Frechet distance and the classifier score are computed, by one program for all
members of the run.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.core.progress import tqdm
from gan_jax.data import sources
from gan_jax.metrics import frechet, kernel, manifold
from gan_jax.metrics.checks import AnyArray
from gan_jax.metrics.evaluation import generator, streaming
from gan_jax.metrics.evaluation.evaluator import (
    Evaluation,
    EvaluationProtocol,
    Evaluator,
    Score,
    Scores,
)
from gan_jax.metrics.evaluation.feature_statistics import (
    MAX_SUBSAMPLE,
    FeatureStatistics,
    accumulate,
)
from gan_jax.metrics.evaluation.members import Member
from gan_jax.metrics.evaluation.reference_statistics import real_statistics
from gan_jax.metrics.features import preprocess, select
from gan_jax.metrics.features.extractor import Extractor, Features
from gan_jax.metrics.inception_score import inception_score

MAX_SAMPLES = 50_000  # limit of the default, the number of real images
MAX_TRAINING_SAMPLES = 5000  # limit of the number of samples in training


def expected_scores(n_real: int, n_fake: int) -> dict[str, float]:
    """Return the known expectations of metrics of pairs, for samples of the real distribution.

    Example:
        >>> expected_scores(10, 10)["density"]
        1.0
    """
    return {
        "kernel": kernel.EXPECTED,
        "density": manifold.EXPECTED_DENSITY,
        "coverage": manifold.expected_coverage(n_real, n_fake),
    }


def compare(real: FeatureStatistics, fake: FeatureStatistics) -> Scores:
    """Compute Frechet and kernel distance, precision, recall, density and coverage of `fake`.

    The subsets of the kernel distance are always the same, and have 1000 examples or half of the
    smaller set.

    Args:
        real: Statistics of the real examples.
        fake: Statistics of the samples. Without a subsample, only the Frechet distance is computed.

    Returns:
        Scores by name of metric.

    Raises:
        UserError: If the features differ in width, or a set has fewer than 6 examples.
    """
    counts = real.moments.count, fake.moments.count
    if real.subsample is None or fake.subsample is None:
        return {"frechet": Score(frechet.frechet_distance(real.moments, fake.moments), *counts)}
    n_real, n_fake = len(real.subsample), len(fake.subsample)
    size = min(1000, n_real // 2, n_fake // 2)
    if size < 3:
        raise UserError(f"each set must have at least 6 examples, got {n_real} real, {n_fake} fake")
    sums = kernel.SubsetSums(n_real, n_fake, real.subsample.shape[1], keys.root_key(0), size=size)
    pairs = manifold.manifold_scores(real.subsample, fake.subsample, on_block=sums.add)
    subsets, expected = sums.distance(), expected_scores(n_real, n_fake)
    scores = {
        "frechet": Score(frechet.frechet_distance(real.moments, fake.moments), *counts),
        "kernel": Score(subsets.mean, n_real, n_fake, expected["kernel"], subsets.standard_error),
    }
    return scores | {
        name: Score(value, n_real, n_fake, expected.get(name))
        for name, value in pairs._asdict().items()
    }


def score_logits(logits: Shaped[AnyArray, "n classes"]) -> Scores:
    """Compute the Inception score from the logits of a classifier.

    It uses ten splits, or fewer, so that each split has at least two examples.
    """
    splits = min(10, max(len(logits) // 2, 1))
    score = inception_score(logits, splits)
    error = score.std / splits**0.5
    return {"classifier_score": Score(score.mean, 0, len(logits), standard_error=error)}


def feature_protocol(
    features: Features, evaluation: Evaluation, n_real: int, n_fake: int
) -> EvaluationProtocol:
    """Make the protocol of scores by features.

    Args:
        features: Features of the scores.
        evaluation: Run to evaluate.
        n_real: Number of real examples.
        n_fake: Number of samples.

    Returns:
        The protocol, without expectations.
    """
    return EvaluationProtocol(
        features=features.name,
        features_note=features.note,
        features_sha256=features.sha256,
        resize=features.resize,
        real=sources.describe(evaluation.config.data),
        real_sha256=evaluation.dataset.fingerprint,
        n_real=n_real,
        n_fake=n_fake,
    )


class FeatureMetrics:
    """Metrics of `compare`, and the classifier score if the features have logits."""

    def __init__(
        self, evaluation: Evaluation, real: FeatureStatistics, protocol: EvaluationProtocol
    ):
        """Make the evaluator.

        Args:
            evaluation: Run to evaluate, with features in its settings.
            real: Statistics of the real examples.
            protocol: Protocol of the scores.
        """
        assert evaluation.settings.features is not None
        self.protocol = protocol
        self._real, self._settings = real, evaluation.settings
        self._features: Features = evaluation.settings.features
        self._config, self._sound = evaluation.config, evaluation.dataset.audio_format

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics in training."""
        return ("frechet",) if self._features.head is None else ("frechet", "classifier_score")

    def __call__(self, member: Member) -> Scores:
        """Score a member by all metrics."""
        n, quiet = self.protocol.n_fake, self._settings.quiet
        logits: list[np.ndarray] = []
        with tqdm(total=n, unit="sample", disable=quiet, desc=f"seed {member.config.seed}") as bar:
            fake = accumulate(self._extract(member, logits, bar), n)
        return self._score(fake, np.concatenate(logits) if logits else None)

    def _extract(self, member: Member, logits: list[np.ndarray], bar: tqdm) -> Iterator[np.ndarray]:
        for images in member.images(self.protocol.n_fake):
            features = self._features(images, self._settings.devices)
            if self._features.head is not None:
                logits.append(self._features.logits(features))
            yield features
            bar.update(len(images))

    def _score(self, fake: FeatureStatistics, logits: np.ndarray | None) -> Scores:
        scores = compare(self._real, fake)
        return scores if logits is None else scores | score_logits(logits)

    @functools.cached_property
    def _program(self) -> streaming.FeatureProgram:
        assert isinstance(self._features, Extractor)
        n = self.protocol.n_fake
        return streaming.feature_program(self._config, self._features, self._sound, n)

    @functools.cached_property
    def _constants(self) -> tuple[Any, Any, np.ndarray]:
        assert isinstance(self._features, Extractor)
        shift = self._real.moments.mean.astype(np.float32)
        constants = self._features.variables, self._features.head, shift
        device = self._settings.devices[0] if self._settings.devices else None
        return jax.device_put(constants, device)

    def score_members(self, variables: Any, roots: jax.Array) -> list[Scores | None]:
        """Score all members by the metrics of training, in one program."""
        sums = jax.device_get(self._program(self._constants, variables, roots))
        shift = np.asarray(self._constants[2]).astype(np.float64)
        return [
            self._score_sums(member, shift) if member.finite else None
            for member in (streaming.FeatureSums(*parts) for parts in zip(*sums, strict=True))
        ]

    def _score_sums(self, sums: streaming.FeatureSums, shift: np.ndarray) -> Scores:
        n = self.protocol.n_fake
        mean = np.asarray(sums.total, np.float64) / n
        scatter = np.asarray(sums.outer, np.float64) - n * np.outer(mean, mean)
        fake = FeatureStatistics(frechet.Moments(n, shift + mean, scatter), None)
        has_head = self._features.head is not None
        return self._score(fake, np.asarray(sums.logits) if has_head else None)


def feature_metrics(evaluation: Evaluation) -> FeatureMetrics:
    """Make the feature metrics of a run on images, or on audio by its log-mel images."""
    data, dataset, settings = evaluation.data, evaluation.dataset, evaluation.settings
    assert settings.features is not None
    images = preprocess.preprocess_dataset(dataset, data)
    real = real_statistics(settings.features, images, settings.devices, quiet=settings.quiet)
    n_real, n_fake = real.moments.count, settings.num or min(len(images), MAX_SAMPLES)
    expected = expected_scores(min(n_real, MAX_SUBSAMPLE), min(n_fake, MAX_SUBSAMPLE))
    protocol = feature_protocol(settings.features, evaluation, n_real, n_fake)
    return FeatureMetrics(evaluation, real, dataclasses.replace(protocol, expected=expected))


def image_evaluators(evaluation: Evaluation) -> list[Evaluator]:
    """Make the evaluators of a run on images.

    These are feature metrics, and classification accuracy and path length if requested.
    """
    paths = generator.path_length_evaluators(evaluation)
    metrics = feature_metrics(evaluation)
    accuracy = generator.accuracy_evaluators(evaluation, metrics.protocol.n_fake)
    return [metrics, *accuracy, *paths]


def training_feature_metrics(evaluation: Evaluation) -> FeatureMetrics:
    """Make the evaluator of a run on images or audio in training.

    The default features are those of `select_training_features`. Raises UserError if the data set
    is a single example.
    """
    data, dataset, settings = evaluation.data, evaluation.dataset, evaluation.settings
    images, features = preprocess.preprocess_dataset(dataset, data), settings.features
    if features is None:
        features = select.select_training_features(data, images.batch.real.shape[1:], dataset)
        settings = dataclasses.replace(settings, features=features)
        evaluation = dataclasses.replace(evaluation, settings=settings)
    real = real_statistics(features, images, settings.devices, quiet=settings.quiet)
    frechet.covariance(real.moments)  # fail on a single example now, not during the run
    n_fake = min(len(images), MAX_TRAINING_SAMPLES)
    protocol = feature_protocol(features, evaluation, real.moments.count, n_fake)
    return FeatureMetrics(evaluation, real, protocol)

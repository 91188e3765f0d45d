"""Evaluation of audio: coverage of classes, speakers and pitches."""

import dataclasses

import numpy as np
from jaxtyping import Float, Integer

from gan_jax.core.errors import UserError
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.inference import sampling
from gan_jax.metrics import modes, pitch
from gan_jax.metrics.evaluation import generator
from gan_jax.metrics.evaluation.evaluator import (
    Evaluation,
    EvaluationProtocol,
    Evaluator,
    Score,
    Scores,
)
from gan_jax.metrics.evaluation.image import feature_metrics
from gan_jax.metrics.evaluation.members import Member
from gan_jax.metrics.features import classifier
from gan_jax.metrics.features.extractor import Features

SPEAKERS = "spoken_digit_speakers"


def coverage(name: str, labels: Integer[np.ndarray, " n"], classes: int) -> Scores:
    """Score how evenly predicted labels cover the classes.

    Args:
        name: Prefix of the names of the metrics.
        labels: Predicted labels, which may be none.
        classes: Number of classes.

    Returns:
        NAME_covered: number of classes with at least a tenth of the samples of an even
        distribution. NAME_kl: KL of the histogram to the uniform distribution, in nats.

    Example:
        >>> scores = coverage("digits", np.array([0, 0, 1, 1]), classes=4)
        >>> scores["digits_covered"].value, round(scores["digits_kl"].value, 4)
        (2, 0.6931)
    """
    n = len(labels)
    if not n:
        return {
            f"{name}_covered": Score(0.0, 0, 0),
            f"{name}_kl": Score(float(np.log(classes)), 0, 0),
        }
    counts = np.bincount(labels, minlength=classes)
    covered = int((counts >= max(0.1 * n / classes, 1)).sum())
    return {
        f"{name}_covered": Score(covered, 0, n, classes),
        f"{name}_kl": Score(modes.kl_to_uniform(counts), 0, n, modes.kl_floor(classes, n)),
    }


def pitch_scores(
    waves: Float[np.ndarray, "n t"], rate: int, cond: Integer[np.ndarray, " n"] | None
) -> Scores:
    """Score the pitches of samples.

    Args:
        waves: Waveforms of the samples.
        rate: Sampling rate in Hz.
        cond: Pitch classes that the samples are conditioned on, if any.

    Returns:
        tonal: fraction of samples that are tones. in_tune: fraction that are tones within 25 cents
        of one of the twelve pitches. pitches_covered and pitches_kl: see `coverage`. With `cond`,
        pitch_accuracy: fraction that are tones of the required pitch.
    """
    pitches, n = pitch.pitches(waves, rate), len(waves)
    tonal = pitches.share >= pitch.TONAL_SHARE
    tuned = tonal & (np.abs(pitches.cents) <= pitch.IN_TUNE_CENTS)
    scores = {
        "tonal": Score(float(tonal.mean()), 0, n),
        "in_tune": Score(float(tuned.mean()), 0, n),
    }
    scores |= coverage("pitches", pitches.label[tonal], 12)
    if cond is not None:
        correct = tonal & (pitches.label == cond)
        scores["pitch_accuracy"] = Score(float(correct.mean()), 0, n)
    return scores


class ClassCoverage:
    """Coverage and accuracy of the classes of samples, predicted by a classifier."""

    def __init__(
        self, name: str, features: Features, protocol: EvaluationProtocol, *, accuracy: bool
    ):
        """Make the evaluator.

        Args:
            name: Prefix of the names of the metrics of coverage.
            features: Features of a classifier, with a head.
            protocol: Protocol of the scores.
            accuracy: Whether the labels of a conditional run are classes of the classifier.
        """
        self.protocol = protocol
        self._name, self._features, self._accuracy = name, features, accuracy

    def __call__(self, member: Member) -> Scores:
        """Score a member."""
        n, head = self.protocol.n_fake, self._features.head
        assert head is not None
        logits = [
            self._features.logits(self._features(images, member.devices))
            for _, images in member.waves_and_images(n)
        ]
        labels = np.concatenate([part.argmax(1) for part in logits])
        scores = coverage(self._name, labels, len(head[1]))
        cond = sampling.cycled_labels(member.config, n)
        if self._accuracy and cond is not None:
            scores["class_accuracy"] = Score(float((labels == cond).mean()), 0, n)
        return scores


class PitchMetrics:
    """Scores of the pitches of samples, see `pitch_scores`."""

    def __init__(self, audio_format: AudioFormat, protocol: EvaluationProtocol):
        """Make the evaluator of tones of a format."""
        self.protocol, self._rate = protocol, audio_format.rate

    def __call__(self, member: Member) -> Scores:
        """Score a member."""
        n = self.protocol.n_fake
        waves = np.concatenate([waves for waves, _ in member.waves_and_images(n)])
        return pitch_scores(waves, self._rate, sampling.cycled_labels(member.config, n))


def _speaker_coverage(evaluation: Evaluation, protocol: EvaluationProtocol) -> ClassCoverage:
    name = evaluation.data.name.replace("spoken_digit", SPEAKERS)
    data = dataclasses.replace(evaluation.data, name=name, spectrogram=False)
    speakers = classifier.load_classifier(data)
    protocol = dataclasses.replace(
        protocol,
        features=speakers.name,
        features_note=speakers.note,
        features_sha256=speakers.sha256,
    )
    return ClassCoverage("speakers", speakers, protocol, accuracy=False)


def audio_evaluators(evaluation: Evaluation) -> list[Evaluator]:
    """Make the evaluators of a run on audio, or on spectrograms of audio.

    These are feature metrics of log-mel spectrograms, coverage of classes if the features have
    logits, coverage of speakers for spoken digits, pitches for tones, and the classification
    accuracy score if the settings have a test set. Raises UserError if the settings ask for path
    lengths.
    """
    settings, name = evaluation.settings, evaluation.data.name
    audio_format = evaluation.dataset.audio_format
    assert audio_format is not None
    if settings.paths:
        raise UserError("path length must not be requested for a run on audio, only on images")
    metrics = feature_metrics(evaluation)
    evaluators: list[Evaluator] = [metrics]
    protocol = dataclasses.replace(metrics.protocol, expected={})
    features = settings.features
    if features is not None and features.head is not None:
        evaluators.append(ClassCoverage("classes", features, protocol, accuracy=True))
    if name.partition(":")[0] == "spoken_digit":
        evaluators.append(_speaker_coverage(evaluation, protocol))
    if name == "tones":
        evaluators.append(PitchMetrics(audio_format, protocol))
    return [*evaluators, *generator.accuracy_evaluators(evaluation, protocol.n_fake)]

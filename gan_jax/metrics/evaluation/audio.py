"""Evaluation of audio: the classes, speakers and pitches that samples cover."""

import dataclasses

import numpy as np

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


def coverage(name: str, labels: np.ndarray, classes: int) -> Scores:
    """Score how evenly labels [n] cover the classes.

    NAME_covered: classes at least a tenth as often as if all were even. NAME_kl: KL of their
    histogram to uniform.
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


def pitch_scores(waves: np.ndarray, rate: int, cond: np.ndarray | None) -> Scores:
    """Score the pitches of samples float [n, t], of which labels `cond` [n] asked for some or not.

    Args:
      waves: the samples.
      rate: their sampling rate.
      cond: the pitch classes that were asked for, or None.

    Returns:
      tonal: share of samples that are tones. in_tune: share that are, within 25 cents of one of
      the twelve pitches. pitches_covered and pitches_kl: see `coverage`. With `cond`,
      pitch_accuracy: share that are tones of the pitch asked for.
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
        right = tonal & (pitches.label == cond)
        scores["pitch_accuracy"] = Score(float(right.mean()), 0, n)
    return scores


class ClassCoverage:
    """Classes of samples, by a classifier: how evenly covered, and how often those asked for."""

    def __init__(
        self, name: str, features: Features, protocol: EvaluationProtocol, *, accuracy: bool
    ):
        """`accuracy` is whether the labels of a conditional run are classes of the classifier."""
        self.protocol = protocol
        self._name, self._features, self._accuracy = name, features, accuracy

    def __call__(self, member: Member) -> Scores:
        """Score a member."""
        n, head = self.protocol.n_fake, self._features.head
        assert head is not None
        logits = [
            self._features.logits(self._features(images, member.devices))
            for _, images in member.sounds(n)
        ]
        labels = np.concatenate([part.argmax(1) for part in logits])
        scores = coverage(self._name, labels, len(head[1]))
        cond = sampling.cycled_labels(member.config, n)
        if self._accuracy and cond is not None:
            scores["class_accuracy"] = Score(float((labels == cond).mean()), 0, n)
        return scores


class PitchMetrics:
    """The scores of `pitch_scores`."""

    def __init__(self, sound: AudioFormat, protocol: EvaluationProtocol):
        self.protocol, self._rate = protocol, sound.rate

    def __call__(self, member: Member) -> Scores:
        """Score a member."""
        n = self.protocol.n_fake
        waves = np.concatenate([waves for waves, _ in member.sounds(n)])
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

    The feature metrics of its log-mel spectrograms; classes where features are those of a
    classifier; speakers of spoken digits; pitches of tones; and the classification accuracy score
    if asked for. Raises UserError if path lengths are.
    """
    settings, name = evaluation.settings, evaluation.data.name
    sound = evaluation.dataset.sound
    assert sound is not None
    if settings.paths:
        raise UserError("path length: only runs on pictures have one, this is one on sounds")
    metrics = feature_metrics(evaluation)
    evaluators: list[Evaluator] = [metrics]
    protocol = dataclasses.replace(metrics.protocol, expected={})
    features = settings.features
    if features is not None and features.head is not None:
        evaluators.append(ClassCoverage("classes", features, protocol, accuracy=True))
    if name.partition(":")[0] == "spoken_digit":
        evaluators.append(_speaker_coverage(evaluation, protocol))
    if name == "tones":
        evaluators.append(PitchMetrics(sound, protocol))
    return [*evaluators, *generator.accuracy_evaluators(evaluation, protocol.n_fake)]

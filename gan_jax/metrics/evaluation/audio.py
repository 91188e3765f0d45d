"""Scores that only samples of sounds have: classes and speakers covered, and pitches kept."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from gan_jax import sampling
from gan_jax.config import Config, Data
from gan_jax.data.sounds import Sound
from gan_jax.errors import UserError
from gan_jax.metrics import pitch
from gan_jax.metrics.evaluation import reference_statistics
from gan_jax.metrics.evaluation.image import Score
from gan_jax.metrics.features import classifier, preprocess
from gan_jax.metrics.features.extractor import Features

Scorer = Callable[[Config, Any, jax.Array], dict[str, Score]]
SPEAKERS = "spoken_digit_speakers"


def make(
    data: Data, sound: Sound, features: Features, n: int, devices: Sequence[jax.Device] | None
) -> tuple[Scorer, dict[str, dict[str, Any]]]:
    """score(config, a generator's variables, key) -> scores of `n` samples, and what the cards of
    some say otherwise than those of the run's others.

    Of `tones` the scores of pitch.py. Of a classifier's features classes_covered and classes_kl,
    and of a conditional run class_accuracy: how many are heard as what was asked for. Of spoken
    digits the same of speakers, by a classifier of these.
    """
    head = getattr(features, "head", None)
    speakers, special = None, {}
    if data.name.partition(":")[0] == "spoken_digit":
        of = dataclasses.replace(data, name=data.name.replace("spoken_digit", SPEAKERS))
        speakers = classifier.classifier(dataclasses.replace(of, spectrogram=False))
        says = {"features": speakers.name, "features_note": speakers.note}
        says["features_sha256"] = speakers.sha256
        special = {"speakers_covered": says, "speakers_kl": says}

    def score(config: Config, variables: Any, key: jax.Array) -> dict[str, Score]:
        found, waves = [], []
        for first in range(0, n, reference_statistics.BATCH):
            count = min(reference_statistics.BATCH, n - first)
            made = sampling.sample(config, variables, key, count, first=first, devices=devices)
            wave, images = preprocess.in_batches(made, sound)
            row = {}
            if head is not None:
                row["classes"] = features.logits(features(images, devices)).argmax(1)  # pyright: ignore[reportAttributeAccessIssue]
            if speakers is not None:
                row["speakers"] = classifier.predict(speakers, images)
            found.append(row)
            waves.append(wave)
        scores, asked = {}, sampling.cycled_labels(config, n)
        for what, classes in (("classes", head), ("speakers", speakers and speakers.head)):
            if classes is not None:
                labels = np.concatenate([row[what] for row in found])
                scores |= pitch.coverage(what, labels, len(classes[1]))
                if what == "classes" and asked is not None:
                    scores["class_accuracy"] = Score(float((labels == asked).mean()), 0, n)
        if data.name == "tones":
            scores |= pitch.scores(np.concatenate(waves), sound.rate, asked)
        return scores

    return score, special


def refuse_paths(sound: Sound | None, paths: int) -> None:
    """Raises UserError where path lengths of sounds are asked for."""
    if sound and paths:
        raise UserError("path length: only runs on pictures have one, this is one on sounds")

"""The scores of one GAN's samples, by the kind of its data: pictures, points, stacked digits."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from gan_jax import sampling
from gan_jax.config import Config
from gan_jax.data import sources
from gan_jax.data.sounds import Sound
from gan_jax.metrics import modes
from gan_jax.metrics.evaluation import image, reference_statistics, stacked_mnist
from gan_jax.metrics.evaluation.image import Gathered, Score
from gan_jax.metrics.evaluation.mixtures import sample_key, score_modes
from gan_jax.metrics.features import preprocess
from gan_jax.metrics.features.extractor import Features
from gan_jax.progress import tqdm
from gan_jax.state import TrainState, generator_variables


def pictures(
    config: Config,
    variables: Any,
    key: jax.Array,
    n: int,
    devices: Sequence[jax.Device] | None,
    sound: Sound | None = None,
) -> Iterator[np.ndarray]:
    """`n` samples of a generator as a stored picture has them, uint8 [m, h, w, c] at a time; of a
    run on sounds as metrics see these.

    Raises FloatingPointError if one is not finite.
    """
    for first in range(0, n, reference_statistics.BATCH):
        count = min(reference_statistics.BATCH, n - first)
        made = sampling.sample(config, variables, key, count, first=first, devices=devices)
        if not np.isfinite(made).all():
            raise FloatingPointError("a sample is not finite")
        yield preprocess.pictures(made, sound, symmetric=config.data.symmetric)


def score_points(
    config: Config, state: TrainState, seed: int | None, n: int
) -> dict[str, Score] | None:
    """Of one member on a 2-D mixture: covered, high_quality, kl; None if it has diverged."""
    found = score_modes(config, state, seed, n)
    if found is None:
        return None
    count = len(sources.MIXTURES[config.data.name][0]())
    expected = {
        "covered": float(count),
        "high_quality": modes.HIGH_QUALITY,
        "kl": modes.kl_floor(count, n),
    }
    return {
        name: Score(float(value), 0, n, expected[name]) for name, value in found._asdict().items()
    }


def score_stacked(
    config: Config, state: TrainState, count: stacked_mnist.Counter, seed: int | None
) -> dict[str, Score]:
    """Of one member on Stacked MNIST: covered, kl, excess_kl. `count` serves all members.

    Raises FloatingPointError if a sample is not finite.
    """
    counts, finite = count(generator_variables(state), sample_key(config, seed))
    if not finite:
        raise FloatingPointError("a sample is not finite")
    return stacked_mnist.scores(counts)


def score_pictures(
    config: Config,
    state: TrainState,
    features: Features,
    real: Gathered,
    seed: int | None,
    n: int,
    devices: Sequence[jax.Device] | None = None,
    *,
    sound: Sound | None = None,
    quiet: bool = False,
) -> dict[str, Score]:
    """Of one member: the metrics of image.py, and the classifier score where there are logits.

    Raises FloatingPointError if a sample is not finite.
    """
    key, logits = sample_key(config, seed), []
    with tqdm(total=n, unit="sample", disable=quiet, desc=f"seed {config.seed}") as bar:

        def batches() -> Iterator[np.ndarray]:
            for images in pictures(config, generator_variables(state), key, n, devices, sound):
                found = features(images, devices)
                if getattr(features, "head", None) is not None:
                    logits.append(features.logits(found))  # pyright: ignore[reportAttributeAccessIssue]
                yield found
                bar.update(len(images))

        fake = image.gather(batches(), n)
    found = image.compare(real, fake)
    return found | (image.score_logits(np.concatenate(logits)) if logits else {})

"""Table of the evaluators of each type of data."""

import dataclasses
from collections.abc import Callable, Sequence

from gan_jax.config import AudioData, Config, Data, ImageData, PointData, TextData
from gan_jax.core.errors import UserError
from gan_jax.data.sources import Dataset
from gan_jax.metrics.evaluation import audio, image, mixtures, stacked_mnist, text
from gan_jax.metrics.evaluation.evaluator import Evaluation, Evaluator, TrainingEvaluator
from gan_jax.metrics.features.select import STACKED_MNIST


@dataclasses.dataclass(frozen=True)
class Kind:
    """Evaluation of samples of one type of data."""

    evaluators: Callable[[Evaluation], Sequence[Evaluator]]
    """Factory of all evaluators of a finished run."""
    in_training: Callable[[Evaluation], TrainingEvaluator] | None
    """Factory of the evaluator in training, with fewer samples and metrics, if there is one."""
    has_features: bool = False
    """Whether the settings must have features."""
    has_images: bool = False
    """Whether classification accuracy and path length are defined."""


KINDS: dict[type[Data], Kind] = {
    ImageData: Kind(image.image_evaluators, image.training_feature_metrics, True, True),
    AudioData: Kind(audio.audio_evaluators, image.training_feature_metrics, True, True),
    TextData: Kind(text.text_evaluators, None),
    PointData: Kind(lambda run: [mixtures.mode_coverage(run)], mixtures.mode_coverage),
}
# Stacked MNIST is scored by counting its 1000 modes, not by comparing features.
STACKED = Kind(
    lambda run: [stacked_mnist.stacked_mode_coverage(run)],
    stacked_mnist.stacked_mode_coverage,
    has_features=True,
)


def evaluation_kind(config: Config, dataset: Dataset) -> Kind | None:
    """Return the evaluation of samples of a run; None if no metric applies to them."""
    if config.data.name == STACKED_MNIST:
        return STACKED
    if isinstance(config.data, ImageData) and dataset.batch.real.ndim != 4:
        return None  # arrays of an npz file that are not images
    return KINDS[type(config.data)]


def make_evaluators(evaluation: Evaluation) -> Sequence[Evaluator]:
    """Make all evaluators that apply to a run.

    Raises UserError if there are none, or the settings do not fit the data of the run.
    """
    config, settings = evaluation.config, evaluation.settings
    kind = evaluation_kind(config, evaluation.dataset)
    if kind is None:
        raise UserError(f"there is no metric for data {config.data.name!r}")
    if kind.has_features != (settings.features is not None):
        requirement = "must be set" if kind.has_features else "must not be set"
        raise UserError(f"features {requirement} for data {config.data.name!r}")
    if not kind.has_images and (settings.paths or settings.test is not None):
        raise UserError(
            "path length and classification accuracy must not be requested for data "
            f"{config.data.name!r}"
        )
    return kind.evaluators(evaluation)


def make_training_evaluator(evaluation: Evaluation) -> TrainingEvaluator:
    """Make the evaluator of a run in training.

    Raises UserError if no metric applies to the data of the run.
    """
    config, dataset = evaluation.config, evaluation.dataset
    kind = evaluation_kind(config, dataset)
    make = kind and kind.in_training
    if make is None:
        raise UserError(
            f"score_every must be 0: there is no metric for data {config.data.name!r} of shape "
            f"{[*dataset.batch.real.shape[1:]]}"
        )
    return make(evaluation)

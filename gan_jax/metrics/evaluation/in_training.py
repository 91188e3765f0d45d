"""Scores of a run in training, for all members by one compiled program.

The scores are those of `evaluate`, with fewer samples and metrics: modes of the 2-D mixtures and of
Stacked MNIST; Frechet distance and classifier score of images and audio, by a classifier trained on
the labels of the data set, or by pixels if there are none.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config, population, schedules
from gan_jax.data.sources import Dataset
from gan_jax.metrics.evaluation.evaluator import Evaluation, Scores, Settings, TrainingEvaluator
from gan_jax.metrics.evaluation.evaluators import make_training_evaluator
from gan_jax.metrics.features.extractor import Features
from gan_jax.training.state import TrainState, generator_variables

Scorer = Callable[[TrainState], dict[str, np.ndarray]]


def protocol_fields(evaluator: TrainingEvaluator) -> dict[str, Any]:
    """Return the protocol of an evaluator in training as JSON, without empty fields."""
    protocol = evaluator.protocol
    fields: dict[str, Any] = {"metrics": [*evaluator.metrics], "features": protocol.features}
    if protocol.features_sha256:
        fields["features_note"] = protocol.features_note
        fields["features_sha256"] = protocol.features_sha256
        fields["resize"] = protocol.resize
    fields |= {"real": protocol.real, "n_real": protocol.n_real, "n_fake": protocol.n_fake}
    if protocol.expected:
        fields["expected"] = dict(protocol.expected)
    return fields | {"real_sha256": protocol.real_sha256}


def _columns(rows: list[Scores | None], metrics: tuple[str, ...]) -> dict[str, np.ndarray]:
    columns = {name: [row[name].value if row else np.nan for row in rows] for name in metrics}
    return {name: np.array(column, np.float64) for name, column in columns.items()}


def make_scorer(
    config: Config,
    dataset: Dataset,
    device: jax.Device,
    features: Features | None = None,
    *,
    quiet: bool = False,
) -> tuple[dict[str, Any], Scorer]:
    """Make the scorer of a run in training.

    Latents differ between members, and are the same at every step.

    Args:
        config: Config of the run.
        dataset: Data set of the run.
        device: Device to score on. The state may be on other devices, and is not consumed.
        features: Features of images and audio. None: those of `select_training_features`.
        quiet: Whether to hide the progress bar.

    Returns:
        The protocol as JSON, and the function `score(state)`, which returns the metrics by name,
        float64 [members], with NaN for members that have diverged.

    Raises:
        UserError: If no metric applies to the data.
    """
    settings = Settings(features=features, devices=[device], quiet=quiet)
    evaluator = make_training_evaluator(Evaluation(config, config.data, dataset, settings))
    protocol = protocol_fields(evaluator) | {
        "seeds": [member.seed for member in population.member_configs(config)],
        "sample_seed": None,
        "weights": "raw" if schedules.is_off(config.ema.half_life) else "ema",
    }

    def score(state: TrainState) -> dict[str, np.ndarray]:
        inputs = jax.device_put((generator_variables(state), state.key), device)
        return _columns(evaluator.score_members(*inputs), evaluator.metrics)

    return protocol, score

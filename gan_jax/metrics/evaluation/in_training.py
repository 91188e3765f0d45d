"""Scores of a run in training: its evaluator, for all members by one compiled program.

The scores are those of `evaluate`, by fewer samples and metrics: modes of the 2-D mixtures and of
Stacked MNIST; Frechet distance and classifier score of images and audio, by the classifier trained
on the data set's labels, or by pixels where it has none.
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
    """Return the protocol of an evaluator in training, without fields that say nothing."""
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
    values = {name: [row[name].value if row else np.nan for row in rows] for name in metrics}
    return {name: np.array(column, np.float64) for name, column in values.items()}


def make_scorer(
    config: Config,
    dataset: Dataset,
    device: jax.Device,
    features: Features | None = None,
    *,
    quiet: bool = False,
) -> tuple[dict[str, Any], Scorer]:
    """Make the scorer of a run in training.

    Each member has latents of its own, the same at every step.

    Args:
      config: config of the run.
      dataset: its data.
      device: device to score on; the state may be on others, and is not consumed.
      features: features of images and audio, by default those of `select_training_features`.
      quiet: whether to show no progress.

    Returns:
      The protocol as JSON has it, and score(state) -> metrics by name, float64 [members], NaN for
      members that have diverged.

    Raises:
      UserError: there is no metric for the data.
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

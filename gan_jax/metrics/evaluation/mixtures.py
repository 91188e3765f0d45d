"""Evaluation of 2-D mixtures by coverage of their modes."""

import functools
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config, PointData, population
from gan_jax.core import keys
from gan_jax.data.sources import MIXTURES
from gan_jax.inference import sampling
from gan_jax.metrics.evaluation import streaming
from gan_jax.metrics.evaluation.evaluator import Evaluation, EvaluationProtocol, Score, Scores
from gan_jax.metrics.evaluation.members import Member
from gan_jax.metrics.modes import HIGH_QUALITY, Modes, kl_floor, kl_to_uniform, modes
from gan_jax.training import population_state
from gan_jax.training.state import TrainState, generator_variables

SAMPLES = 2500  # as in VEEGAN and PacGAN


def score_modes(
    config: Config, state: TrainState, seed: int | None = None, n: int = SAMPLES
) -> Modes | None:
    """Score samples of a run that is not a population (gan_jax/metrics/modes.py).

    Args:
        config: Config of the run.
        state: State of the run.
        seed: Seed of the latents. None: the training seed.
        n: Number of samples.

    Returns:
        Coverage of the modes, or None if a sample is not finite.
    """
    key = keys.sample_key(config.seed if seed is None else seed)
    return _sample_modes(config, generator_variables(state), key, n)


def _sample_modes(config: Config, variables: Any, key: jax.Array, n: int) -> Modes | None:
    centers, sigma = MIXTURES[config.data.name]
    points = sampling.sample(config, variables, key, n)
    return modes(points, centers(), sigma) if np.isfinite(points).all() else None


def scores(config: Config, state: TrainState) -> list[dict[str, float]]:
    """Score each member of a run on a 2-D mixture.

    Returns scores by name of metric for each member, NaN for members that have diverged. For runs
    on other data they are empty.
    """
    indices = range(len(population.member_configs(config)))
    if not isinstance(config.data, PointData):
        return [{} for _ in indices]
    diverged = dict.fromkeys(Modes._fields, float("nan"))
    counts = [score_modes(*population_state.member_run(config, state, index)) for index in indices]
    return [diverged if member is None else member._asdict() for member in counts]


class ModeCoverage:
    """Evaluator of covered modes, high-quality samples and KL to uniform of a 2-D mixture."""

    metrics: tuple[str, ...] = Modes._fields

    def __init__(self, config: Config, fingerprint: str, n: int = SAMPLES):
        """Make the evaluator.

        Args:
            config: Config of the run.
            fingerprint: Fingerprint of the data of the run.
            n: Number of samples.
        """
        self._config = config
        centers, self._sigma = MIXTURES[config.data.name]
        self._centers = centers()
        count = len(self._centers)
        expected = count, HIGH_QUALITY, kl_floor(count, n)
        self.protocol = EvaluationProtocol(
            features="points",
            real=config.data.name,
            real_sha256=fingerprint,
            n_real=0,
            n_fake=n,
            expected=dict(zip(Modes._fields, expected, strict=True)),
        )

    def __call__(self, member: Member) -> Scores:
        """Score a member."""
        counts = _sample_modes(member.config, member.variables, member.key, self.protocol.n_fake)
        if counts is None:
            raise FloatingPointError("a sample is not finite")
        return self._score(counts)

    def _score(self, counts: Modes) -> Scores:
        n, expected = self.protocol.n_fake, self.protocol.expected
        return {
            name: Score(float(count), 0, n, float(expected[name]))
            for name, count in counts._asdict().items()
        }

    @functools.cached_property
    def _program(self) -> streaming.ModeProgram:
        n = self.protocol.n_fake
        return streaming.mode_program(self._config, self._centers, self._sigma, n)

    def score_members(self, variables: Any, roots: jax.Array) -> list[Scores | None]:
        """Score all members in one program."""
        counts, points = self._program(variables, roots)
        counts = jax.device_get(counts)
        return [
            self._score_counts(streaming.ModeCounts(*(part[i] for part in counts)), points[i])
            for i in range(len(points))
        ]

    def _score_counts(self, counts: streaming.ModeCounts, points: jax.Array) -> Scores | None:
        if counts.certain:
            nearest, good = np.asarray(counts.nearest), np.asarray(counts.good)
            share = float(good.sum() / self.protocol.n_fake)
            return self._score(Modes(int((good > 0).sum()), share, kl_to_uniform(nearest)))
        samples = np.asarray(points)  # in float32, a sample is too close to a border to decide
        if not np.isfinite(samples).all():
            return None
        return self._score(modes(samples, self._centers, self._sigma))


def mode_coverage(evaluation: Evaluation) -> ModeCoverage:
    """Make the evaluator of a run on a 2-D mixture."""
    n = evaluation.settings.num or SAMPLES
    return ModeCoverage(evaluation.config, evaluation.dataset.fingerprint, n)

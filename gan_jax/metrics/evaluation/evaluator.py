"""The protocol of evaluators: what scores one trained GAN, and by which protocol it does."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax

from gan_jax.config import Config, Data
from gan_jax.data.sources import Dataset
from gan_jax.metrics.evaluation.members import Member
from gan_jax.metrics.features.extractor import Features


class Score(NamedTuple):
    """The value of a metric, with the numbers of real and generated examples behind it.

    `expected` is its expectation for samples of the real distribution, where that is known, and
    `standard_error` that of the value, where it is a mean of random parts.
    """

    value: float
    n_real: int
    n_fake: int
    expected: float | None = None
    standard_error: float | None = None


Scores = dict[str, Score]


@dataclasses.dataclass(frozen=True)
class EvaluationProtocol:
    """What two scores must share to be comparable."""

    features: str
    """Name of the features: `digits-classifier`, `inception-2048`, `pixels`, `points`, ..."""
    real: str
    """Data set and split."""
    real_sha256: str
    """Fingerprint of the real data."""
    n_real: int
    """Number of real examples; 0 where only samples are scored."""
    n_fake: int
    """Number of samples."""
    features_note: str = ""
    """Remarks on the features, such as the accuracy of a classifier."""
    features_sha256: str = ""
    """Hash of the weights and recipe of the features."""
    resize: str = "none"
    """Preprocessing of the images."""
    expected: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Expectation of each metric for samples of the real distribution, where it is known."""
    temperature: float | None = None
    """Temperature of the samples of sequences."""


class Evaluator(Protocol):
    """A group of metrics under one protocol."""

    @property
    def protocol(self) -> EvaluationProtocol:
        """Protocol of all its scores."""
        ...

    def __call__(self, member: Member) -> Scores:
        """Score a member by name of metric.

        Raises FloatingPointError if the member has diverged.
        """
        ...


class TrainingEvaluator(Evaluator, Protocol):
    """An evaluator that also scores all members of a run in training by one compiled program."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that `score_members` gives."""
        ...

    def score_members(self, variables: Any, roots: jax.Array) -> list[Scores | None]:
        """Score all members; None stands for one that has diverged.

        `variables` of the generator and root keys are as in the run's state, with a leading axis
        of members in a population. The device that they are on does the work.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to evaluate a run with."""

    features: Features | None = None
    """Features of images and audio; other kinds of data have none."""
    num: int | None = None
    """Number of samples. None: as many as real examples, up to a limit for each kind of data."""
    seed: int | None = None
    """Seed of the sampled latents. None: each member uses its training seed."""
    test: Dataset | None = None
    """Labeled real examples that a classifier trained on samples is tested on, if given."""
    paths: int = 0
    """Number of paths of the perceptual path length; 0: none is measured."""
    temperatures: tuple[float, ...] = (1.0, 0.9, 0.8, 0.7, 0.6)
    """Temperatures of samples of texts."""
    devices: Sequence[jax.Device] | None = None
    """Devices to sample and to compute features on. None: one."""
    quiet: bool = False
    """Whether to show no progress."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A run to evaluate, and what to evaluate it with."""

    config: Config
    data: Data
    """The run's data, where it lies now."""
    dataset: Dataset
    """The loaded `data`."""
    settings: Settings = Settings()

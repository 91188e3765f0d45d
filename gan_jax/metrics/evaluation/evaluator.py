"""Interface of evaluators, which score one trained GAN, and the protocol of their scores."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax

from gan_jax.config import Config, Data
from gan_jax.data.sources import Dataset
from gan_jax.metrics.evaluation.members import Member
from gan_jax.metrics.features.extractor import Features


class Score(NamedTuple):
    """Value of a metric, with the numbers of real and generated examples."""

    value: float
    """Value of the metric."""
    n_real: int
    """Number of real examples."""
    n_fake: int
    """Number of samples."""
    expected: float | None = None
    """Expectation for samples of the real distribution, if known."""
    standard_error: float | None = None
    """Standard error of the value, if it is a mean of random parts."""


Scores = dict[str, Score]


@dataclasses.dataclass(frozen=True)
class EvaluationProtocol:
    """Conditions that two scores must share to be comparable."""

    features: str
    """Name of the features: `digits-classifier`, `inception-2048`, `pixels`, `points`, ..."""
    real: str
    """Name of the real data set and its split."""
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
    """Expectation of each metric for samples of the real distribution, if known."""
    temperature: float | None = None
    """Temperature of sampled sequences."""


class Evaluator(Protocol):
    """Group of metrics under one protocol."""

    @property
    def protocol(self) -> EvaluationProtocol:
        """Protocol of all scores."""
        ...

    def __call__(self, member: Member) -> Scores:
        """Score a member by name of metric.

        Raises FloatingPointError if the member has diverged.
        """
        ...


class TrainingEvaluator(Evaluator, Protocol):
    """Evaluator that also scores all members of a run in training by one compiled program."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that `score_members` returns."""
        ...

    def score_members(self, variables: Any, roots: jax.Array) -> list[Scores | None]:
        """Score all members on the device of the arguments.

        Args:
            variables: Variables of the generator as in the state of the run, with a leading axis
                of members in a population.
            roots: Root keys of the members.

        Returns:
            Scores of each member, None for a member that has diverged.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of an evaluation."""

    features: Features | None = None
    """Features of images and audio; None for other types of data."""
    num: int | None = None
    """Number of samples. None: the number of real examples, up to a limit for each type of data."""
    seed: int | None = None
    """Seed of the sampled latents. None: each member uses its training seed."""
    test: Dataset | None = None
    """Labeled real examples to test a classifier trained on samples on. None: no such score."""
    paths: int = 0
    """Number of paths of the perceptual path length; 0 disables it."""
    temperatures: tuple[float, ...] = (1.0, 0.9, 0.8, 0.7, 0.6)
    """Temperatures of sampled texts."""
    devices: Sequence[jax.Device] | None = None
    """Devices to sample and to compute features on. None: one."""
    quiet: bool = False
    """Whether to hide the progress bars."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Run to evaluate, and the settings of the evaluation."""

    config: Config
    """Config of the run."""
    data: Data
    """Config of the data set, with its present folder."""
    dataset: Dataset
    """Data set that `data` describes."""
    settings: Settings = Settings()
    """Settings of the evaluation."""

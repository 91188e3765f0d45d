"""Evaluation of finished runs and of folders of images: metric cards of their samples.

Samples are those of the moving average of the weights, if the run has one, rounded to the 256
levels of a stored image. All samples and all real examples count.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from gan_jax.config import Config, Data, ImageData
from gan_jax.config.schema import with_data_dir
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.metrics.evaluation import image
from gan_jax.metrics.evaluation.evaluator import (
    Evaluation,
    EvaluationProtocol,
    Evaluator,
    Score,
    Scores,
    Settings,
)
from gan_jax.metrics.evaluation.evaluators import make_evaluators
from gan_jax.metrics.evaluation.members import Member, members
from gan_jax.metrics.evaluation.reference_statistics import real_statistics
from gan_jax.metrics.features.extractor import Features
from gan_jax.runs import folder as run_folder
from gan_jax.runs.restore import checkpoint_steps, restore
from gan_jax.runs.score_card import ScoreCard


def load_data(workdir: Path, config: Config, folder: str | None) -> Dataset:
    """Load the data that a run was trained on.

    Args:
        workdir: Run folder.
        config: Config of the run.
        folder: Folder of the data, if they have moved since training.

    Returns:
        The data set.

    Raises:
        UserError: If the data differ from those of the run in any bit.
    """
    dataset = sources.load(with_data_dir(config.data, folder))
    expected = run_folder.load_versions(workdir)["data"]["fingerprint"]
    if expected != dataset.fingerprint:
        raise UserError(
            f"{workdir} was trained on other data: fingerprint must be {expected[:12]}, "
            f"got {dataset.fingerprint[:12]}"
        )
    return dataset


def evaluate(
    workdir: Path | str,
    settings: Settings | None = None,
    *,
    steps: Sequence[int] | None = None,
    dataset: Dataset | None = None,
    data: Data | None = None,
) -> list[ScoreCard]:
    """Score the checkpoints of a run.

    Args:
        workdir: Run folder.
        settings: Settings of the evaluation; images and audio require features.
        steps: Steps of the checkpoints. None: the newest one.
        dataset: Data set of the run, if `load_data` has already loaded it.
        data: Config of the data set, if it has moved since training.

    Returns:
        A card for each metric and checkpoint, with a value for each member.

    Raises:
        UserError: If data, settings and run are incompatible, or the run has diverged.
    """
    workdir = Path(workdir)
    config = run_folder.load_config(workdir)
    steps = checkpoint_steps(workdir)[-1:] if steps is None else steps
    evaluation = Evaluation(
        config,
        config.data if data is None else data,
        load_data(workdir, config, None) if dataset is None else dataset,
        settings or Settings(),
    )
    evaluators = make_evaluators(evaluation)
    return [
        card for step in steps for card in _checkpoint_cards(workdir, step, evaluation, evaluators)
    ]


def _checkpoint_cards(
    workdir: Path, step: int, evaluation: Evaluation, evaluators: Sequence[Evaluator]
) -> list[ScoreCard]:
    settings = evaluation.settings
    _, _, state = restore(workdir, step)
    run_members = members(
        evaluation.config, state, settings.seed, settings.devices, evaluation.dataset.audio_format
    )
    rows = [evaluate_member(evaluators, member) for member in run_members]
    shared = {
        "seeds": tuple(member.config.seed for member in run_members),
        "sample_seed": settings.seed,
        "step": step,
        "weights": "raw" if state.ema is None else "ema",
    }
    cards = []
    for evaluator, scores in zip(evaluators, zip(*rows, strict=True), strict=True):
        if not any(scores):
            raise UserError(f"samples of step {step} are not finite: the run has diverged")
        cards += make_cards(scores, evaluator.protocol, shared)
    return cards


def evaluate_member(evaluators: Sequence[Evaluator], member: Member) -> list[Scores | None]:
    """Score a member by each evaluator; None for an evaluator on which it has diverged."""
    rows: list[Scores | None] = []
    for evaluator in evaluators:
        try:
            rows.append(None if member.diverged else evaluator(member))
        except FloatingPointError:
            rows.append(None)
    return rows


def make_cards(
    rows: Sequence[Scores | None], protocol: EvaluationProtocol, shared: dict[str, Any]
) -> list[ScoreCard]:
    """Make a card for each metric from the scores of the members.

    Args:
        rows: Scores of each member, None for a member that has diverged; not None for all.
        protocol: Protocol of all scores.
        shared: Further fields of all cards.

    Returns:
        The cards, with NaN for members that have diverged.
    """
    cards = []
    for name, example in next(row for row in rows if row).items():
        diverged = Score(float("nan"), example.n_real, example.n_fake)
        scores = [row[name] if row else diverged for row in rows]
        errors = [error for score in scores if (error := score.standard_error) is not None]
        card = ScoreCard(
            metric=name,
            values=tuple(score.value for score in scores),
            features=protocol.features,
            features_note=protocol.features_note,
            features_sha256=protocol.features_sha256,
            resize=protocol.resize,
            real=protocol.real,
            real_sha256=protocol.real_sha256,
            n_real=example.n_real,
            n_fake=example.n_fake,
            temperature=protocol.temperature,
            expected=example.expected,
            standard_error=tuple(errors) if len(errors) == len(scores) else None,
            **shared,
        )
        cards.append(card)
    return cards


def score_folders(
    real: Path,
    fake: Path,
    features: Features,
    devices: Sequence[jax.Device] | None = None,
    *,
    dataset: Dataset | None = None,
    quiet: bool = False,
) -> list[ScoreCard]:
    """Score the images in one folder against those in another, including subfolders.

    Images of different sizes are resized to the shortest side of all, as by `--data.name folder`.

    Args:
        real: Folder of the reference images.
        fake: Folder of the images to score.
        features: Features of the images.
        devices: Devices to compute features on. None: one.
        dataset: Data set of `real`, if already loaded.
        quiet: Whether to hide the progress bars.

    Returns:
        A card for each metric.

    Raises:
        UserError: If the images of the folders differ in size.
    """
    loaded = [sources.load(ImageData("folder", path=str(real))) if dataset is None else dataset]
    loaded += [sources.load(ImageData("folder", path=str(fake)))]
    shapes = [folder.batch.real.shape[1:] for folder in loaded]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"{fake} must hold images of shape {shapes[0]} like {real}, got {shapes[1]}"
        )
    statistics = [real_statistics(features, folder, devices, quiet=quiet) for folder in loaded]
    protocol = EvaluationProtocol(
        features=features.name,
        features_note=features.note,
        features_sha256=features.sha256,
        resize=features.resize,
        real=str(real),
        real_sha256=loaded[0].fingerprint,
        n_real=len(loaded[0]),
        n_fake=len(loaded[1]),
    )
    shared = {"seeds": (), "sample_seed": None, "step": None, "weights": None}
    return make_cards([image.compare(*statistics)], protocol, shared)

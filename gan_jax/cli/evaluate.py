"""Commands that score samples: evaluate and evaluate-folders."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from gan_jax.cli.shared import FeatureArgs, Flat, RunFolder, check_at_least, refuse_existing

if TYPE_CHECKING:
    from gan_jax.config import Config, Data
    from gan_jax.data.sources import Dataset


@dataclasses.dataclass(frozen=True)
class ScoreArgs:
    """Samples and metrics of an evaluation."""

    num_samples: int | None = None
    """Number of samples; by default the number of real examples, at most 50000."""
    checkpoints: Literal["newest", "all"] = "newest"
    """Checkpoints to evaluate."""
    seed: int | None = None
    """Random seed of the latents; by default the training seed of each member."""
    data: str | None = None
    """Path to the data set, if it has moved since training."""
    cas: bool = False
    """Train a classifier on samples for the classification accuracy score."""
    path_length: bool = False
    """Measure the perceptual path length."""
    num_paths: int = 10_000
    """Number of paths of the perceptual path length."""
    temperatures: tuple[float, ...] = ()
    """Temperatures of text samples."""


def evaluate(
    run: RunFolder,
    score: Flat[ScoreArgs] = ScoreArgs(),
    feature: Flat[FeatureArgs] = FeatureArgs(),  # noqa: B008
    devices: int | None = None,
) -> None:
    """Evaluate samples of a run against its data, and write the scores to RUN/scores.json.

    Images: Frechet and kernel distance, precision, recall, density, and coverage, on the features
    of a classifier trained on the labels of the data, or on --features. 2-D mixtures: covered
    modes, fraction of high-quality samples, and KL divergence. Text: BLEU, self-BLEU, and
    likelihoods.

    Args:
        run: Path to the run folder.
        score: Samples and metrics of the evaluation.
        feature: Features by which images are compared; by default those of a classifier, if the
            data have labels.
        devices: Number of devices; by default all.
    """
    from gan_jax.config import TextData, schema
    from gan_jax.core import devices as core_devices
    from gan_jax.core import keys
    from gan_jax.metrics.evaluation import evaluate as scoring
    from gan_jax.metrics.evaluation.evaluator import Settings
    from gan_jax.runs import folder, restore, score_card

    check_at_least(6, num_samples=score.num_samples)
    check_at_least(1, num_paths=score.num_paths)
    keys.sample_key(score.seed or 0)  # checks the seed
    config, steps = folder.load_config(run), restore.checkpoint_steps(run)
    steps = steps if score.checkpoints == "all" else steps[-1:]
    used = core_devices.pick_devices(devices)
    dataset = scoring.load_data(run, config, score.data)
    data = schema.with_data_dir(config.data, score.data)
    settings = {"num": score.num_samples, "seed": score.seed, "devices": used}
    if isinstance(config.data, TextData):
        settings |= _text_settings(run, score, feature)
    else:
        settings |= _settings(config, data, dataset, score, feature)
    cards = scoring.evaluate(run, Settings(**settings), steps=steps, dataset=dataset, data=data)
    out = run / "scores.json"
    score_card.write_cards(out, cards, folder.environment(used))
    print(score_card.format_table(cards))
    print(f"{out}: {len(cards)} cards")


def _text_settings(run: Path, score: ScoreArgs, feature: FeatureArgs) -> dict[str, Any]:
    from gan_jax.core.errors import UserError

    image_flags = {
        "cas": score.cas,
        "features": feature.features,
        "path_length": score.path_length,
    }
    for name, value in image_flags.items():
        if value:
            raise UserError(f"{name} must not be set for a text run, got {value} for {run}")
    return {"temperatures": score.temperatures} if score.temperatures else {}


def _settings(
    config: "Config", data: "Data", dataset: "Dataset", score: ScoreArgs, feature: FeatureArgs
) -> dict[str, Any]:
    from gan_jax.config import PointData
    from gan_jax.metrics.evaluation import generator
    from gan_jax.metrics.features.select import select_features

    settings: dict[str, Any] = {"paths": score.num_paths if score.path_length else 0}
    settings["test"] = generator.load_labeled_test(config, data) if score.cas else None
    if not isinstance(config.data, PointData):
        settings["features"] = select_features(
            feature.features, data, feature.weights, dataset=dataset
        )
    return settings


@dataclasses.dataclass(frozen=True)
class CardsOutput:
    """Output of the scores."""

    out: Path | None = None
    """Path to a JSON file; by default the scores are only printed."""
    force: bool = False
    """Overwrite the output if it exists."""


def evaluate_folders(
    real: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="REAL")],
    fake: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FAKE")],
    output: Flat[CardsOutput] = CardsOutput(),
    feature: Flat[FeatureArgs] = FeatureArgs(),  # noqa: B008
    devices: int | None = None,
) -> None:
    """Evaluate the images in one folder against those in another.

    Args:
        real: Path to a folder of real images.
        fake: Path to a folder of generated images.
        output: Output of the scores.
        feature: Features by which images are compared.
        devices: Number of devices; by default all.
    """
    from gan_jax.config import ImageData
    from gan_jax.core import devices as core_devices
    from gan_jax.data import sources
    from gan_jax.metrics.evaluation import evaluate as scoring
    from gan_jax.metrics.features.select import select_features
    from gan_jax.runs import folder, score_card

    if output.out:
        refuse_existing(output.force, output.out)
    used = core_devices.pick_devices(devices)
    data = ImageData("folder", path=str(real))
    dataset = sources.load(data)
    features = select_features(feature.features, data, feature.weights, dataset=dataset)
    cards = scoring.score_folders(real, fake, features, used, dataset=dataset)
    print(score_card.format_table(cards))
    if output.out:
        score_card.write_cards(output.out, cards, folder.environment(used))

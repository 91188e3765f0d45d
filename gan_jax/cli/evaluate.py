"""Commands that score samples: evaluate and evaluate-folders."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from gan_jax.cli.shared import FeatureArgs, Flat, RunFolder, at_least, refuse_existing

if TYPE_CHECKING:
    from gan_jax.config import Config, Data
    from gan_jax.data.sources import Dataset


@dataclasses.dataclass(frozen=True)
class ScoreArgs:
    """Scores of a run."""

    num_samples: int | None = None
    """Number of samples; by default as many as there are real examples, at most 50000."""
    checkpoints: Literal["newest", "all"] = "newest"
    """Checkpoints to evaluate."""
    seed: int | None = None
    """Seed of the latents; by default each member's own."""
    data: str | None = None
    """Path to the data set, if it has moved since training."""
    cas: bool = False
    """Train a classifier on samples: the classification accuracy score."""
    path_length: bool = False
    """Measure the perceptual path length."""
    num_paths: int = 10_000
    """Number of paths of the perceptual path length."""
    temperatures: tuple[float, ...] = ()
    """Temperatures at which texts are sampled."""


def evaluate(
    run: RunFolder,
    score: Flat[ScoreArgs] = ScoreArgs(),
    feature: Flat[FeatureArgs] = FeatureArgs(),  # noqa: B008
    devices: int | None = None,
) -> None:
    """Score samples of a run against its data, and rewrite RUN/scores.json with score cards.

    Images: Frechet and kernel distance, precision, recall, density and coverage, by the features of
    a classifier of the data's own labels or by --features. 2-D mixtures: modes covered, share of
    high-quality samples, KL divergence. Texts: BLEU, self-BLEU and likelihoods.

    Args:
        run: Run folder.
        score: Scores of a run.
        feature: Features that images are compared by; by default a classifier's, if there are
            labels.
        devices: Number of devices; all by default.
    """
    from gan_jax.config import TextData, schema
    from gan_jax.core import devices as core_devices
    from gan_jax.core import keys
    from gan_jax.metrics.evaluation import evaluate as scoring
    from gan_jax.metrics.evaluation.evaluator import Settings
    from gan_jax.runs import folder, restore, score_card

    at_least(6, num_samples=score.num_samples)
    at_least(1, num_paths=score.num_paths)
    keys.sample_key(score.seed or 0)  # refuses an invalid seed
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
            raise UserError(f"{name} must not be given for a run on texts, got {value} for {run}")
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
    """Where cards are written."""

    out: Path | None = None
    """JSON file to write; by default the cards are only printed."""
    force: bool = False
    """Overwrite the output if it exists."""


def evaluate_folders(
    real: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="REAL")],
    fake: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FAKE")],
    output: Flat[CardsOutput] = CardsOutput(),
    feature: Flat[FeatureArgs] = FeatureArgs(),  # noqa: B008
    devices: int | None = None,
) -> None:
    """Score the images in one folder against those in another.

    Args:
        real: Folder of real images.
        fake: Folder of generated images.
        output: Where cards are written.
        feature: Features that images are compared by.
        devices: Number of devices; all by default.
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

"""What a run's samples are worth: python -m gan_jax evaluate RUN, and its metric cards.

Of pictures, features of the data and of as many samples are compared (metrics/compare.py); of the
2-D mixtures, samples are counted by mode. Samples are those of the moving average where there is
one, rounded to the 256 levels of a stored picture; all of them count, of the data too.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm.auto import tqdm

from gan_jax import plots, population, run, sampling
from gan_jax.config import Config, Data
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.metrics import compare, modes, statistics
from gan_jax.metrics.card import Card
from gan_jax.metrics.compare import Gathered, Score
from gan_jax.metrics.features.extractor import Features
from gan_jax.restore import restore
from gan_jax.scores import SAMPLES, sample_key, score_modes
from gan_jax.state import TrainState, generator_variables

MOST = 50_000  # samples, where nobody says how many: as many as there are reals, up to this


def moved(data: Data, folder: str | None) -> Data:
    """`data`, of a set that now lies in `folder`."""
    if folder is None:
        return data
    return dataclasses.replace(data, **{"path" if data.path else "dir": folder})


def load_data(workdir: Path, config: Config, folder: str | None) -> Dataset:
    """The data that the run was trained on; `folder` is where it lies now, if elsewhere.

    Raises UserError if it is not the same to the bit.
    """
    dataset = sources.load(moved(config.data, folder))
    try:
        there = json.loads((workdir / "versions.json").read_text())["data"]["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{workdir / 'versions.json'} cannot be read: {error}") from None
    if there != dataset.fingerprint:
        raise UserError(
            f"{workdir} was trained on other data: fingerprint {there[:12]} there, "
            f"{dataset.fingerprint[:12]} here"
        )
    return dataset


def pictures(
    config: Config, variables: Any, key: jax.Array, n: int, devices: Sequence[jax.Device] | None
) -> Iterator[np.ndarray]:
    """`n` samples of a generator as a stored picture has them, uint8 [m, h, w, c] at a time.

    Raises FloatingPointError if one is not finite.
    """
    for first in range(0, n, statistics.BATCH):
        count = min(statistics.BATCH, n - first)
        made = sampling.sample(config, variables, key, count, first=first, devices=devices)
        if not np.isfinite(made).all():
            raise FloatingPointError("a sample is not finite")
        yield plots.to_pixels(made, symmetric=config.data.symmetric)


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


def score_pictures(
    config: Config,
    state: TrainState,
    features: Features,
    real: Gathered,
    seed: int | None,
    n: int,
    devices: Sequence[jax.Device] | None = None,
    *,
    quiet: bool = False,
) -> dict[str, Score]:
    """Of one member: the metrics of compare.py, and the classifier score where there are logits.

    Raises FloatingPointError if a sample is not finite.
    """
    key, logits = sample_key(config, seed), []
    with tqdm(total=n, unit="sample", disable=quiet, desc=f"seed {config.seed}") as bar:

        def batches() -> Iterator[np.ndarray]:
            for images in pictures(config, generator_variables(state), key, n, devices):
                found = features(images, devices)
                if getattr(features, "head", None) is not None:
                    logits.append(features.logits(found))  # pyright: ignore[reportAttributeAccessIssue]
                yield found
                bar.update(len(images))

        fake = compare.gather(batches(), n)
    found = compare.compare(real, fake)
    return found | (compare.score_logits(np.concatenate(logits)) if logits else {})


def evaluate(
    workdir: Path,
    features: Features | None,
    *,
    steps: Sequence[int],
    num: int | None = None,
    seed: int | None = None,
    folder: str | None = None,
    devices: Sequence[jax.Device] | None = None,
    quiet: bool = False,
) -> list[Card]:
    """The cards of a run's checkpoints of `steps`: a card a metric, with a value a member.

    `features` of a run on pictures; `num` samples, by default as many as there are reals, at most
    50,000, or 2500 points. Raises UserError if data, features and run do not fit together.
    """
    config = run.load_config(workdir)
    points = config.data.name in sources.MIXTURES
    dataset = load_data(workdir, config, folder)
    if not points and dataset.batch.real.ndim != 4:
        raise UserError(f"{workdir} was trained on {config.data.name!r}: there is no metric for it")
    n = num or (SAMPLES if points else min(len(dataset), MOST))
    if points != (features is None):
        raise UserError(f"{workdir}: features are for runs on pictures, and these need some")
    real = statistics.of_reals(features, dataset, devices, quiet=quiet) if features else None

    def score(one: Config, state: TrainState) -> dict[str, Score] | None:
        try:
            if features is None or real is None:
                return score_points(one, state, seed, n)
            return score_pictures(one, state, features, real, seed, n, devices, quiet=quiet)
        except FloatingPointError:
            return None  # it has diverged

    members = population.members(config)
    shared = {
        "seeds": tuple(one.seed for one in members),
        "features": features.name if features else "points",
        "features_note": getattr(features, "note", ""),
        "features_sha256": features.sha256 if features else "",
        "resize": features.resize if features else "none",
        "real": config.data.name if points else f"{config.data.name} {config.data.split}",
        "real_sha256": dataset.fingerprint,
        "sample_seed": seed,
    }
    cards = []
    for step in steps:
        _, _, state = restore(workdir, step)
        each = [score(*population.member(config, state, i)) for i in range(len(members))]
        if not any(each):
            raise UserError(f"samples of step {step} are not finite: the run has diverged")
        weights = "raw" if state.ema is None else "ema"
        cards += _cards(each, {**shared, "step": step, "weights": weights})
    return cards


def _cards(each: Sequence[dict[str, Score] | None], shared: dict[str, Any]) -> list[Card]:
    """A card a metric of the members' scores, NaN for one that has none."""
    whole = next(found for found in each if found)
    cards = []
    for name, example in whole.items():
        lost = Score(float("nan"), example.n_real, example.n_fake)
        scores = [found[name] if found else lost for found in each]
        errors = [error for score in scores if (error := score.standard_error) is not None]
        cards.append(
            Card(
                metric=name,
                values=tuple(score.value for score in scores),
                n_real=example.n_real,
                n_fake=example.n_fake,
                expected=example.expected,
                standard_error=tuple(errors) if len(errors) == len(scores) else None,
                **shared,
            )
        )
    return cards


def score_folders(
    real: Path,
    fake: Path,
    features: Features,
    devices: Sequence[jax.Device] | None = None,
    *,
    quiet: bool = False,
) -> list[Card]:
    """The cards of the pictures below one folder against those below another.

    Pictures keep their sizes where all are of one, else they are brought to the shortest side of
    any, as `--data.name folder` does. Raises UserError if the folders' pictures differ in size.
    """
    loaded = [sources.load(Data("folder", path=str(path))) for path in (real, fake)]
    shapes = [dataset.batch.real.shape[1:] for dataset in loaded]
    if shapes[0] != shapes[1]:
        raise UserError(f"{real} holds pictures of {shapes[0]}, {fake} of {shapes[1]}")
    ours, theirs = (statistics.of_reals(features, one, devices, quiet=quiet) for one in loaded)
    found = compare.compare(ours, theirs)
    shared = {
        "seeds": (),
        "features": features.name,
        "features_note": getattr(features, "note", ""),
        "features_sha256": features.sha256,
        "resize": features.resize,
        "real": str(real),
        "real_sha256": loaded[0].fingerprint,
        "sample_seed": None,
        "step": None,
        "weights": None,
    }
    return _cards([found], shared)

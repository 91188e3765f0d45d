"""What a run's samples are worth: python -m gan_jax evaluate RUN, and its metric cards.

Of pictures, features of the data and of as many samples are compared (image.py); of the 2-D
mixtures and of Stacked MNIST, samples are counted by mode (members.py). Samples are those of the
moving average where there is one, rounded to the 256 levels of a stored picture; all of them count,
of the data too.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax import population, run
from gan_jax.config import Config, Data
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.metrics.card import Card
from gan_jax.metrics.evaluation import audio, generator, image, reference_statistics, stacked_mnist
from gan_jax.metrics.evaluation import members as of_member
from gan_jax.metrics.evaluation.image import Score
from gan_jax.metrics.evaluation.mixtures import SAMPLES, sample_key
from gan_jax.metrics.features import preprocess
from gan_jax.metrics.features.extractor import Features
from gan_jax.restore import restore
from gan_jax.state import TrainState, generator_variables

MOST = 50_000  # samples, where nobody says how many: as many as there are reals, up to this


def moved(data: Data, folder: str | None) -> Data:
    """`data`, of a set that now lies in `folder`."""
    if folder is None:
        return data
    by_path = data.path or data.name in sources.BY_PATH
    return dataclasses.replace(data, **{"path" if by_path else "dir": folder})


def load_data(workdir: Path, config: Config, folder: str | None) -> Dataset:
    """The data that the run was trained on; `folder` is where it lies now, if elsewhere.

    Raises UserError if it is not the same to the bit.
    """
    dataset = sources.load(moved(config.data, folder))
    there = run.load_versions(workdir)["data"]["fingerprint"]
    if there != dataset.fingerprint:
        raise UserError(
            f"{workdir} was trained on other data: fingerprint {there[:12]} there, "
            f"{dataset.fingerprint[:12]} here"
        )
    return dataset


def evaluate(
    workdir: Path,
    features: Features | None,
    *,
    steps: Sequence[int],
    num: int | None = None,
    seed: int | None = None,
    dataset: Dataset | None = None,
    data: Data | None = None,
    test: Dataset | None = None,
    paths: int = 0,
    devices: Sequence[jax.Device] | None = None,
    quiet: bool = False,
) -> list[Card]:
    """The cards of a run's checkpoints of `steps`: a card a metric, with a value a member.

    `features` of a run on pictures; `num` samples, by default as many as there are reals, at most
    50,000, or 2500 points; `dataset` is the run's data, where `load_data` has loaded them already,
    and `data` names it, if it lies elsewhere now.
    With a `test` (generator.labelled_test) the classification accuracy score too, and the
    mean length of so many `paths`. Raises UserError if data, features and run do not fit together.
    """
    config = run.load_config(workdir)
    points = config.data.name in sources.MIXTURES
    dataset = load_data(workdir, config, None) if dataset is None else dataset
    fingerprint, sound = dataset.fingerprint, dataset.sound
    data = config.data if data is None else data
    dataset = preprocess.seen(dataset, data)
    if not points and dataset.batch.real.ndim != 4:
        raise UserError(f"{workdir} was trained on {config.data.name!r}: there is no metric for it")
    of_stacks = config.data.name == stacked_mnist.NAME
    usual = SAMPLES if points else stacked_mnist.SAMPLES if of_stacks else min(len(dataset), MOST)
    n = num or usual
    if points != (features is None):
        raise UserError(f"{workdir}: features are for runs on pictures, and these need some")
    if (points or of_stacks) and (paths or test is not None):
        raise UserError(f"path length, classification accuracy: none of {config.data.name!r}")
    of_paths = generator.extractor_of(features) if paths else None
    audio.refuse_paths(sound, paths)
    real = count = None
    if features is not None and of_stacks:
        count = stacked_mnist.make_counter(config, features, n)
    elif features is not None:
        real = reference_statistics.of_reals(features, dataset, devices, quiet=quiet)

    of_sounds, of_their_cards = None, {}
    if sound is not None and features is not None:
        of_sounds, of_their_cards = audio.make(data, sound, features, n, devices)

    def score(one: Config, state: TrainState) -> dict[str, Score] | None:
        try:
            if features is None:
                return of_member.score_points(one, state, seed, n)
            if count is not None:
                return of_member.score_stacked(one, state, count, seed)
            assert real is not None
            found = of_member.score_pictures(
                one, state, features, real, seed, n, devices, sound=sound, quiet=quiet
            )
            variables, key = generator_variables(state), sample_key(one, seed)
            if of_sounds is not None:
                found |= of_sounds(one, variables, key)
            if test is not None:
                images = np.concatenate(
                    [*of_member.pictures(one, variables, key, n, devices, sound)]
                )
                found["classification_accuracy"] = generator.classification_accuracy(
                    one, images, test, features, devices, quiet=quiet
                )
            if of_paths is not None:
                found["path_length"] = generator.mean_path_length(
                    one, variables, of_paths, seed, paths, devices, quiet=quiet
                )
            return found
        except FloatingPointError:
            return None  # it has diverged

    members = population.members(config)
    shared = {
        "seeds": tuple(one.seed for one in members),
        "features": features.name if features else "points",
        "features_note": getattr(features, "note", ""),
        "features_sha256": features.sha256 if features else "",
        "resize": features.resize if features else "none",
        "real": config.data.name if points else sources.title(config.data),
        "real_sha256": fingerprint,
        "sample_seed": seed,
    }
    special = generator.protocols(members[0], features, test) | of_their_cards
    cards = []
    for step in steps:
        _, _, state = restore(workdir, step)
        each = [score(*population.member(config, state, i)) for i in range(len(members))]
        if not any(each):
            raise UserError(f"samples of step {step} are not finite: the run has diverged")
        weights = "raw" if state.ema is None else "ema"
        made = _cards(each, {**shared, "step": step, "weights": weights})
        cards += [dataclasses.replace(one, **special.get(one.metric, {})) for one in made]
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
    dataset: Dataset | None = None,
    quiet: bool = False,
) -> list[Card]:
    """The cards of the pictures below one folder against those below another; `dataset` is that of
    `real`, where it is loaded already.

    Pictures keep their sizes where all are of one, else they are brought to the shortest side of
    any, as `--data.name folder` does. Raises UserError if the folders' pictures differ in size.
    """
    loaded = [sources.load(Data("folder", path=str(real))) if dataset is None else dataset]
    loaded += [sources.load(Data("folder", path=str(fake)))]
    shapes = [dataset.batch.real.shape[1:] for dataset in loaded]
    if shapes[0] != shapes[1]:
        raise UserError(f"{real} holds pictures of {shapes[0]}, {fake} of {shapes[1]}")
    ours, theirs = (
        reference_statistics.of_reals(features, one, devices, quiet=quiet) for one in loaded
    )
    found = image.compare(ours, theirs)
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

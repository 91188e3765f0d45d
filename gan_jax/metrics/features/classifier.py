"""Features of a classifier that the project trains itself, on the data set's own labels.

Scores by them are named after it (`mnist-classifier`): they compare models of one data set, and are
never to be compared with those by the Inception network.

Command  python -m gan_jax.metrics.features.classifier --out experiments/results/classifiers.json
"""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import AudioData, Data, ImageData
from gan_jax.core import command_line, files
from gan_jax.core.cache import cache_folder, save_cached
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.audio import mel
from gan_jax.metrics import checks
from gan_jax.metrics.accuracy import accuracy
from gan_jax.metrics.features import preprocess
from gan_jax.metrics.features.classifier_training import Network, Recipe, fit
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.runs import folder, timing

log = logging.getLogger(__name__)
VERSION = 2  # of the network and its training: a change of these makes the cached ones void
MAX_CLASSES = 10_000
DIGITS = Recipe(epochs=60, batch_size=64, slant=0.2, zoom=0.1)
FASHION = Recipe(epochs=12, widths=(64, 64, 128), depths=(1, 2, 2), shift=1, flip=True)
# Of log-mel pictures: a shift in time, and by some bands a shift in pitch.
SPOKEN = Recipe(epochs=20, batch_size=64, shift=4)
CIFAR = Recipe(epochs=12, widths=(64, 128, 128), depths=(1, 2, 2), flip=True)
UNSPLIT = ("folder", "npz", "sounds", "prepared")  # sources that are one split, whatever it is
# Of other sets, Recipe().
RECIPES = {"digits": DIGITS, "fashion_mnist": FASHION, "cifar10": CIFAR, "cifar10_jpeg75": CIFAR}
RECIPES |= {"spoken_digit": SPOKEN, "spoken_digit_speakers": SPOKEN, "tones": Recipe(shift=0)}


def classifier_recipe(name: str) -> Recipe:
    """How a data set's classifier is trained."""
    return RECIPES.get(name.partition(":")[0], Recipe())


def _extractor(name: str, network: Network, variables: Any, shape: tuple[int, ...]) -> Extractor:
    digest = hashlib.sha256(f"{VERSION} {network.widths} {network.depths}".encode())
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    for path in sorted(flat):
        digest.update(path.encode())
        digest.update(np.ascontiguousarray(flat[path]).tobytes())

    def function(variables: Any, images: jax.Array) -> jax.Array:
        return network.apply(variables, images.astype(jnp.float32) / 255, train=False)[0]

    head = variables["params"]["head"]
    return Extractor(
        name=f"{name}-classifier",
        sha256=digest.hexdigest(),
        resize="none",
        function=function,
        variables=variables,
        head=(np.asarray(head["kernel"]), np.asarray(head["bias"])),
        shape=(shape[0], shape[1], shape[2]),
        batch=256,
    )


def train_classifier(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    *,
    classes: int | None = None,
    recipe: Recipe | None = None,
    quiet: bool = False,
) -> Extractor:
    """The classifier of data set `name` trained on any images uint8 [n, h, w, c] with labels [n]:
    of samples, for instance, for the classification accuracy score (1905.10887).

    `classes` is by default as many as there are labels. Raises UserError unless there are at least
    two, and pictures and labels go together.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        raise UserError(
            f"images are {images.dtype} {list(images.shape)}: they must be uint8 [n, h, w, c]"
        )
    classes = int(labels.max(initial=0)) + 1 if classes is None else classes
    labels = checks.check_labels("labels", labels, classes)
    if len(labels) != len(images) or not 2 <= classes <= MAX_CLASSES:
        raise UserError(
            f"{len(images)} images and {len(labels)} labels of {classes} classes given: as many of "
            f"both and 2 to {MAX_CLASSES} classes allowed"
        )
    network, variables = fit(
        recipe or classifier_recipe(name), images, labels, classes, seed, quiet=quiet
    )
    return _extractor(name, network, variables, images.shape[1:])


def predict(classifier: Extractor, images: np.ndarray) -> np.ndarray:
    """The most likely labels int64 [n] of images uint8 [n, h, w, c]."""
    return classifier.logits(classifier(images)).argmax(1)


def test_accuracy(classifier: Extractor, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images uint8 [n, h, w, c] whose labels [n] it predicts."""
    predicted = predict(classifier, images)
    return accuracy(predicted, labels, int(max(predicted.max(), labels.max())) + 1).top_1


def _labelled(data: Data, split: str) -> sources.Dataset:
    of = sources.load_complete(data, split)
    return preprocess.preprocess_dataset(sources.load(of), of)


def _tested(data: Data, classifier: Extractor) -> float | None:
    """On the split `test`; None where there is none."""
    if data.name in UNSPLIT:
        return None
    try:
        test = _labelled(data, "test")
    except UserError:
        return None
    return test_accuracy(classifier, test.batch.real, test.batch.cond)


def describe_resize(data: Data) -> str:
    """What becomes of examples before such a classifier sees them, as cards say it."""
    return mel.NOTE if isinstance(data, AudioData) else "none"


def load_classifier(
    data: Data,
    cache: Path | None = None,
    seed: int = 0,
    *,
    recipe: Recipe | None = None,
    dataset: sources.Dataset | None = None,
    quiet: bool = False,
) -> Extractor:
    """The classifier of a labelled data set, trained on its split `train` (all of it, also where
    `data` is a draw): from the cache, or trained now and put there. Its note says how accurate it
    is on the split `test`.

    The cache is a folder of files named by a hash of recipe, data and seed; a file that cannot be
    read is named in the log and made anew. `dataset` is what `data` names, where it is loaded
    already: then the split `train` is not loaded once more. Raises UserError if the data has no
    labels.
    """
    recipe = recipe or classifier_recipe(data.name)
    whole = not data.per_class and (data.split == "train" or data.name in UNSPLIT)
    if dataset is not None and whole:
        labelled = dataclasses.replace(data, labels=True)
        train = preprocess.preprocess_dataset(sources.with_labels(dataset, data.name), labelled)
    else:
        train = _labelled(data, "train")
    images, labels = train.batch.real, train.batch.cond
    if images.ndim != 4:
        raise UserError(f"data set {data.name!r} holds points: there is no classifier of them")
    decided = f"{VERSION} {recipe} {train.fingerprint} {seed}"
    path = cache or cache_folder() / "classifiers"
    path /= f"{data.name}-{hashlib.sha256(decided.encode()).hexdigest()[:32]}.npz"
    network = Network(recipe.widths, recipe.depths, recipe.features, int(labels.max()) + 1)
    try:
        return _read(path, data, network, images.shape[1:])
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # numpy and zipfile raise many kinds
        log.warning("%s is damaged and made anew: %s", path, " ".join(str(error).split()))
    print(f"training the classifier of {data.name}, once: it is kept in {path.parent}")
    trained = train_classifier(data.name, images, labels, seed, recipe=recipe, quiet=quiet)
    trained = _described(trained, data, _tested(data, trained))
    print(f"{trained.name}: {trained.note}")
    flat: Any = flax.traverse_util.flatten_dict(jax.device_get(trained.variables), sep="/")
    accuracy = np.nan if trained.test_accuracy is None else trained.test_accuracy
    save_cached(
        path, {"note": f"{trained.note}; {trained.sha256}", "test_accuracy": accuracy, **flat}
    )
    return trained


def _described(trained: Extractor, data: Data, accuracy: float | None) -> Extractor:
    note = "no test split" if accuracy is None else f"test accuracy {accuracy:.4f}"
    accuracy = None if accuracy is None else round(accuracy, 4)
    return dataclasses.replace(
        trained, note=note, test_accuracy=accuracy, resize=describe_resize(data)
    )


def _read(path: Path, data: Data, network: Network, shape: tuple[int, ...]) -> Extractor:
    """Read a classifier from the cache. Raises ValueError if its weights do not have its hash."""
    with path.open("rb") as raw, np.load(raw) as file:
        arrays = {name: file[name] for name in file.files}
    note, accuracy = str(arrays.pop("note")), arrays.pop("test_accuracy", None)
    variables = flax.traverse_util.unflatten_dict(arrays, sep="/")
    cached = _extractor(data.name, network, variables, shape)
    if cached.sha256 not in note:
        raise ValueError("its weights are not those of its hash")
    if accuracy is None:  # a file of version 0.1
        return _described(cached, data, _tested(data, cached))
    return _described(cached, data, None if np.isnan(accuracy) else float(accuracy))


@dataclasses.dataclass(frozen=True)
class MeasureArgs:
    """Which classifiers to train, and where to write how accurate they are."""

    names: tuple[str, ...] = ("digits", "mnist", "fashion_mnist")
    seeds: tuple[int, ...] = (0, 1, 2)
    dir: str | None = None
    """TFDS data directory."""
    out: Path = Path("experiments/results/classifiers.json")


def main() -> None:
    """Trains each with each seed, and writes their test accuracies."""
    with command_line.user_errors():
        flags = command_line.parse(MeasureArgs())
        found = {}
        for name in flags.names:
            data = ImageData(name, size=28 if name == "digits" else None, dir=flags.dir)
            trained = [load_classifier(data, seed=seed) for seed in flags.seeds]
            found[name] = {
                "data": _labelled(data, "train").fingerprint,
                "recipe": dataclasses.asdict(classifier_recipe(name)),
                "seeds": flags.seeds,
                "test_accuracy": [features.test_accuracy for features in trained],
            }
        versions = folder.packages(jax.local_devices()[:1])
        text = {"command": timing.command(), "versions": versions, "classifiers": found}
        files.write_atomically(flags.out, json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()

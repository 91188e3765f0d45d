"""Features of a classifier trained on the labels of the data set.

Scores based on them name the classifier (`mnist-classifier`). They compare models of one data set,
and are not comparable with scores based on the Inception network.

Command: python -m gan_jax.metrics.features.classifier --out experiments/results/classifiers.json
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
from jaxtyping import Int, Integer, UInt8

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
VERSION = 2  # of the network and its training; a new version invalidates cached classifiers
MAX_CLASSES = 10_000
DIGITS = Recipe(epochs=60, batch_size=64, slant=0.2, zoom=0.1)
FASHION = Recipe(epochs=12, widths=(64, 64, 128), depths=(1, 2, 2), shift=1, flip=True)
# For log-mel images: a shift in time, and a shift in pitch by some bands.
SPOKEN = Recipe(epochs=20, batch_size=64, shift=4)
CIFAR = Recipe(epochs=12, widths=(64, 128, 128), depths=(1, 2, 2), flip=True)
UNSPLIT = ("folder", "npz", "sounds", "prepared")  # sources with a single split
# Other data sets use Recipe().
RECIPES = {"digits": DIGITS, "fashion_mnist": FASHION, "cifar10": CIFAR, "cifar10_jpeg75": CIFAR}
RECIPES |= {"spoken_digit": SPOKEN, "spoken_digit_speakers": SPOKEN, "tones": Recipe(shift=0)}


def classifier_recipe(name: str) -> Recipe:
    """Return the training recipe of the classifier of a data set."""
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
    images: UInt8[np.ndarray, "n h w c"],
    labels: Integer[np.ndarray, " n"],
    seed: int = 0,
    *,
    classes: int | None = None,
    recipe: Recipe | None = None,
    quiet: bool = False,
) -> Extractor:
    """Train the classifier of a data set on any labeled images.

    Trained on samples, it gives the classification accuracy score (1905.10887).

    Args:
        name: Name of the data set.
        images: Training images.
        labels: Labels of the images, from 0 to `classes` - 1.
        seed: Seed of the training.
        classes: Number of classes, at least 2. None: the largest label plus 1.
        recipe: Training recipe. None: that of the data set.
        quiet: Whether to hide the progress bar.

    Returns:
        Extractor of the features and logits of the classifier.

    Raises:
        UserError: If images or labels are invalid, or there are fewer than two classes.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        raise UserError(
            f"images must be uint8 [n, h, w, c], got {images.dtype} {list(images.shape)}"
        )
    classes = int(labels.max(initial=0)) + 1 if classes is None else classes
    labels = checks.check_labels("labels", labels, classes)
    if len(labels) != len(images):
        raise UserError(
            f"images and labels must have the same length, got {len(images)} and {len(labels)}"
        )
    if not 2 <= classes <= MAX_CLASSES:
        raise UserError(f"classes must be 2 to {MAX_CLASSES}, got {classes}")
    network, variables = fit(
        recipe or classifier_recipe(name), images, labels, classes, seed, quiet=quiet
    )
    return _extractor(name, network, variables, images.shape[1:])


def predict(classifier: Extractor, images: UInt8[np.ndarray, "n h w c"]) -> Int[np.ndarray, " n"]:
    """Predict the most likely labels of images."""
    return classifier.logits(classifier(images)).argmax(1)


def test_accuracy(
    classifier: Extractor, images: UInt8[np.ndarray, "n h w c"], labels: Integer[np.ndarray, " n"]
) -> float:
    """Compute the accuracy of a classifier on labeled images.

    Args:
        classifier: Features with logits.
        images: Test images.
        labels: True labels.

    Returns:
        Fraction of images with the right predicted label.
    """
    predicted = predict(classifier, images)
    return accuracy(predicted, labels, int(max(predicted.max(), labels.max())) + 1).top_1


def _load_labeled(data: Data, split: str) -> sources.Dataset:
    complete = sources.labeled_split(data, split)
    return preprocess.preprocess_dataset(sources.load(complete), complete)


def _split_accuracy(data: Data, classifier: Extractor) -> float | None:
    """Compute the accuracy on the split `test`; None if there is no such split."""
    if data.name in UNSPLIT:
        return None
    try:
        test = _load_labeled(data, "test")
    except UserError:
        return None
    return test_accuracy(classifier, test.batch.real, test.batch.cond)


def describe_resize(data: Data) -> str:
    """Describe the preprocessing of a classifier of the data set, for score cards."""
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
    """Load the classifier of a labeled data set from the cache, or train and cache it.

    It is trained on the complete split `train`, also if `data` is a subsample. The files of the
    cache are named by a hash of recipe, data and seed. A file that cannot be read is logged and
    replaced.

    Args:
        data: Config of the data set.
        cache: Folder of the cache. None: `classifiers` in the cache folder of the user.
        seed: Seed of the training.
        recipe: Training recipe. None: that of the data set.
        dataset: The loaded `data`, if already loaded, to avoid loading it again.
        quiet: Whether to hide the progress bar.

    Returns:
        Extractor with the accuracy on the split `test` in its note.

    Raises:
        UserError: If the data have no labels, or are points.
    """
    recipe = recipe or classifier_recipe(data.name)
    complete = not data.per_class and (data.split == "train" or data.name in UNSPLIT)
    if dataset is not None and complete:
        labeled = dataclasses.replace(data, labels=True)
        train = preprocess.preprocess_dataset(sources.with_labels(dataset, data.name), labeled)
    else:
        train = _load_labeled(data, "train")
    images, labels = train.batch.real, train.batch.cond
    if images.ndim != 4:
        raise UserError(f"data set {data.name!r} must hold images or audio, got points")
    inputs = f"{VERSION} {recipe} {train.fingerprint} {seed}"
    path = cache or cache_folder() / "classifiers"
    path /= f"{data.name}-{hashlib.sha256(inputs.encode()).hexdigest()[:32]}.npz"
    network = Network(recipe.widths, recipe.depths, recipe.features, int(labels.max()) + 1)
    try:
        return _read_cached(path, data, network, images.shape[1:])
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # numpy and zipfile raise many kinds
        log.warning("%s is damaged and will be replaced: %s", path, " ".join(str(error).split()))
    print(f"training the classifier of {data.name}; it will be cached in {path.parent}")
    trained = train_classifier(data.name, images, labels, seed, recipe=recipe, quiet=quiet)
    trained = _with_accuracy(trained, data, _split_accuracy(data, trained))
    print(f"{trained.name}: {trained.note}")
    flat: Any = flax.traverse_util.flatten_dict(jax.device_get(trained.variables), sep="/")
    accuracy = np.nan if trained.test_accuracy is None else trained.test_accuracy
    save_cached(
        path, {"note": f"{trained.note}; {trained.sha256}", "test_accuracy": accuracy, **flat}
    )
    return trained


def _with_accuracy(trained: Extractor, data: Data, accuracy: float | None) -> Extractor:
    note = "no test split" if accuracy is None else f"test accuracy {accuracy:.4f}"
    accuracy = None if accuracy is None else round(accuracy, 4)
    return dataclasses.replace(
        trained, note=note, test_accuracy=accuracy, resize=describe_resize(data)
    )


def _read_cached(path: Path, data: Data, network: Network, shape: tuple[int, ...]) -> Extractor:
    """Read a cached classifier. Raises ValueError if its weights do not match its hash."""
    with path.open("rb") as raw, np.load(raw) as file:
        arrays = {name: file[name] for name in file.files}
    note, accuracy = str(arrays.pop("note")), arrays.pop("test_accuracy", None)
    variables = flax.traverse_util.unflatten_dict(arrays, sep="/")
    cached = _extractor(data.name, network, variables, shape)
    if cached.sha256 not in note:
        raise ValueError("its weights do not match its hash")
    if accuracy is None:  # a file of version 0.1
        return _with_accuracy(cached, data, _split_accuracy(data, cached))
    return _with_accuracy(cached, data, None if np.isnan(accuracy) else float(accuracy))


@dataclasses.dataclass(frozen=True)
class MeasureArgs:
    """Arguments of the command that measures the accuracy of classifiers."""

    names: tuple[str, ...] = ("digits", "mnist", "fashion_mnist")
    """Names of the data sets."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the training."""
    dir: str | None = None
    """Path to the TFDS data directory."""
    out: Path = Path("experiments/results/classifiers.json")
    """Path to the output file."""


def main() -> None:
    """Train the classifier of each data set with each seed, and write the test accuracies."""
    with command_line.user_errors():
        flags = command_line.parse(MeasureArgs())
        measured = {}
        for name in flags.names:
            data = ImageData(name, size=28 if name == "digits" else None, dir=flags.dir)
            trained = [load_classifier(data, seed=seed) for seed in flags.seeds]
            measured[name] = {
                "data": _load_labeled(data, "train").fingerprint,
                "recipe": dataclasses.asdict(classifier_recipe(name)),
                "seeds": flags.seeds,
                "test_accuracy": [features.test_accuracy for features in trained],
            }
        versions = folder.environment(jax.local_devices()[:1])
        record = {"command": timing.launch_command(), "versions": versions, "classifiers": measured}
        files.write_atomically(flags.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Loading of the data set that `config.data` names. Nothing is downloaded."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import AudioData, Data, ImageData, PointData, TextData
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import order
from gan_jax.data.audio import sounds
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.data.batch import Batch
from gan_jax.data.images import files, pixels, shards, tfds
from gan_jax.data.images.shards import PreparedImages
from gan_jax.data.text import corpus, oracle

SYNTHETIC_EXAMPLES = 100_000  # as PacGAN (1712.04086, sec. 4.1)
STACKED_EXAMPLES = 128_000  # as PacGAN, sec. 4.2
_permuted = jax.jit(order.permuted_positions, static_argnums=2)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A set of n examples in memory, or prepared images that are read from the disk on demand."""

    batch: Batch
    """Examples and conditions with leaves [n, ...].

    Examples are images uint8 [n, h, w, c] (an array or `PreparedImages`), points float32 [n, d],
    audio int16 [n, t, 1] or [n, 128, 128, 1], or tokens uint16 [n, t]. Conditions are None, labels
    int32 [n], or a dictionary of arrays by name.
    """
    fingerprint: str
    """SHA-256 of the batch and the vocabulary.

    It covers dtype, shape and content of every array. For prepared images it uses stored hashes.
    """
    labels: np.ndarray | None = None
    """Labels int32 [n], also if the batch excludes them; None if the set has no labels."""
    audio_format: AudioFormat | None = None
    """Format of audio examples, else None."""
    vocabulary: tuple[str, ...] | None = None
    """Vocabulary of tokens, of the width of the network input, else None."""

    def __len__(self) -> int:
        return len(self.batch.real)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an example as input of a network."""
        one_hot = () if self.vocabulary is None else (len(self.vocabulary),)
        return (*self.batch.real.shape[1:], *one_hot)


def _fingerprint(batch: Batch, vocabulary: tuple[str, ...] | None = None) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(batch):
        digest.update(f"{leaf.dtype.str}{leaf.shape}".encode())
        if isinstance(leaf, PreparedImages):
            digest.update(leaf.fingerprint.encode())
        else:
            digest.update(np.ascontiguousarray(leaf).data)
    if vocabulary is not None:
        digest.update("\0".join(vocabulary).encode())
    return digest.hexdigest()


def digits(data: ImageData) -> tuple[np.ndarray, np.ndarray]:
    """Load the 1797 handwritten digits of scikit-learn.

    Their 17 gray levels are scaled to 0 to 255. The split `train` is the first four fifths, `test`
    the rest, `all` both. The set is ordered by writer, so most writers are in one split only.

    Returns:
        Images uint8 [n, 8, 8, 1] and labels int32 [n].

    Example:
        >>> images, labels = digits(ImageData("digits", "test"))
        >>> images.shape, labels.shape
        ((360, 8, 8, 1), (360,))
    """
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    real = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    cut = len(real) * 4 // 5
    parts = {"all": slice(None), "train": slice(cut), "test": slice(cut, None)}
    if data.split not in parts:
        raise UserError(f"data.split must be one of {', '.join(parts)}, got {data.split!r}")
    return real[parts[data.split]], bunch.target[parts[data.split]].astype(np.int32)


def _mixture(centers: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Sample points float32 [n, 2] of equally likely Gaussians, with their modes int32 [n]."""
    n = SYNTHETIC_EXAMPLES
    random = np.random.Generator(np.random.PCG64(0))  # fixed: independent of the seed of a run
    mode = random.integers(len(centers), size=n)
    points = centers[mode] + sigma * random.standard_normal((n, 2))
    return points.astype(np.float32), mode.astype(np.int32)


def ring_centers() -> np.ndarray:
    """Return the centers of eight modes on the unit circle, [8, 2]."""
    angle = 2 * np.pi * np.arange(8) / 8
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def grid_centers() -> np.ndarray:
    """Return the centers of 25 modes on a grid of spacing 2 around the origin, [25, 2]."""
    axis = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)


def stacked_mnist(data: ImageData) -> tuple[np.ndarray, np.ndarray]:
    """Load stacked MNIST, with a random MNIST digit in each of three channels.

    As in PacGAN (Lin et al. 2018, 1712.04086, sec. 4.2): the split `train` has 128,000 images.
    Another split has as many images as that split of MNIST.

    Returns:
        Images uint8 [n, 28, 28, 3], and labels 100 a + 10 b + c int32 [n] of the 1000 equally
        likely modes.
    """
    digits, labels = tfds.read(dataclasses.replace(data, name="mnist", size=None, channels=None))
    if labels is None or digits.shape[1:] != (28, 28, 1):
        raise UserError(
            f"data set 'mnist' must have labeled images [28, 28, 1], got {list(digits.shape[1:])}"
        )
    n = STACKED_EXAMPLES if data.split == "train" else len(digits)
    random = np.random.Generator(np.random.PCG64(0))  # fixed: independent of the seed of a run
    chosen = random.integers(len(digits), size=(n, 3))
    stacked = np.empty((n, 28, 28, 3), np.uint8)
    for channel in range(3):
        stacked[..., channel] = digits[chosen[:, channel], :, :, 0]
    return stacked, (labels[chosen] @ np.array([100, 10, 1])).astype(np.int32)


# Centers and standard deviation of the 2-D mixtures of VEEGAN and PacGAN (1712.04086, sec. 4.1).
MIXTURES = {"ring": (ring_centers, 0.01), "grid": (grid_centers, 0.05)}


READERS = {
    "digits": digits,
    "folder": files.load_folder,
    "npz": files.load_npz,
    "idx": files.load_idx,
}
READERS |= {"stacked_mnist": stacked_mnist, "prepared": shards.read}


def is_tfds(data: Data) -> bool:
    """Return whether tensorflow-datasets reads the set that `data` names."""
    return isinstance(data, ImageData) and data.name not in READERS


def subsample_indices(labels: np.ndarray | None, data: Data) -> np.ndarray:
    """Select `data.per_class` random examples of each class.

    The examples of a smaller `data.per_class` are a subset of those of a larger one.

    Args:
        labels: Labels int32 [n] of the complete set, or None if it has no labels.
        data: Options of the data set; `subset_seed` is the seed of the subset.

    Returns:
        Sorted indices int64 [classes * per_class].

    Raises:
        UserError: If there are no labels, or a class has too few examples.

    Example:
        >>> labels = np.array([0, 0, 0, 1, 1, 1], np.int32)
        >>> labels[subsample_indices(labels, ImageData("digits", per_class=2))].tolist()
        [0, 0, 1, 1]
    """
    if labels is None:
        raise UserError(
            f"data set {data.name!r} has no labels: data.per_class must be 0, got {data.per_class}"
        )
    root, chosen = keys.root_key(data.subset_seed), []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < data.per_class:
            raise UserError(
                f"data.per_class must be at most {len(members)}, got {data.per_class}: the data "
                f"set {data.name!r} has {len(members)} examples of class {label}"
            )
        first = jnp.arange(data.per_class, dtype=jnp.uint32)
        positions = _permuted(jax.random.fold_in(root, label), first, len(members))
        chosen.append(members[np.asarray(positions)])
    return np.sort(np.concatenate(chosen))


def subsample(dataset: Dataset, data: Data) -> Dataset:
    """Return the subset of a complete set that `load` returns for these options.

    Args:
        dataset: The complete set.
        data: Options of the data set with `per_class` > 0; `subset_seed` selects the subset.

    Raises:
        UserError: As `subsample_indices`.
    """
    chosen = subsample_indices(dataset.labels, data)
    batch = jax.tree.map(lambda leaf: leaf[chosen], dataset.batch)
    labels = np.asarray(dataset.labels)[chosen]
    return Dataset(batch, _fingerprint(batch), labels, dataset.audio_format)


def labeled_split(data: Data, split: str) -> Data:
    """Return options that load all labeled examples of a split of the set, without a subset."""
    complete = dataclasses.replace(data, split=split, labels=True, per_class=0)
    if isinstance(complete, ImageData):
        return dataclasses.replace(complete, cond=())
    return complete


def load_split(data: Data, split: str) -> Dataset:
    """Load another split of the data set that `data` names.

    Raises UserError if there is none.
    """
    if data.name in ("folder", "npz"):
        raise UserError(f"data set {data.name!r} has no split {split!r}: give a folder instead")
    return load(dataclasses.replace(data, split=split, per_class=0))


def describe(data: Data) -> str:
    """Describe a data set by its name, its split and its subset, if any."""
    subset = f", {data.per_class} a class (draw {data.subset_seed})" if data.per_class else ""
    return f"{data.name} {data.split}{subset}"


class Arrays(NamedTuple):
    """Arrays of a data set before it becomes a `Dataset`, whose fields these are."""

    real: Any
    labels: np.ndarray | None = None
    audio_format: AudioFormat | None = None
    vocabulary: tuple[str, ...] | None = None


def _images(data: ImageData) -> Arrays:
    real, labels = READERS.get(data.name, tfds.read)(data)
    return Arrays(pixels.conform(real, data) if len(real) else real, labels)


def _points(data: PointData) -> Arrays:
    centers, sigma = MIXTURES[data.name]
    return Arrays(*_mixture(centers(), sigma))


def _sounds(data: AudioData) -> Arrays:
    return Arrays(*sounds.load(data))


def _tokens(data: TextData) -> Arrays:
    real, vocabulary = (oracle if data.name == "oracle" else corpus).read(data)
    return Arrays(real, vocabulary=vocabulary)


LOADERS: dict[type[Data], Callable[[Any], Arrays]] = {
    ImageData: _images,
    PointData: _points,
    AudioData: _sounds,
    TextData: _tokens,
}


def load(data: Data) -> Dataset:
    """Load the data set that `data` names.

    Raises:
        UserError: If it is absent, cannot be read, or does not have what `data` asks for.

    Example:
        >>> dataset = load(ImageData("digits", "test", labels=True))
        >>> len(dataset), dataset.batch.real.shape, dataset.batch.cond.dtype.name
        (360, (360, 8, 8, 1), 'int32')
    """
    real, labels, audio_format, vocabulary = LOADERS[type(data)](data)
    if not len(real):
        raise UserError(f"data set {data.name!r} has no examples")
    if real.ndim == 4 and not audio_format and real.shape[-1] not in pixels.MODES:
        raise UserError(f"data set {data.name!r} must have 1 or 3 channels, got {real.shape[-1]}")
    if data.labels and labels is None:
        raise UserError(f"data set {data.name!r} has no labels: data.labels must be off")
    cond: Any = labels if data.labels else None
    if isinstance(data, ImageData) and data.cond:
        cond = files.load_conditions(data, len(real)) | ({"labels": labels} if data.labels else {})
    batch = Batch(real, cond)
    dataset = Dataset(batch, _fingerprint(batch, vocabulary), labels, audio_format, vocabulary)
    return subsample(dataset, data) if data.per_class else dataset


def with_labels(dataset: Dataset, name: str) -> Dataset:
    """Return the set conditioned on its labels, as `load` does with `data.labels`.

    Args:
        dataset: The data set.
        name: Its name, for the error message.

    Raises:
        UserError: If it has no labels.
    """
    if dataset.labels is None:
        raise UserError(f"the data set {name!r} has no labels")
    batch = Batch(dataset.batch.real, dataset.labels)
    return Dataset(batch, _fingerprint(batch), dataset.labels, dataset.audio_format)


def dummy_examples(dataset: Dataset, n: int) -> Batch:
    """Return a batch of zeros with the shapes and dtypes of `n` examples as network inputs."""
    real = np.zeros((n, *dataset.shape), np.float32)

    def zeros(leaf: np.ndarray) -> np.ndarray:
        dtype = np.float32 if leaf.dtype == np.uint8 else leaf.dtype  # pixels are scaled
        return np.zeros((n, *leaf.shape[1:]), dtype)

    return Batch(real, jax.tree.map(zeros, dataset.batch.cond))

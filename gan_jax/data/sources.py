"""Data sets in memory: what `config.data` names -> arrays, fingerprinted. Nothing is downloaded."""

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

SYNTHETIC_EXAMPLES = 100_000  # as many as PacGAN trains on (1712.04086, sec. 4.1)
STACKED_EXAMPLES = 128_000  # the same paper's, sec. 4.2
_permuted = jax.jit(order.permuted_positions, static_argnums=2)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A set of n examples, in memory, or pictures on the disk that are read where they lie."""

    batch: Batch
    """Leaves [n, ...]: pictures uint8 [n, h, w, c] (of a prepared set `Stored`), points float32
    [n, d], sounds int16 [n, t, 1] or [n, 128, 128, 1], tokens uint16 [n, t]; cond None, labels
    int32 [n], or a dictionary of these by name."""
    fingerprint: str
    """sha256 over every array of the batch: dtype, shape and bytes, of a prepared set by the hashes
    that it has of them; and over a vocabulary."""
    labels: np.ndarray | None = None
    """The set's labels int32 [n], also where the batch goes without them; None: it has none."""
    audio_format: AudioFormat | None = None
    """How its examples are heard; None where they are no sounds."""
    vocabulary: tuple[str, ...] | None = None
    """What tokens stand for, as many as the rows that networks see are wide; None: no tokens."""

    def __len__(self) -> int:
        return len(self.batch.real)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an example as networks see it."""
        wide = () if self.vocabulary is None else (len(self.vocabulary),)
        return (*self.batch.real.shape[1:], *wide)


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
    """The 1797 handwritten digits, 8x8, that scikit-learn carries: uint8 [n, 8, 8, 1], labels [n].

    Their 17 grey levels become 0 to 255. `train` is the first four fifths, `test` the rest (the
    set is in the order of its writers, so these are mostly other hands), `all` both.
    """
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    real = np.rint(found.images * (255 / 16)).astype(np.uint8)[..., None]
    cut = len(real) * 4 // 5
    parts = {"all": slice(None), "train": slice(cut), "test": slice(cut, None)}
    if data.split not in parts:
        raise UserError(f"data.split is {data.split!r}: the digits have {', '.join(parts)}")
    return real[parts[data.split]], found.target[parts[data.split]].astype(np.int32)


def _mixture(centres: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Points float32 [n, 2] of equally likely Gaussians, and which one each is of, int32 [n]."""
    n = SYNTHETIC_EXAMPLES
    random = np.random.Generator(np.random.PCG64(0))  # the set is fixed: no seed of a run is in it
    mode = random.integers(len(centres), size=n)
    points = centres[mode] + sigma * random.standard_normal((n, 2))
    return points.astype(np.float32), mode.astype(np.int32)


def ring_centers() -> np.ndarray:
    """Eight modes on the unit circle, [8, 2]."""
    angle = 2 * np.pi * np.arange(8) / 8
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def grid_centers() -> np.ndarray:
    """Twenty-five modes at spacing 2 around the origin, [25, 2]."""
    place = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(place, place, indexing="ij"), -1).reshape(-1, 2)


def stacked_mnist(data: ImageData) -> tuple[np.ndarray, np.ndarray]:
    """Stacked MNIST: uint8 [n, 28, 28, 3], a digit of MNIST drawn at random in each channel, and
    the labels 100 a + 10 b + c int32 [n] of its 1000 equally likely modes.

    As PacGAN made it (Lin et al. 2018, 1712.04086, sec. 4.2): 128,000 pictures of the split
    `train`; of another split, as many as it has.
    """
    digits, labels = tfds.read(dataclasses.replace(data, name="mnist", size=None, channels=None))
    if labels is None or digits.shape[1:] != (28, 28, 1):
        raise UserError(f"data set 'mnist' holds {list(digits.shape[1:])}, not digits of 28x28")
    n = STACKED_EXAMPLES if data.split == "train" else len(digits)
    random = np.random.Generator(np.random.PCG64(0))  # the set is fixed: no seed of a run is in it
    drawn = random.integers(len(digits), size=(n, 3))
    stacked = np.empty((n, 28, 28, 3), np.uint8)
    for channel in range(3):
        stacked[..., channel] = digits[drawn[:, channel], :, :, 0]
    return stacked, (labels[drawn] @ np.array([100, 10, 1])).astype(np.int32)


# Centres and standard deviation of the 2-D mixtures, those of VEEGAN and PacGAN (1712.04086, 4.1).
MIXTURES = {"ring": (ring_centers, 0.01), "grid": (grid_centers, 0.05)}


READERS = {
    "digits": digits,
    "folder": files.load_folder,
    "npz": files.load_npz,
    "idx": files.load_idx,
}
READERS |= {"stacked_mnist": stacked_mnist, "prepared": shards.read}


def is_tfds(data: Data) -> bool:
    """Whether the set that `data` names is read by tensorflow-datasets as it is."""
    return isinstance(data, ImageData) and data.name not in READERS


def subsample_indices(labels: np.ndarray | None, data: Data) -> np.ndarray:
    """Which examples of a set with `labels` int32 [n] are the `data.per_class` of each class that
    the seed `data.draw` draws, in their order: int64. Raises UserError where there are fewer."""
    if labels is None:
        raise UserError(
            f"data.per_class is {data.per_class}, but the data set {data.name!r} has no labels"
        )
    root, chosen = keys.root_key(data.draw), []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) < data.per_class:
            raise UserError(
                f"data.per_class is {data.per_class}: the data set {data.name!r} has "
                f"{len(places)} examples of class {label}"
            )
        first = jnp.arange(data.per_class, dtype=jnp.uint32)
        at = _permuted(jax.random.fold_in(root, label), first, len(places))
        chosen.append(places[np.asarray(at)])
    return np.sort(np.concatenate(chosen))


def subsample(dataset: Dataset, data: Data) -> Dataset:
    """Of a whole set the examples that `load` gives where `data.per_class` and `data.draw` are so.
    Raises UserError as `drawn`."""
    chosen = subsample_indices(dataset.labels, data)
    batch = jax.tree.map(lambda leaf: leaf[chosen], dataset.batch)
    labels = np.asarray(dataset.labels)[chosen]
    return Dataset(batch, _fingerprint(batch), labels, dataset.audio_format)


def load_complete(data: Data, split: str) -> Data:
    """All labelled examples of a split of the set, of which `data` may be a draw."""
    everything = dataclasses.replace(data, split=split, labels=True, per_class=0)
    if isinstance(everything, ImageData):
        return dataclasses.replace(everything, cond=())
    return everything


def load_split(data: Data, split: str) -> Dataset:
    """Load another split of the data set that `data` names.

    Raises UserError if there is none.
    """
    if data.name in ("folder", "npz"):
        raise UserError(f"split is {split!r}: data set {data.name!r} has none; give a folder")
    return load(dataclasses.replace(data, split=split, per_class=0))


def describe(data: Data) -> str:
    """Name, split and, where it is one, the draw."""
    of = f", {data.per_class} a class (draw {data.draw})" if data.per_class else ""
    return f"{data.name} {data.split}{of}"


class Arrays(NamedTuple):
    """A data set as it was read, before it becomes a `Dataset`."""

    real: Any
    labels: np.ndarray | None = None
    audio_format: AudioFormat | None = None
    vocabulary: tuple[str, ...] | None = None


def _images(data: ImageData) -> Arrays:
    real, labels = READERS.get(data.name, tfds.read)(data)
    return Arrays(pixels.conform(real, data) if len(real) else real, labels)


def _points(data: PointData) -> Arrays:
    centres, sigma = MIXTURES[data.name]
    return Arrays(*_mixture(centres(), sigma))


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
    """Loads the data set that `data` names.

    Raises:
        UserError: If it is absent or cannot be read.
    """
    real, labels, sound, vocabulary = LOADERS[type(data)](data)
    if not len(real):
        raise UserError(f"data set {data.name!r} holds no examples")
    if real.ndim == 4 and not sound and real.shape[-1] not in pixels.MODES:
        raise UserError(f"data set {data.name!r} has {real.shape[-1]} channels: it must be 1 or 3")
    if data.labels and labels is None:
        raise UserError(f"data.labels is on, but the data set {data.name!r} has no labels")
    cond: Any = labels if data.labels else None
    if isinstance(data, ImageData) and data.cond:
        cond = files.load_conditions(data, len(real)) | ({"labels": labels} if data.labels else {})
    batch = Batch(real, cond)
    dataset = Dataset(batch, _fingerprint(batch, vocabulary), labels, sound, vocabulary)
    return subsample(dataset, data) if data.per_class else dataset


def with_labels(dataset: Dataset, name: str) -> Dataset:
    """The same examples with their labels, as `load` gives them with data.labels on. Raises
    UserError if there are none in the set of this `name`."""
    if dataset.labels is None:
        raise UserError(f"the data set {name!r} has no labels")
    batch = Batch(dataset.batch.real, dataset.labels)
    return Dataset(batch, _fingerprint(batch), dataset.labels, dataset.audio_format)


def dummy_examples(dataset: Dataset, n: int) -> Batch:
    """What `n` of its examples look like to a network: zeros, of the right shapes and dtypes."""
    real = np.zeros((n, *dataset.shape), np.float32)

    def empty(leaf: np.ndarray) -> np.ndarray:
        kind = np.float32 if leaf.dtype == np.uint8 else leaf.dtype  # pixels, as they are scaled
        return np.zeros((n, *leaf.shape[1:]), kind)

    return Batch(real, jax.tree.map(empty, dataset.batch.cond))

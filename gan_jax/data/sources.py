"""Data sets in memory: what `config.data` names -> arrays, fingerprinted. Nothing is downloaded."""

import functools
import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.config import Data
from gan_jax.data import files, pictures
from gan_jax.errors import UserError
from gan_jax.state import Batch

SYNTHETIC_EXAMPLES = 100_000  # as many as PacGAN trains on (1712.04086, sec. 4.1)


class Dataset(NamedTuple):
    """A set of examples: leaves of `batch` have the same first axis; pictures are uint8 [n, h, w, c]."""

    batch: Batch
    fingerprint: str
    """sha256 over every array's dtype, shape and bytes."""

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.batch.real)


def _fingerprint(batch: Batch) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(batch):
        digest.update(f"{leaf.dtype.str}{leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def digits(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The 1797 handwritten digits, 8x8, that scikit-learn carries: uint8 [n, 8, 8, 1], labels [n].

    Their 17 grey levels become 0 to 255. `train` is the first four fifths, `test` the rest (the
    set is in the order of its writers, so these are mostly other hands), `all` both.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    real = np.rint(found.images * (255 / 16)).astype(np.uint8)[..., None]
    cut = len(real) * 4 // 5
    parts = {"all": slice(None), "train": slice(cut), "test": slice(cut, None)}
    if data.split not in parts:
        raise UserError(f"data.split is {data.split!r}: the digits have {', '.join(parts)}")
    return real[parts[data.split]], found.target[parts[data.split]].astype(np.int32)


def _mixture(centres: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Points float32 [n, 2] of equally likely Gaussians, and which one each is of, int32 [n]."""
    key_mode, key_noise = jax.random.split(jax.random.key(0))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        mode = np.asarray(jax.random.randint(key_mode, (SYNTHETIC_EXAMPLES,), 0, len(centres)))
        noise = np.asarray(jax.random.normal(key_noise, (SYNTHETIC_EXAMPLES, 2)))
    return (centres[mode] + sigma * noise).astype(np.float32), mode.astype(np.int32)


def ring_centres() -> np.ndarray:
    """Eight modes on the unit circle, [8, 2]."""
    angle = 2 * np.pi * np.arange(8) / 8
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def grid_centres() -> np.ndarray:
    """Twenty-five modes at spacing 2 around the origin, [25, 2]."""
    place = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(place, place, indexing="ij"), -1).reshape(-1, 2)


# Centres and standard deviation of the 2-D mixtures, those of VEEGAN and PacGAN (1712.04086, 4.1).
MIXTURES = {"ring": (ring_centres, 0.01), "grid": (grid_centres, 0.05)}


def tfds(data: Data) -> tuple[np.ndarray, np.ndarray | None]:
    """An image set that tensorflow-datasets has prepared as array_record, read without TensorFlow."""
    import tensorflow_datasets

    root = Path(data.dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
    name = data.name.partition(":")[0].partition("/")[0]
    if not (root / name).is_dir():
        raise UserError(
            f"data set {name!r} is not in {root}: give --data.dir (or TFDS_DATA_DIR) where it is, or "
            f"prepare it with `tfds build {name} --file_format=array_record` (needs tensorflow); "
            "sets that need no preparing: digits, ring, grid, folder, npz, idx"
        )
    try:
        source = tensorflow_datasets.data_source(data.name, split=data.split, data_dir=root)
        first = source[0]
    except Exception as error:  # TFDS raises many kinds; each says what it misses
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"data set {data.name!r}, split {data.split!r}, in {root}: {reason}") from None
    if "image" not in first:
        raise UserError(f"data set {data.name!r} has no feature 'image', only {', '.join(first)}")
    examples = [source[i] for i in range(len(source))]
    real = pictures.stack([example["image"] for example in examples], data)
    labelled = "label" in first and np.ndim(first["label"]) == 0
    return real, np.asarray([e["label"] for e in examples], np.int32) if labelled else None


def load(data: Data) -> Dataset:
    """The data set that `data` names. Raises UserError if it is absent or cannot be read."""
    if data.name in MIXTURES:
        centres, sigma = MIXTURES[data.name]
        real, labels = _mixture(centres(), sigma)
    else:
        readers = {"digits": digits, "folder": files.folder, "npz": files.npz, "idx": files.idx}
        real, labels = readers.get(data.name, tfds)(data)
        real = pictures.conform(real, data)
    if not len(real):
        raise UserError(f"data set {data.name!r} holds no examples")
    if data.labels and labels is None:
        raise UserError(f"data.labels is on, but the data set {data.name!r} has no labels")
    batch = Batch(real, labels if data.labels else None)
    return Dataset(batch, _fingerprint(batch))


def example(dataset: Dataset, n: int) -> Batch:
    """What `n` of its examples look like to a network: zeros, of the right shapes and dtypes."""
    real = np.zeros((n, *dataset.batch.real.shape[1:]), np.float32)
    zeros: Any = functools.partial(jax.tree.map, lambda leaf: np.zeros((n, *leaf.shape[1:]), leaf.dtype))
    return Batch(real, zeros(dataset.batch.cond))

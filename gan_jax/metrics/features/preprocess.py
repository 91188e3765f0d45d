"""What metrics see of examples, as uint8 pictures: of pictures the stored levels, of sounds and
spectrograms the log-mel pictures of what is heard."""

import dataclasses
import functools
import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import plots
from gan_jax.config import Data
from gan_jax.data import mel, sounds, sources
from gan_jax.data.sounds import Sound
from gan_jax.data.sources import Dataset
from gan_jax.state import Batch

BATCH = 64  # sounds in one program


def mel_pictures(x: jax.Array, sound: Sound) -> jax.Array:
    """Examples float32 [n, t, 1] or [n, 128, 128, 1] -> uint8 [n, 64, frames, 1]. Pure, to be
    traced too."""
    return mel.log_mel(sounds.heard(x, sound), sound.rate)


@functools.partial(jax.jit, static_argnames=("rate", "length"))
def _program(x: jax.Array, bins: sounds.Bins | None, rate: int, length: int):
    sound = Sound(rate, length, bins)
    wave = sounds.heard(x, sound)
    return wave, mel.log_mel(wave, rate)


def in_batches(x: np.ndarray, sound: Sound) -> tuple[np.ndarray, np.ndarray]:
    """Examples float, or int16 as stored, as sounds float32 [n, t], and their pictures."""
    waves, found = [], []
    for first in range(0, len(x), BATCH):
        part = x[first : first + BATCH]
        whole = np.zeros((BATCH, *x.shape[1:]), np.float32)
        whole[: len(part)] = sounds.examples(part) if part.dtype == np.int16 else part
        wave, picture = jax.device_get(_program(whole, sound.bins, sound.rate, sound.length))
        waves.append(wave[: len(part)])
        found.append(picture[: len(part)])
    return np.concatenate(waves), np.concatenate(found)


def waveforms(x: np.ndarray, sound: Sound) -> np.ndarray:
    """Examples float, or int16 as stored, as sounds float32 [n, t] in [-1, 1]."""
    return in_batches(x, sound)[0]


def pictures(x: np.ndarray, sound: Sound | None, *, symmetric: bool) -> np.ndarray:
    """Examples float [n, ...] as a metric sees them, uint8 [n, h, w, c]."""
    if sound is None:
        return plots.to_pixels(x, symmetric=symmetric)
    return in_batches(x, sound)[1]


def seen(dataset: Dataset, data: Data) -> Dataset:
    """The data set, which `data` names, as metrics see it: of sounds, also where a run is on their
    spectrograms, the log-mel pictures of the sounds themselves."""
    if dataset.sound is None:
        return dataset
    if dataset.sound.bins is not None:
        dataset = sources.load(dataclasses.replace(data, spectrogram=False))
        assert dataset.sound is not None
    found = in_batches(dataset.batch.real, dataset.sound)[1]
    text = f"{mel.NOTE} at {dataset.sound.rate} of {dataset.fingerprint}"
    batch = Batch(found, dataset.batch.cond)
    return Dataset(batch, hashlib.sha256(text.encode()).hexdigest(), dataset.labels)


def finite_unit(x: jax.Array, sound: Sound) -> jax.Array:
    """As `mel_pictures`, float32 in [0, 1]; NaN where an example is not finite."""
    unit = mel_pictures(x, sound).astype(jnp.float32) / 255
    return jnp.where(jnp.isfinite(x).all(), unit, jnp.nan)

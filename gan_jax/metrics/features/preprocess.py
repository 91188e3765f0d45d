"""Preprocessing for feature networks: images stay uint8, audio becomes log-mel spectrograms."""

import dataclasses
import functools
import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import Data
from gan_jax.data import sources
from gan_jax.data.audio import mel, sounds
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.data.batch import Batch
from gan_jax.data.sources import Dataset

BATCH = 64  # sounds in one program


def mel_images(x: jax.Array, sound: AudioFormat) -> jax.Array:
    """Convert audio float32 [n, t, 1] or [n, 128, 128, 1] to uint8 [n, 64, frames, 1].

    A pure function, to be traced too.
    """
    return mel.log_mel(sounds.to_waveforms(x, sound), sound.rate)


def finite_mel_images(x: jax.Array, sound: AudioFormat) -> jax.Array:
    """Convert audio as `mel_images`, to float32 in [0, 1]; NaN where an example is not finite."""
    unit = mel_images(x, sound).astype(jnp.float32) / 255
    return jnp.where(jnp.isfinite(x).all(), unit, jnp.nan)


@functools.partial(jax.jit, static_argnames=("rate", "length"))
def _program(x: jax.Array, bins: sounds.Bins | None, rate: int, length: int):
    sound = AudioFormat(rate, length, bins)
    wave = sounds.to_waveforms(x, sound)
    return wave, mel.log_mel(wave, rate)


def waves_and_images(x: np.ndarray, sound: AudioFormat) -> tuple[np.ndarray, np.ndarray]:
    """Convert audio, float or int16 as stored, to waves float32 [n, t] and log-mel images."""
    waves, images = [], []
    for first in range(0, len(x), BATCH):
        part = x[first : first + BATCH]
        padded = np.zeros((BATCH, *x.shape[1:]), np.float32)
        padded[: len(part)] = sounds.to_float(part) if part.dtype == np.int16 else part
        wave, image = jax.device_get(_program(padded, sound.bins, sound.rate, sound.length))
        waves.append(wave[: len(part)])
        images.append(image[: len(part)])
    return np.concatenate(waves), np.concatenate(images)


def waveforms(x: np.ndarray, sound: AudioFormat) -> np.ndarray:
    """Convert audio, float or int16 as stored, to waves float32 [n, t] in [-1, 1]."""
    return waves_and_images(x, sound)[0]


def preprocess_dataset(dataset: Dataset, data: Data) -> Dataset:
    """Return the data set named by `data` as feature networks take it.

    For audio, also where a run is on spectrograms, these are the log-mel images of the waves.
    """
    if dataset.sound is None:
        return dataset
    if dataset.sound.bins is not None:
        dataset = sources.load(dataclasses.replace(data, spectrogram=False))
        assert dataset.sound is not None
    images = waves_and_images(dataset.batch.real, dataset.sound)[1]
    text = f"{mel.NOTE} at {dataset.sound.rate} of {dataset.fingerprint}"
    batch = Batch(images, dataset.batch.cond)
    return Dataset(batch, hashlib.sha256(text.encode()).hexdigest(), dataset.labels)

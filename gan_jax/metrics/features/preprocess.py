"""Preprocessing for feature networks: images stay uint8, audio becomes log-mel spectrograms."""

import dataclasses
import functools
import hashlib

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt8

from gan_jax.config import Data
from gan_jax.data import sources
from gan_jax.data.audio import mel, sounds
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.data.batch import Batch
from gan_jax.data.sources import Dataset

BATCH = 64  # waveforms in one program call


def mel_images(
    x: Float[Array, " n *example"], audio_format: AudioFormat
) -> UInt8[Array, "n 64 frames 1"]:
    """Convert waveforms [n, t, 1] or spectrograms [n, 128, 128, 1] to log-mel images.

    The function can be traced.
    """
    return mel.log_mel(sounds.to_waveforms(x, audio_format), audio_format.rate)


def finite_mel_images(
    x: Float[Array, " n *example"], audio_format: AudioFormat
) -> Float[Array, "n 64 frames 1"]:
    """Convert audio like `mel_images`, to [0, 1]; all NaN if an example is not finite."""
    unit = mel_images(x, audio_format).astype(jnp.float32) / 255
    return jnp.where(jnp.isfinite(x).all(), unit, jnp.nan)


@functools.partial(jax.jit, static_argnames=("rate", "length"))
def _waves_and_images_program(
    x: jax.Array, bins: sounds.BinStatistics | None, rate: int, length: int
):
    audio_format = AudioFormat(rate, length, bins)
    wave = sounds.to_waveforms(x, audio_format)
    return wave, mel.log_mel(wave, rate)


def waves_and_images(
    x: Shaped[np.ndarray, " n *example"], audio_format: AudioFormat
) -> tuple[Float[np.ndarray, "n t"], UInt8[np.ndarray, "n 64 frames 1"]]:
    """Convert audio, float or int16 as stored, to waveforms in [-1, 1] and log-mel images."""
    waves, images = [], []
    for first in range(0, len(x), BATCH):
        part = x[first : first + BATCH]
        padded = np.zeros((BATCH, *x.shape[1:]), np.float32)
        padded[: len(part)] = sounds.to_float(part) if part.dtype == np.int16 else part
        wave, image = jax.device_get(
            _waves_and_images_program(
                padded, audio_format.bins, audio_format.rate, audio_format.length
            )
        )
        waves.append(wave[: len(part)])
        images.append(image[: len(part)])
    return np.concatenate(waves), np.concatenate(images)


def waveforms(
    x: Shaped[np.ndarray, " n *example"], audio_format: AudioFormat
) -> Float[np.ndarray, "n t"]:
    """Convert audio, float or int16 as stored, to waveforms in [-1, 1]."""
    return waves_and_images(x, audio_format)[0]


def preprocess_dataset(dataset: Dataset, data: Data) -> Dataset:
    """Convert a data set to the input of feature networks.

    Audio becomes log-mel images of its waveforms, also for runs on spectrograms. Images are
    returned unchanged.

    Args:
        dataset: The loaded `data`.
        data: Config of the data set.

    Returns:
        The data set with images.
    """
    if dataset.audio_format is None:
        return dataset
    if dataset.audio_format.bins is not None:
        dataset = sources.load(dataclasses.replace(data, spectrogram=False))
        assert dataset.audio_format is not None
    images = waves_and_images(dataset.batch.real, dataset.audio_format)[1]
    text = f"{mel.NOTE} at {dataset.audio_format.rate} of {dataset.fingerprint}"
    batch = Batch(images, dataset.batch.cond)
    return Dataset(batch, hashlib.sha256(text.encode()).hexdigest(), dataset.labels)

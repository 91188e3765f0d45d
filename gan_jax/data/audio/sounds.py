"""Audio data sets: spoken digits, synthetic tones and a user's files.

Examples are waveforms or spectrograms. Conversion to one length and sample rate is in
gan_jax/data/audio/waves.py.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int16

from gan_jax.config import AudioData
from gan_jax.core.errors import UserError
from gan_jax.data.audio import spectrogram, waves
from gan_jax.data.audio.spectrogram import BinStatistics
from gan_jax.data.audio.waves import FULL_SCALE
from gan_jax.data.images import tfds

LENGTH = 8192
TONES, TONE_LENGTH, TONE_RATE = {"train": 6000, "test": 1000}, 2048, 8000
OCTAVES = 2
PITCHES = 261.625565 * 2 ** (np.arange(12) / 12)  # Hz, upwards from middle C, equal temperament
TAKES = {"train": range(5, 50), "test": range(5), "all": range(50)}
SPEAKERS = ("george", "jackson", "nicolas", "theo", "yweweler")
BLOCK = 256  # waveforms transformed at once


@dataclasses.dataclass(frozen=True)
class AudioFormat:
    """Properties of an audio data set that are needed to convert its examples to waveforms."""

    rate: int
    """Sample rate in Hz."""
    length: int
    """Number of samples of a waveform."""
    bins: BinStatistics | None = None
    """Statistics of the frequency bins of spectrograms; None for waveforms."""


def to_json(audio_format: AudioFormat) -> dict[str, Any]:
    """Convert an audio format to JSON types.

    A run folder stores them, so that sampling does not need the data set.
    """
    bins = audio_format.bins
    statistics = bins and {"mean": bins.mean.tolist(), "sd": bins.std.tolist()}
    return {"rate": audio_format.rate, "length": audio_format.length, "bins": statistics}


def from_json(fields: dict[str, Any]) -> AudioFormat:
    """Invert `to_json`.

    Raises:
        ValueError: If a value is out of range; KeyError or TypeError for another structure.
    """
    bins, rate, length = fields["bins"], fields["rate"], fields["length"]
    for name, number in (("rate", rate), ("length", length)):
        if not (type(number) is int and 1 <= number < 2**24):
            raise ValueError(f"{name} must be an integer from 1 to 2^24 - 1, got {number!r}")
    if bins is not None:
        bins = BinStatistics(*(np.asarray(bins[name], np.float32) for name in ("mean", "sd")))
        if any(statistic.shape != (spectrogram.SIZE,) for statistic in bins):
            raise ValueError(f"bins must have {spectrogram.SIZE} means and standard deviations")
    return AudioFormat(rate, length, bins)


def _spoken_digit(data: AudioData, length: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Load the Free Spoken Digit Dataset from tensorflow-datasets, without TensorFlow.

    TFDS has a single split. As its authors define it, the first five takes of each digit by each
    speaker are the split `test`, 250 recordings. The other 45 are `train`; `all` is both.
    """
    if data.split not in TAKES:
        raise UserError(f"data.split must be one of {', '.join(TAKES)}, got {data.split!r}")
    import tensorflow_datasets

    name, _, version = data.name.partition(":")
    speakers = name == "spoken_digit_speakers"
    stored = dataclasses.replace(data, name="spoken_digit")
    root = tfds.find_data_dir(stored) / "spoken_digit"
    try:
        version = version or max(path.name for path in root.iterdir() if path.is_dir())
        builder: Any = tensorflow_datasets.builder_from_directory(root / version)
        source = builder.as_data_source("train")
        recordings = source.__getitems__(list(range(len(source))))
    except Exception as error:  # TFDS raises exceptions of many types
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"data set {data.name!r} in {root}: {reason}") from None
    waveforms, labels = [], []
    for example in recordings:
        digit, speaker, take = example["audio/filename"].decode().removesuffix(".wav").split("_")
        if int(take) in TAKES[data.split]:
            wave = np.asarray(example["audio"]) / 32768
            try:
                waveforms.append(waves.fit_length(wave, 8000, data, length))
            except ValueError as error:  # a length of a few samples
                message = f"data.length is {length}: {digit}_{speaker}_{take}: {error}"
                raise UserError(message) from None
            labels.append(SPEAKERS.index(speaker) if speakers else int(digit))
    return np.stack(waveforms), np.asarray(labels, np.int32), data.rate or 8000


def _tones(data: AudioData, length: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Synthesize plucked tones of 24 pitches from middle C upwards, labeled by pitch class.

    They have three harmonics of random strengths and phases, a random onset and decay, and noise
    50 to 30 decibels below full scale.
    """
    rate = data.rate or TONE_RATE
    if rate < TONE_RATE:
        raise UserError(f"data.rate must be at least {TONE_RATE} for tones, got {rate}")
    if data.normalize:
        raise UserError("data.normalize must be off for tones, whose level is fixed")
    if data.split not in TONES:
        raise UserError(f"data.split must be one of {', '.join(TONES)}, got {data.split!r}")
    # The set is fixed: it does not depend on the seed of a run.
    random = np.random.Generator(np.random.PCG64([*TONES].index(data.split)))
    n = TONES[data.split]
    label = random.integers(12, size=n)
    f0 = PITCHES[label] * 2.0 ** random.integers(OCTAVES, size=n)
    start = random.uniform(0, 0.1, n) * length / rate
    decay = random.uniform(2, 6, n) * rate / length
    strength = random.uniform(0.1, 1, (n, 3)) * [1, 0.5, 0.25]
    phase = random.uniform(0, 2 * np.pi, (n, 3))
    seconds = np.arange(length)[None] / rate - start[:, None]
    wave = np.zeros((n, length))
    for i in range(3):
        cycles = (i + 1) * f0[:, None] * seconds
        wave += strength[:, i, None] * np.sin(2 * np.pi * cycles + phase[:, i, None])
    attack = np.clip(seconds * 200, 0, 1)  # five milliseconds
    wave *= attack * np.exp(-decay[:, None] * seconds.clip(0))
    wave *= 0.9 / np.abs(wave).max(1, keepdims=True)
    # Without a common noise floor a classifier could tell recordings from samples by their noise.
    floor = 10 ** random.uniform(-2.5, -1.5, (n, 1))
    wave = np.clip(wave + floor * random.standard_normal(wave.shape), -1, 1)
    return np.rint(wave * FULL_SCALE).astype(np.int16), label.astype(np.int32), rate


def _check(data: AudioData, length: int) -> None:
    if length < 2:
        raise UserError(f"data.length must be at least 2, got {length}")
    if not 1000 <= (data.rate or 8000) <= 192_000:
        raise UserError(f"data.rate must be from 1000 to 192000, got {data.rate}")
    if data.spectrogram:
        spectrogram.hop_size(length)


def _spectrograms(
    waveforms: Int16[np.ndarray, "n t"],
) -> tuple[Int16[np.ndarray, "n 128 128 1"], BinStatistics]:
    """Return the spectrograms of waveforms, and the statistics that standardized them."""
    transform = jax.jit(spectrogram.log_magnitudes)
    magnitudes = np.empty((len(waveforms), spectrogram.SIZE, spectrogram.SIZE), np.float32)
    for first in range(0, len(waveforms), BLOCK):
        part = waveforms[first : first + BLOCK]
        block = np.zeros((BLOCK, waveforms.shape[1]), np.float32)  # padded: one compiled program
        block[: len(part)] = to_float(part)
        magnitudes[first : first + BLOCK] = transform(block)[: len(part)]
    bins = spectrogram.bin_statistics(magnitudes)
    unit = spectrogram.standardize(magnitudes, bins)
    return np.rint(np.asarray(unit) * FULL_SCALE).astype(np.int16), bins


READERS = {"tones": _tones, "sounds": waves.load_folder}


def load(data: AudioData) -> tuple[np.ndarray, np.ndarray | None, AudioFormat]:
    """Load an audio data set.

    Args:
        data: Name and options of the data set.

    Returns:
        Waveforms int16 [n, t, 1], or spectrograms int16 [n, 128, 128, 1], where 32767 stands for
        1.0; labels int32 [n] or None; and the audio format.

    Raises:
        UserError: If the set is absent, or does not have what `data` asks for.
    """
    default = TONE_LENGTH if data.name == "tones" else LENGTH
    length = default if data.length is None else data.length
    _check(data, length)
    real, labels, rate = READERS.get(data.name, _spoken_digit)(data, length)
    if not data.spectrogram:
        return real[..., None], labels, AudioFormat(rate, length)
    real, bins = _spectrograms(real)
    return real, labels, AudioFormat(rate, length, bins)


def to_waveforms(x: Float[Array, " n *example"], audio_format: AudioFormat) -> Float[Array, "n t"]:
    """Convert examples to waveforms in [-1, 1], as a pure function that JAX can trace.

    Args:
        x: Waveforms float32 [n, t, 1], or spectrograms float32 [n, 128, 128, 1].
        audio_format: Audio format of the data set.

    Returns:
        Waveforms float32 [n, t].

    Example:
        >>> to_waveforms(jnp.zeros((2, 64, 1)), AudioFormat(rate=8000, length=64)).shape
        (2, 64)
    """
    if audio_format.bins is None:
        return x[..., 0]
    waveforms = spectrogram.to_waveforms(x, audio_format.bins, audio_format.length)
    return jnp.clip(waveforms, -1, 1)


def to_float(real: Int16[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Convert stored waveforms or spectrograms to float32 in [-1, 1]."""
    return real.astype(np.float32) / np.float32(FULL_SCALE)

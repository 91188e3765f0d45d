"""Sets of sounds: spoken digits, tones of known pitch, a user's own; as waves or spectrograms.

How sounds come to be of one length and rate is in gan_jax/data/audio/waves.py.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import AudioData
from gan_jax.core.errors import UserError
from gan_jax.data.audio import spectrogram, waves
from gan_jax.data.audio.spectrogram import BinStatistics
from gan_jax.data.audio.waves import FULL_SCALE
from gan_jax.data.images import tfds

LENGTH = 8192
TONES, TONE_LENGTH, TONE_RATE = {"train": 6000, "test": 1000}, 2048, 8000
OCTAVES = 2
PITCHES = 261.625565 * 2 ** (np.arange(12) / 12)  # Hz, from middle C on, equal temperament
TAKES = {"train": range(5, 50), "test": range(5), "all": range(50)}
SPEAKERS = ("george", "jackson", "nicolas", "theo", "yweweler")
BLOCK = 256  # sounds that are transformed at once


@dataclasses.dataclass(frozen=True)
class AudioFormat:
    """What must be known of a set of sounds to hear it."""

    rate: int
    """Samples a second."""
    length: int
    """Samples of each."""
    bins: BinStatistics | None = None
    """Of spectrograms."""


def to_json(sound: AudioFormat) -> dict[str, Any]:
    """For a run folder, from which sounds are made without the data."""
    bins = sound.bins and {"mean": sound.bins.mean.tolist(), "sd": sound.bins.sd.tolist()}
    return {"rate": sound.rate, "length": sound.length, "bins": bins}


def from_json(found: dict[str, Any]) -> AudioFormat:
    """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
    bins, rate, length = found["bins"], found["rate"], found["length"]
    if not all(type(one) is int and 1 <= one < 2**24 for one in (rate, length)):
        raise ValueError(f"{length!r} samples at {rate!r} a second")
    if bins is not None:
        bins = BinStatistics(
            *(np.asarray(bins[name], np.float32) for name in BinStatistics._fields)
        )
        if any(one.shape != (spectrogram.SIZE,) for one in bins):
            raise ValueError("the bins of its spectrograms are of another shape")
    return AudioFormat(rate, length, bins)


def _spoken_digit(data: AudioData, length: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The Free Spoken Digit Dataset as tensorflow-datasets prepared it, read without TensorFlow.

    TFDS has it in one split. As its makers have it, the first five takes of each digit by each
    speaker are the split `test`, 250 sounds, the other 45 `train`; `all` are both.
    """
    if data.split not in TAKES:
        raise UserError(f"data.split is {data.split!r}: spoken digits have {', '.join(TAKES)}")
    import tensorflow_datasets

    name, _, version = data.name.partition(":")
    speakers = name == "spoken_digit_speakers"
    stored = dataclasses.replace(data, name="spoken_digit")
    root = tfds.find_data_dir(stored) / "spoken_digit"
    try:
        version = version or max(path.name for path in root.iterdir() if path.is_dir())
        builder: Any = tensorflow_datasets.builder_from_directory(root / version)
        source = builder.as_data_source("train")
        found = source.__getitems__(list(range(len(source))))
    except Exception as error:  # TFDS raises many kinds; each says what it misses
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"data set {data.name!r} in {root}: {reason}") from None
    found_waves, labels = [], []
    for example in found:
        digit, speaker, take = example["audio/filename"].decode().removesuffix(".wav").split("_")
        if int(take) in TAKES[data.split]:
            wave = np.asarray(example["audio"]) / 32768
            try:
                found_waves.append(waves.fit_length(wave, 8000, data, length))
            except ValueError as error:  # of a few samples
                message = f"data.length is {length}: of {digit}_{speaker}_{take} {error}"
                raise UserError(message) from None
            labels.append(SPEAKERS.index(speaker) if speakers else int(digit))
    return np.stack(found_waves), np.asarray(labels, np.int32), data.rate or 8000


def _tones(data: AudioData, length: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Plucked tones of the twelve pitches from middle C on and of the octave above, and the pitch
    classes: three harmonics of random strengths and phases, a random start and decay, and noise of
    50 to 30 decibels below full scale."""
    rate = data.rate or TONE_RATE
    if rate < TONE_RATE:
        raise UserError(f"data.rate is {rate}: of tones at least {TONE_RATE} is allowed")
    if data.normalize:
        raise UserError("data.normalize is on: tones have a loudness of their own; leave it out")
    if data.split not in TONES:
        raise UserError(f"data.split is {data.split!r}: tones have {', '.join(TONES)}")
    # The set is fixed: no seed of a run is in it.
    random = np.random.Generator(np.random.PCG64([*TONES].index(data.split)))
    n = TONES[data.split]
    label = random.integers(12, size=n)
    f0 = PITCHES[label] * 2.0 ** random.integers(OCTAVES, size=n)
    start = random.uniform(0, 0.1, n) * length / rate
    decay = random.uniform(2, 6, n) * rate / length
    strength = random.uniform(0.1, 1, (n, 3)) * [1, 0.5, 0.25]
    phase = random.uniform(0, 2 * np.pi, (n, 3))
    since = np.arange(length)[None] / rate - start[:, None]
    wave = np.zeros((n, length))
    for i in range(3):
        cycles = (i + 1) * f0[:, None] * since
        wave += strength[:, i, None] * np.sin(2 * np.pi * cycles + phase[:, i, None])
    attack = np.clip(since * 200, 0, 1)  # five milliseconds
    wave *= attack * np.exp(-decay[:, None] * since.clip(0))
    wave *= 0.9 / np.abs(wave).max(1, keepdims=True)
    # Without a noise floor a classifier would know every recording, and every sample, by its own.
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


def _spectrograms(waves: np.ndarray) -> tuple[np.ndarray, BinStatistics]:
    """Of sounds int16 [n, t]: int16 [n, 128, 128, 1], and the bins they are standardised by."""
    transform = jax.jit(spectrogram.log_magnitudes)
    found = np.empty((len(waves), spectrogram.SIZE, spectrogram.SIZE), np.float32)
    for first in range(0, len(waves), BLOCK):
        part = waves[first : first + BLOCK]
        block = np.zeros((BLOCK, waves.shape[1]), np.float32)  # one program serves any rest
        block[: len(part)] = to_float(part)
        found[first : first + BLOCK] = transform(block)[: len(part)]
    bins = spectrogram.bin_statistics(found)
    unit = spectrogram.standardize(found, bins)  # pyright: ignore[reportArgumentType]
    return np.rint(np.asarray(unit) * FULL_SCALE).astype(np.int16), bins


OWN = {"tones": _tones, "sounds": waves.load_folder}


def load(data: AudioData) -> tuple[np.ndarray, np.ndarray | None, AudioFormat]:
    """The sounds int16 [n, t, 1], or their spectrograms int16 [n, 128, 128, 1], both to be divided
    by 32767; labels int32 [n] or None; and how they are heard. Raises UserError if the set is
    absent, or `data` asks for what there is not."""
    usual = TONE_LENGTH if data.name == "tones" else LENGTH
    length = usual if data.length is None else data.length
    _check(data, length)
    real, labels, rate = OWN.get(data.name, _spoken_digit)(data, length)
    if not data.spectrogram:
        return real[..., None], labels, AudioFormat(rate, length)
    real, bins = _spectrograms(real)
    return real, labels, AudioFormat(rate, length, bins)


def to_waveforms(x: jax.Array, sound: AudioFormat) -> jax.Array:
    """Examples float32 [n, t, 1], or spectrograms [n, 128, 128, 1], as sounds [n, t] in [-1, 1].
    Pure, to be traced too."""
    if sound.bins is None:
        return x[..., 0]
    return jnp.clip(spectrogram.to_waveforms(x, sound.bins, sound.length), -1, 1)


def to_float(real: np.ndarray) -> np.ndarray:
    """Stored sounds or spectrograms int16 as float32 in [-1, 1]."""
    return real.astype(np.float32) / np.float32(FULL_SCALE)

"""Audio files, and the conversion of waveforms to int16 of one length and sample rate.

Waveforms longer than `data.length` are cut, shorter ones are padded with zeros. All are converted
to mono, resampled to `data.rate` by scipy's polyphase filter, and with `data.normalize` scaled to a
peak of 1.
"""

import dataclasses
import logging
import math
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int16
from scipy.io import wavfile
from scipy.signal import resample_poly

from gan_jax.config import AudioData
from gan_jax.core.errors import UserError, reason
from gan_jax.data.images import files

log = logging.getLogger(__name__)
FULL_SCALE = 32767  # the int16 that stands for 1.0
MIN_RATE, MAX_RATE = 1000, 768_000  # Hz
SILENCE = 1e-4  # a waveform with a smaller peak counts as silent: -80 dB
SUFFIXES = {".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3"}


def fit_length(
    wave: Float[np.ndarray, " t"], rate: int, data: AudioData, length: int
) -> Int16[np.ndarray, " {length}"]:
    """Resample, cut or pad, and quantize a waveform.

    Args:
        wave: Waveform [t] in [-1, 1].
        rate: Its sample rate in Hz.
        data: Options of the data set; `rate` and `normalize` are used.
        length: Number of samples of the result.

    Returns:
        The waveform int16 [length].

    Raises:
        ValueError: If the part that remains is empty or silent.
    """
    if data.rate and data.rate != rate and wave.size:
        common = math.gcd(data.rate, rate)
        wave = resample_poly(wave, data.rate // common, rate // common)
    wave = np.asarray(wave[:length], np.float64)
    peak = np.abs(wave).max(initial=0)
    if peak < SILENCE:
        raise ValueError("it is silent" if wave.size else "it is empty")
    wave = wave / peak if data.normalize else wave
    wave = np.pad(wave, (0, length - len(wave)))
    return np.rint(np.clip(wave, -1, 1) * FULL_SCALE).astype(np.int16)


def decode(path: Path) -> tuple[Float[np.ndarray, " t"], int]:
    """Decode an audio file to mono.

    Wav files of 8- to 64-bit integers or floats are read by scipy, other formats by soundfile,
    which the extra `audio` installs.

    Args:
        path: Path to the file.

    Returns:
        The mean of the channels, float64 [t] in [-1, 1], and the sample rate in Hz.

    Raises:
        Exception: If the file is damaged; each reader has exceptions of its own.
    """
    if path.suffix.lower() == ".wav":
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)  # a truncated file
            warnings.filterwarnings("ignore", message="Chunk")  # unknown metadata
            rate, samples = wavfile.read(path)
        if samples.dtype == np.uint8:
            wave = (samples.astype(np.float64) - 128) / 128
        elif samples.dtype.kind == "i":
            wave = samples.astype(np.float64) / -float(np.iinfo(samples.dtype).min)
        else:
            wave = samples.astype(np.float64)
    else:
        try:
            import soundfile  # pyright: ignore[reportMissingImports]
        except ImportError:
            message = "formats other than wav need `pip install gan-jax[audio]`"
            raise ValueError(message) from None
        wave, rate = soundfile.read(path)
    if wave.ndim > 1:
        wave = wave.mean(1)
    if not MIN_RATE <= rate <= MAX_RATE:  # else resampling could turn a few bytes into gigabytes
        raise ValueError(f"the sample rate must be from {MIN_RATE} to {MAX_RATE} Hz, got {rate}")
    if not np.isfinite(wave).all():
        raise ValueError("it contains samples that are not finite")
    return wave, int(rate)


def _decode_all(paths: list[Path]) -> list[tuple[Path, np.ndarray, int]]:
    """Decode the files that can be decoded; log the others."""
    decoded = []
    for path in paths:
        try:
            decoded.append((path, *decode(path)))
        except Exception as error:  # the readers raise exceptions of their own types
            log.warning("left out %s: %s", path, reason(error))
    return decoded


def load_folder(data: AudioData, length: int) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Load all audio files below `data.path`, in the order of their names.

    Damaged, empty and silent files are logged and left out. Without `data.rate`, files of different
    sample rates are resampled to the lowest one.

    Args:
        data: Path and options of the data set.
        length: Number of samples of an example.

    Returns:
        Waveforms int16 [n, length], labels int32 [n] by folder if there are several (else None),
        and the sample rate in Hz.

    Raises:
        UserError: If no file, or a folder, can be read.
    """
    root = files.require_path(data)
    if not root.is_dir():
        raise UserError(f"data.path must be a folder, got {data.path!r}")
    try:
        audio_paths = files.find_files(root, SUFFIXES)
    except OSError as error:
        raise UserError(f"data.path is {data.path!r}: {reason(error)}") from None
    decoded = _decode_all(audio_paths)
    rates = sorted({rate for _, _, rate in decoded})
    if not data.rate and len(rates) > 1:
        log.warning(
            "%s: sample rates %s, all resampled to the lowest; set --data.rate for another",
            *(data.name, ", ".join(map(str, rates))),
        )
    rate = data.rate or min(rates, default=0)
    resampled = dataclasses.replace(data, rate=rate)
    waveforms, paths = [], []
    for path, wave, file_rate in decoded:
        try:
            waveforms.append(fit_length(wave, file_rate, resampled, length))
        except ValueError as error:
            log.warning("left out %s: %s", path, reason(error))
            continue
        paths.append(path)
    if not waveforms:
        raise UserError(
            f"data.path is {data.path!r}: no readable audio file ({len(audio_paths)} tried)"
        )
    if len(waveforms) < len(audio_paths):
        log.warning("read %d of %d audio files in %s", len(waveforms), len(audio_paths), root)
    classes = sorted({path.parent for path in audio_paths})  # also those of damaged files only
    labels = np.asarray([classes.index(path.parent) for path in paths], np.int32)
    return np.stack(waveforms), labels if len(classes) > 1 else None, rate

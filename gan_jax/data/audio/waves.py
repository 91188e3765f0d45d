"""Sound files of a user, and waves of any kind as int16 arrays of one length and rate.

A sound that is longer than `data.length` is cut, a shorter one ends in zeros. All are mono, brought
to `data.rate` by scipy's polyphase filter, and with `data.normalize` to a peak of 1.
"""

import dataclasses
import logging
import math
import warnings
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from gan_jax.config import AudioData
from gan_jax.core.errors import UserError, reason
from gan_jax.data.images import files

log = logging.getLogger(__name__)
FULL_SCALE = 32767  # of int16, for 1.0
SLOWEST, FASTEST = 1000, 768_000  # samples a second
SILENCE = 1e-4  # peak of a sound that is taken for silent: -80 dB
SUFFIXES = {".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3"}


def fit_length(wave: np.ndarray, rate: int, data: AudioData, length: int) -> np.ndarray:
    """A sound float [t] in [-1, 1] at `rate` as the set has it: int16 [length].

    Raises ValueError where nothing can be heard of what is kept.
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


def decode(path: Path) -> tuple[np.ndarray, int]:
    """A sound file as float64 [t], the mean of its channels, in [-1, 1], and its rate.

    Wav files, of integers of 8 to 64 bits or floats, are read by scipy; others by soundfile, which
    the extra `audio` brings. Raises an Exception, of no one kind, if the file is broken.
    """
    if path.suffix.lower() == ".wav":
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)  # such as of a cut file
            warnings.filterwarnings("ignore", message="Chunk")  # of metadata
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
            reason = "only wav files are read without `pip install gan-jax[audio]`"
            raise ValueError(reason) from None
        wave, rate = soundfile.read(path)
    if wave.ndim > 1:
        wave = wave.mean(1)
    if not SLOWEST <= rate <= FASTEST:  # of others, a few bytes could become gigabytes
        raise ValueError(f"it has {rate} samples a second: {SLOWEST} to {FASTEST} are read")
    if not np.isfinite(wave).all():
        raise ValueError("it holds samples that are not finite")
    return wave, int(rate)


def load_folder(data: AudioData, length: int) -> tuple[np.ndarray, np.ndarray | None, int]:
    """All sounds below `data.path`, in the order of their names: int16 [n, length], labels int32
    [n] by folder where there are several, and the rate.

    Broken, empty and silent files are named in the log and left out. Without `data.rate` sounds of
    several rates are brought to the lowest. Raises UserError where there is no sound, or a folder
    that cannot be read.
    """
    root = files.require_path(data)
    if not root.is_dir():
        raise UserError(f"data.path is {data.path!r}: it is not a folder")
    try:
        tried = files.find_files(root, SUFFIXES)
    except OSError as error:
        raise UserError(f"data.path is {data.path!r}: {reason(error)}") from None
    found, paths = [], []

    def leave_out(path: Path, error: Exception) -> None:
        log.warning("left out %s: %s", path, reason(error))

    for path in tried:
        try:
            found.append((path, *decode(path)))
        except Exception as error:  # each reader raises kinds of its own
            leave_out(path, error)
    rates = {rate for _, _, rate in found}
    if not data.rate and len(rates) > 1:
        given = ", ".join(map(str, sorted(rates)))
        log.warning(
            "%s: sounds of rates %s, all brought to the lowest; --data.rate sets another",
            *(data.name, given),
        )
    rate = data.rate or min(rates, default=0)
    at_one = dataclasses.replace(data, rate=rate)
    waves = []
    for path, wave, own in found:
        try:
            waves.append(fit_length(wave, own, at_one, length))
        except ValueError as error:
            leave_out(path, error)
            continue
        paths.append(path)
    if not waves:
        raise UserError(
            f"data.path is {data.path!r}: it holds no readable sound ({len(tried)} tried)"
        )
    if len(waves) < len(tried):
        log.warning("read %d of %d sounds in %s", len(waves), len(tried), root)
    classes = sorted({path.parent for path in tried})  # also one of broken sounds only
    labels = np.asarray([classes.index(path.parent) for path in paths], np.int32)
    return np.stack(waves), labels if len(classes) > 1 else None, rate

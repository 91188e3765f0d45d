"""Audio output: WAV files, and images of waveforms and log-mel spectrograms."""

import itertools
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from gan_jax.data.audio import mel
from gan_jax.data.audio.waves import FULL_SCALE

GAP = 0.1  # seconds of silence between two clips of a file
COLUMNS = 128  # width of an image, in pixels
HEIGHT = 48  # height of a waveform, in pixels


def write_wav(path: Path, waves: np.ndarray, rate: int) -> None:
    """Write waveforms one after another as a 16-bit WAV file.

    Args:
        path: File to write.
        waves: Waveforms, float [n, t] in [-1, 1]; other values are clipped.
        rate: Sample rate in Hz.

    Raises:
        OSError: If the file cannot be written.
    """
    gap = np.zeros((len(waves), round(GAP * rate)), np.float32)
    clips = np.concatenate([np.clip(np.nan_to_num(waves), -1, 1), gap], 1)
    wavfile.write(path, rate, np.rint(clips.reshape(-1) * FULL_SCALE).astype(np.int16))


def waveform_images(waves: np.ndarray) -> np.ndarray:
    """Plot waveforms, float [n, t], as images, uint8 [n, 48, 128, 1].

    Each column shows the range of its samples in black on white, with full scale from bottom to
    top.

    Example:
        >>> waveform_images(np.zeros((2, 1000))).shape
        (2, 48, 128, 1)
    """
    edges = np.linspace(0, waves.shape[1], COLUMNS + 1).astype(int)
    spans = [waves[:, a : max(b, a + 1)] for a, b in itertools.pairwise(edges)]
    low = np.stack([span.min(1) for span in spans], 1).clip(-1, 1)
    high = np.stack([span.max(1) for span in spans], 1).clip(-1, 1)
    row = np.arange(HEIGHT)[None, :, None]

    def to_row(level: np.ndarray) -> np.ndarray:
        return np.rint((1 - level) / 2 * (HEIGHT - 1))[:, None]

    inside = (row >= to_row(high)) & (row <= to_row(low))
    return np.where(inside, 0, 255).astype(np.uint8)[..., None]


def audio_images(waves: np.ndarray, rate: int) -> np.ndarray:
    """Plot waveforms above their log-mel spectrograms.

    Time runs to the right and frequency upward; loud parts are white.

    Args:
        waves: Waveforms, float [n, t].
        rate: Sample rate in Hz.

    Returns:
        Images, uint8 [n, 112, 128, 1].
    """
    bands = np.asarray(mel.log_mel(np.asarray(waves, np.float32), rate))  # pyright: ignore[reportArgumentType]
    columns = np.arange(COLUMNS) * bands.shape[2] // COLUMNS
    return np.concatenate([waveform_images(waves), bands[:, :, columns]], 1)

"""Sounds to hear and to look at: wav files, and pictures of waveforms over log-mel spectrograms."""

import itertools
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from gan_jax.data.audio import mel
from gan_jax.data.audio.waves import FULL_SCALE

GAP = 0.1  # seconds of silence between two sounds in a file
COLUMNS = 128  # of a picture, in pixels
HEIGHT = 48  # of its waveform


def write_wav(path: Path, waves: np.ndarray, rate: int) -> None:
    """Sounds float [n, t] in [-1, 1] one after another as a wav file of 16 bits. Raises OSError
    where it cannot be written."""
    gap = np.zeros((len(waves), round(GAP * rate)), np.float32)
    whole = np.concatenate([np.clip(np.nan_to_num(waves), -1, 1), gap], 1).reshape(-1)
    wavfile.write(path, rate, np.rint(whole * FULL_SCALE).astype(np.int16))


def waveform_images(waves: np.ndarray) -> np.ndarray:
    """Sounds float [n, t] as pictures uint8 [n, 48, 128, 1]: in every column the range of its
    samples, black on white, full scale from bottom to top."""
    edges = np.linspace(0, waves.shape[1], COLUMNS + 1).astype(int)
    spans = [waves[:, a : max(b, a + 1)] for a, b in itertools.pairwise(edges)]
    low = np.stack([span.min(1) for span in spans], 1).clip(-1, 1)
    high = np.stack([span.max(1) for span in spans], 1).clip(-1, 1)
    row = np.arange(HEIGHT)[None, :, None]

    def place(level: np.ndarray) -> np.ndarray:
        return np.rint((1 - level) / 2 * (HEIGHT - 1))[:, None]

    inside = (row >= place(high)) & (row <= place(low))
    return np.where(inside, 0, 255).astype(np.uint8)[..., None]


def audio_images(waves: np.ndarray, rate: int) -> np.ndarray:
    """Sounds float [n, t] as uint8 [n, 112, 128, 1]: the waveform, and below it the log-mel
    spectrogram, time to the right and pitch up, loud in white."""
    bands = np.asarray(mel.log_mel(np.asarray(waves, np.float32), rate))  # pyright: ignore[reportArgumentType]
    at = np.arange(COLUMNS) * bands.shape[2] // COLUMNS
    return np.concatenate([waveform_images(waves), bands[:, :, at]], 1)

"""Pitch of tones, and how well samples keep to the twelve pitches of the data set `tones`.

Pitch is estimated by harmonic summation (Noll 1969): candidates are fundamentals five cents apart
over the octaves of the data set, and the estimate is the one with the strongest spectrum at its
first three harmonics. The share of the energy at these harmonics tells tones from noise.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gan_jax.data.audio.sounds import OCTAVES, PITCHES

CENTS = np.arange(-50, 50, 5)  # candidates around every pitch
HARMONICS = 3
FFT_SIZE = 16384  # zero-padded: bins are closer than five cents of the lowest pitch
IN_TUNE_CENTS = 25  # from the nearest pitch; half of all random pitches are as close
TONAL_SHARE = 0.5  # smallest share of the energy at the harmonics of a tone


class Pitches(NamedTuple):
    """Estimated pitches of n waveforms."""

    label: Int[np.ndarray, " n"]
    """Pitch class, 0 for C."""
    cents: Float[np.ndarray, " n"]
    """Difference from the pitch, in cents."""
    share: Float[np.ndarray, " n"]
    """Share of the energy at the harmonics."""


def pitches(waves: Float[np.ndarray, "n t"], rate: int) -> Pitches:
    """Estimate the pitches of waveforms.

    Args:
        waves: Waveforms [n, t].
        rate: Sampling rate in Hz.

    Returns:
        The pitch class, deviation and tonal share of each waveform.

    Example:
        >>> seconds = np.arange(4000) / 8000
        >>> estimate = pitches(np.sin(2 * np.pi * 440.0 * seconds)[None], 8000)
        >>> int(estimate.label[0]), float(estimate.cents[0])  # A
        (9, 0.0)
    """
    n, length = waves.shape
    window = np.hanning(length)
    fft_size = max(FFT_SIZE, length)
    note = np.arange(12 * OCTAVES)
    f0 = PITCHES[note % 12] * 2.0 ** (note // 12)
    f0 = (f0[:, None] * 2 ** (CENTS / 1200)).ravel()
    bins = f0[:, None] * np.arange(1, HARMONICS + 1) * fft_size / rate  # [f, harmonics]
    lobe = int(np.ceil(2 * fft_size / length))  # half of the window's main lobe, in bins
    label, cents, share = np.zeros(n, int), np.zeros(n), np.zeros(n)
    for i, wave in enumerate(waves):
        power = np.abs(np.fft.rfft(wave * window, fft_size)) ** 2
        strength = np.sqrt(power)[np.rint(bins).astype(int)].sum(1)
        best = strength.argmax()
        harmonic_bins = np.rint(bins[best]).astype(int)[:, None] + np.arange(-lobe, lobe + 1)
        share[i] = power[np.unique(harmonic_bins)].sum() / max(power.sum(), 1e-12)
        label[i] = best // len(CENTS) % 12
        cents[i] = CENTS[best % len(CENTS)]
    return Pitches(label, cents, share)

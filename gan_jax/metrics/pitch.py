"""The pitch of tones, and how well samples of a run on the set `tones` keep to its twelve.

A pitch is found by harmonic summation (Noll 1969): of fundamentals five cents apart over the
octaves of the set, the one at whose first three harmonics the spectrum is strongest. How much of
the energy lies at these says whether there is a tone at all.
"""

from typing import NamedTuple

import numpy as np

from gan_jax.data.audio.sounds import OCTAVES, PITCHES

CENTS = np.arange(-50, 50, 5)  # around every pitch
HARMONICS = 3
FFT_SIZE = 16384  # of the transform, so that its lines are closer than five cents of the lowest
IN_TUNE_CENTS = 25  # cents from the nearest pitch, which half of all random pitches keep to
TONAL_SHARE = 0.5  # share of the energy that makes a tone


class Pitches(NamedTuple):
    """Of n sounds: pitch class int [n], 0 for C; cents from it, float [n]; and the share of the
    energy at the harmonics, float [n]."""

    label: np.ndarray
    cents: np.ndarray
    share: np.ndarray


def pitches(waves: np.ndarray, rate: int) -> Pitches:
    """Of sounds float [n, t] at `rate`."""
    n, length = waves.shape
    window = np.hanning(length)
    points = max(FFT_SIZE, length)
    note = np.arange(12 * OCTAVES)
    f0 = PITCHES[note % 12] * 2.0 ** (note // 12)
    f0 = (f0[:, None] * 2 ** (CENTS / 1200)).ravel()
    lines = f0[:, None] * np.arange(1, HARMONICS + 1) * points / rate  # [f, harmonics]
    lobe = int(np.ceil(2 * points / length))  # half of the window's main lobe, in lines
    label, cents, share = np.zeros(n, int), np.zeros(n), np.zeros(n)
    for i, wave in enumerate(waves):
        power = np.abs(np.fft.rfft(wave * window, points)) ** 2
        strength = np.sqrt(power)[np.rint(lines).astype(int)].sum(1)
        best = strength.argmax()
        around = np.rint(lines[best]).astype(int)[:, None] + np.arange(-lobe, lobe + 1)
        share[i] = power[np.unique(around)].sum() / max(power.sum(), 1e-12)
        label[i] = best // len(CENTS) % 12
        cents[i] = CENTS[best % len(CENTS)]
    return Pitches(label, cents, share)

"""Spectrograms of SpecGAN and their inversion to waveforms, as pure functions of arrays.

Donahue, McAuley & Puckette 2019 (1802.04208), sec. 3.2: log-magnitudes of a short-time Fourier
transform with 256 samples per frame, without the highest frequency. Each of the 128 frequencies is
standardized by its mean and standard deviation over the data, clipped to three standard deviations
and scaled to [-1, 1]. Phases are estimated by 16 iterations of Griffin & Lim 1984, as in the paper.

Deviations:

- There are 128 frames for any length: the hop is 128 samples for a length of 16384, as in the
  paper, and 64 for 8192.
- The inverse transform is Griffin & Lim's least-squares estimate (eq. 6). The authors' code adds
  windowed frames without a correction.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex64, Float

from gan_jax.core.errors import UserError

SIZE = 128  # number of frames, and of frequencies
WINDOW = 2 * SIZE
DEVIATIONS = 3.0
EPSILON = 1e-6  # added to a magnitude before its logarithm
ITERATIONS = 16
MIN_WEIGHT = 0.05  # least sum of squared windows: the first samples of a waveform fade in


class BinStatistics(NamedTuple):
    """Statistics over the data of the log-magnitudes of each frequency bin, float32 [128]."""

    mean: np.ndarray
    std: np.ndarray


def hann_window(size: int) -> Float[np.ndarray, " {size}"]:
    """Return a periodic Hann window, float32 [size]."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def stft(
    x: Float[Array | np.ndarray, "n t"], size: int, hop: int
) -> Complex64[Array, "n frames frequencies"]:
    """Compute the short-time Fourier transform of waveforms with a Hann window.

    Args:
        x: Waveforms [n, t]; zeros are appended.
        size: Number of samples of a frame.
        hop: Number of samples between the starts of two frames, a divisor of `size`.

    Returns:
        Frames complex64 [n, ceil(t / hop), size/2 + 1].
    """
    count = -(-x.shape[1] // hop)
    padded = jnp.pad(x, ((0, 0), (0, (count - 1) * hop + size - x.shape[1])))
    blocks = padded.reshape(len(x), -1, hop)
    frames = jnp.concatenate([blocks[:, i : i + count] for i in range(size // hop)], -1)
    return jnp.fft.rfft(frames * jnp.asarray(hann_window(size))[None, None])


def inverse_stft(
    frames: Complex64[Array, "n f frequencies"], size: int, hop: int
) -> Float[Array, "n t"]:
    """Compute the waveforms whose `stft` is nearest in the least-squares sense.

    Args:
        frames: Frames complex64 [n, f, size/2 + 1].
        size: Number of samples of a frame.
        hop: Number of samples between the starts of two frames, a divisor of `size`.

    Returns:
        Waveforms float32 [n, f * hop].
    """

    def overlap_add(parts: jax.Array) -> jax.Array:
        n, f, _ = parts.shape
        parts = parts.reshape(n, f, size // hop, hop)
        last = size // hop - 1
        pads = [((0, 0), (i, last - i), (0, 0)) for i in range(last + 1)]
        total = sum(jnp.pad(parts[:, :, i], pad) for i, pad in enumerate(pads))
        return jnp.asarray(total)[:, :f].reshape(n, f * hop)

    window = jnp.asarray(hann_window(size))[None, None]
    weight = overlap_add(jnp.broadcast_to(window**2, (1, frames.shape[1], size)))
    return overlap_add(jnp.fft.irfft(frames, size) * window) / jnp.maximum(weight, MIN_WEIGHT)


def hop_size(length: int) -> int:
    """Return the number of samples between frames of a waveform of `length` samples.

    Raises:
        UserError: If 128 frames of 256 samples do not cover the length evenly.
    """
    if length not in (32 * SIZE, 64 * SIZE, 128 * SIZE):
        raise UserError(
            f"data.length must be 4096, 8192 or 16384 with data.spectrogram, got {length}"
        )
    return length // SIZE


def log_magnitudes(x: Float[Array, "n t"]) -> Float[Array, "n 128 128"]:
    """Compute log-magnitudes [n, frames, frequencies] of waveforms [n, t]."""
    frames = stft(x, WINDOW, hop_size(x.shape[1]))[..., :-1]
    return jnp.log(jnp.abs(frames) + EPSILON)


def bin_statistics(magnitudes: Float[np.ndarray, "n 128 128"]) -> BinStatistics:
    """Compute the statistics of the log-magnitudes [n, frames, frequencies] of a data set."""
    mean = magnitudes.mean((0, 1), np.float64)
    std = magnitudes.std((0, 1), dtype=np.float64)
    return BinStatistics(mean.astype(np.float32), np.maximum(std, 1e-3).astype(np.float32))


def standardize(
    magnitudes: Float[Array | np.ndarray, "n 128 128"], bins: BinStatistics
) -> Float[Array, "n 128 128 1"]:
    """Standardize log-magnitudes and scale them to spectrograms in [-1, 1]."""
    scaled = (magnitudes - bins.mean[None, None]) / (DEVIATIONS * bins.std[None, None])
    return jnp.clip(scaled, -1, 1)[..., None]


def to_waveforms(
    spectrograms: Float[Array, "n 128 128 1"], bins: BinStatistics, length: int
) -> Float[Array, "n {length}"]:
    """Invert spectrograms to waveforms by Griffin & Lim's algorithm, started from zero phases.

    Args:
        spectrograms: Spectrograms [n, 128, 128, 1] in [-1, 1].
        bins: Statistics that standardized them.
        length: Number of samples of a waveform.

    Returns:
        Waveforms float32 [n, length].
    """
    hop = hop_size(length)
    log = DEVIATIONS * bins.std[None, None] * spectrograms[..., 0] + bins.mean[None, None]
    magnitude = jnp.pad(jnp.exp(log), ((0, 0), (0, 0), (0, 1)))

    def project(_: int, frames: jax.Array) -> jax.Array:
        consistent = stft(inverse_stft(frames, WINDOW, hop), WINDOW, hop)
        return magnitude * consistent / jnp.maximum(jnp.abs(consistent), 1e-8)

    frames = lax.fori_loop(0, ITERATIONS, project, magnitude.astype(jnp.complex64))
    return inverse_stft(frames, WINDOW, hop)

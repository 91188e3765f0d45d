"""SpecGAN's spectrograms of sounds, and the sounds of spectrograms: pure functions of arrays.

Donahue, McAuley & Puckette 2019 (1802.04208), sec. 3.2: log-magnitudes of a short-time Fourier
transform of 256 samples a frame without the highest frequency, each of the 128 frequencies less its
mean and over its standard deviation over the data, clipped to three of these and brought to
[-1, 1]. Phases are found by 16 iterations of Griffin & Lim 1984, as there.

Deviations. The frames are 128 whatever a sound's length: of 16384 samples one begins every 128, as
in the paper, of 8192 every 64. The inverse transform is Griffin & Lim's least squares one (eq. 6);
the authors' code adds windowed frames up as they are.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax.core.errors import UserError

SIZE = 128  # frames, and frequencies
WINDOW = 2 * SIZE
DEVIATIONS = 3.0
EPSILON = 1e-6  # of a magnitude, below its logarithm
ITERATIONS = 16
LEAST = 0.05  # of the sum of squared windows: the first samples of a sound fade in


class BinStatistics(NamedTuple):
    """Mean and standard deviation over the data of the log-magnitudes of each frequency, float32
    [128]."""

    mean: np.ndarray
    sd: np.ndarray


def hann_window(size: int) -> np.ndarray:
    """Hann's, periodic: float32 [size]."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def stft(x: jax.Array, size: int, hop: int) -> jax.Array:
    """Sounds [n, t] -> complex64 [n, ceil(t / hop), size/2 + 1]: a windowed frame of `size` begins
    every `hop`, which divides it; zeros follow the end."""
    count = -(-x.shape[1] // hop)
    whole = jnp.pad(x, ((0, 0), (0, (count - 1) * hop + size - x.shape[1])))
    blocks = whole.reshape(len(x), -1, hop)
    frames = jnp.concatenate([blocks[:, i : i + count] for i in range(size // hop)], -1)
    return jnp.fft.rfft(frames * jnp.asarray(hann_window(size))[None, None])


def inverse_stft(frames: jax.Array, size: int, hop: int) -> jax.Array:
    """complex64 [n, f, size/2 + 1] -> float32 [n, f * hop]: the sound whose `stft` is nearest."""

    def added(parts: jax.Array) -> jax.Array:
        """Frames [n, f, size] over each other."""
        n, f, _ = parts.shape
        parts = parts.reshape(n, f, size // hop, hop)
        last = size // hop - 1
        pads = [((0, 0), (i, last - i), (0, 0)) for i in range(last + 1)]
        total = sum(jnp.pad(parts[:, :, i], pad) for i, pad in enumerate(pads))
        return jnp.asarray(total)[:, :f].reshape(n, f * hop)

    shape = jnp.asarray(hann_window(size))[None, None]
    weight = added(jnp.broadcast_to(shape**2, (1, frames.shape[1], size)))
    return added(jnp.fft.irfft(frames, size) * shape) / jnp.maximum(weight, LEAST)


def hop_size(length: int) -> int:
    """Samples from one frame to the next. Raises UserError for a length that 128 frames of 256 do
    not cover evenly."""
    if length not in (32 * SIZE, 64 * SIZE, 128 * SIZE):
        raise UserError(f"data.length is {length}: of spectrograms 4096, 8192 or 16384 is allowed")
    return length // SIZE


def log_magnitudes(x: jax.Array) -> jax.Array:
    """Sounds float32 [n, t] -> [n, 128 frames, 128 frequencies]."""
    found = stft(x, WINDOW, hop_size(x.shape[1]))[..., :-1]
    return jnp.log(jnp.abs(found) + EPSILON)


def bin_statistics(magnitudes: np.ndarray) -> BinStatistics:
    """Of the log-magnitudes [n, 128, 128] of a whole data set."""
    mean = magnitudes.mean((0, 1), np.float64)
    sd = magnitudes.std((0, 1), dtype=np.float64)
    return BinStatistics(mean.astype(np.float32), np.maximum(sd, 1e-3).astype(np.float32))


def standardize(magnitudes: jax.Array, bins: BinStatistics) -> jax.Array:
    """Log-magnitudes [n, 128, 128] -> spectrograms [n, 128, 128, 1] in [-1, 1]."""
    found = (magnitudes - bins.mean[None, None]) / (DEVIATIONS * bins.sd[None, None])
    return jnp.clip(found, -1, 1)[..., None]


def to_waveforms(spectrograms: jax.Array, bins: BinStatistics, length: int) -> jax.Array:
    """Spectrograms [n, 128, 128, 1] -> sounds float32 [n, length], phases from Griffin-Lim, which
    starts from none."""
    hop = hop_size(length)
    log = DEVIATIONS * bins.sd[None, None] * spectrograms[..., 0] + bins.mean[None, None]
    magnitude = jnp.pad(jnp.exp(log), ((0, 0), (0, 0), (0, 1)))

    def better(_: int, frames: jax.Array) -> jax.Array:
        again = stft(inverse_stft(frames, WINDOW, hop), WINDOW, hop)
        return magnitude * again / jnp.maximum(jnp.abs(again), 1e-8)

    frames = lax.fori_loop(0, ITERATIONS, better, magnitude.astype(jnp.complex64))
    return inverse_stft(frames, WINDOW, hop)

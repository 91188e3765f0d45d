"""Log-mel spectrograms as images, for classifiers, metrics and plots."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from gan_jax.data.audio.spectrogram import hann_window, stft

BANDS = 64
FLOOR = -80.0  # decibels relative to a full-scale sine: black
NOTE = f"log-mel pictures of sounds, {BANDS} bands, {-FLOOR:g} dB"  # part of fingerprints


def hop_size(length: int) -> int:
    """Return the number of samples between frames of audio of `length` samples.

    It is a power of two, at least 8, that makes 64 frames, or up to twice as many if `length` is no
    power of two.

    Example:
        >>> hop_size(8192), hop_size(10_000)
        (128, 128)
    """
    return max(1 << max((length // 64).bit_length() - 1, 0), 8)


def mel_filters(rate: int, size: int) -> Float[np.ndarray, "frequencies bands"]:
    """Return the weight of each frequency in each mel band.

    The filters are triangles whose corners are evenly spaced in mel, 2595 log10(1 + f/700), from 0
    to half the sample rate. The weights of each band sum to 1.

    Args:
        rate: Sample rate in Hz.
        size: Number of samples of a frame of the Fourier transform.

    Returns:
        Weights float32 [size/2 + 1, BANDS].
    """

    def mel(f: np.ndarray | float) -> np.ndarray:
        return 2595 * np.log10(1 + np.asarray(f) / 700)

    corners = 700 * (10 ** (np.linspace(0, mel(rate / 2), BANDS + 2) / 2595) - 1)
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    f = np.linspace(0, rate / 2, size // 2 + 1)[:, None]
    weights = np.minimum((f - low) / (middle - low), (high - f) / (high - middle)).clip(0)
    # A low band can fall between two frequencies of the transform: it gets the nearest one.
    nearest = np.abs(f - middle).argmin(0)
    empty = weights.sum(0) == 0
    weights[nearest[empty], np.flatnonzero(empty)] = 1
    return (weights / weights.sum(0)).astype(np.float32)


def log_mel(x: Float[Array | np.ndarray, "n t"], rate: int) -> UInt8[Array, "n 64 frames 1"]:
    """Compute the log-mel spectrograms of waveforms as images.

    Args:
        x: Waveforms float32 [n, t] in [-1, 1].
        rate: Sample rate in Hz.

    Returns:
        Images uint8 [n, BANDS, frames, 1]: time to the right, frequency upwards, 0 to 255 for -80
        to 0 decibels relative to a full-scale sine.

    Example:
        >>> log_mel(jnp.zeros((2, 2048)), 8000).shape
        (2, 64, 64, 1)
    """
    hop = hop_size(x.shape[1])
    size = max(2 * hop, 256)
    power = jnp.square(jnp.abs(stft(x, size, hop)) / (hann_window(size).sum() / 2))
    bands = jnp.einsum("nfb,bm->nmf", power, mel_filters(rate, size), precision="highest")
    decibels = 10 * jnp.log10(jnp.maximum(bands, 1e-12))
    unit = jnp.clip(1 - decibels / FLOOR, 0, 1)
    return jnp.rint(unit * 255).astype(jnp.uint8)[:, ::-1, :, None]

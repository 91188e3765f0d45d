"""Log-mel pictures of sounds: what classifiers and metrics see of them, and people in plots."""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.audio.spectrogram import hann_window, stft

BANDS = 64
FLOOR = -80.0  # decibels below a sine of full scale: black
NOTE = f"log-mel pictures of sounds, {BANDS} bands, {-FLOOR:g} dB"


def hop_size(length: int) -> int:
    """Samples from one frame to the next: the power of two, at least 8, that makes 64 frames, or up
    to twice as many where the length is none."""
    return max(1 << max((length // 64).bit_length() - 1, 0), 8)


def mel_filters(rate: int, size: int) -> np.ndarray:
    """Triangles whose corners are evenly spaced in mel, 2595 log10(1 + f/700), from 0 to half the
    rate: float32 [size/2 + 1, BANDS], the weight of each frequency in each band."""

    def mel(f: np.ndarray | float) -> np.ndarray:
        return 2595 * np.log10(1 + np.asarray(f) / 700)

    corners = 700 * (10 ** (np.linspace(0, mel(rate / 2), BANDS + 2) / 2595) - 1)
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    f = np.linspace(0, rate / 2, size // 2 + 1)[:, None]
    found = np.minimum((f - low) / (middle - low), (high - f) / (high - middle)).clip(0)
    # Low bands are narrower than the transform's own frequencies: the nearest stands for them.
    nearest = np.abs(f - middle).argmin(0)
    empty = found.sum(0) == 0
    found[nearest[empty], np.flatnonzero(empty)] = 1
    return (found / found.sum(0)).astype(np.float32)


def log_mel(x: jax.Array, rate: int) -> jax.Array:
    """Sounds float32 [n, t] in [-1, 1] -> uint8 [n, 64, frames, 1]: time to the right, pitch up,
    0 to 255 for -80 to 0 decibels of a sine of full scale."""
    hop = hop_size(x.shape[1])
    size = max(2 * hop, 256)
    power = jnp.square(jnp.abs(stft(x, size, hop)) / (hann_window(size).sum() / 2))
    bands = jnp.einsum("nfb,bm->nmf", power, mel_filters(rate, size), precision="highest")
    decibels = 10 * jnp.log10(jnp.maximum(bands, 1e-12))
    unit = jnp.clip(1 - decibels / FLOOR, 0, 1)
    return jnp.rint(unit * 255).astype(jnp.uint8)[:, ::-1, :, None]

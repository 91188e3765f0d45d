"""Spectrograms and their inverses, compared with scipy and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import ShortTimeFFT

from gan_jax.core.errors import UserError
from gan_jax.data.audio import mel, spectrogram

RATE = 8000


def speechlike(length, n=2):
    """Generate harmonics of a gliding pitch, loud and soft."""
    t = np.arange(length) / RATE
    glide = 2 * np.pi * np.cumsum(np.linspace([120.0, 200.0], [220.0, 110.0], length), 0) / RATE
    wave = sum(np.sin(k * glide) / k for k in range(1, 9)) * np.sin(np.pi * t / t[-1])[:, None]
    return (0.3 * wave.T[:n]).astype(np.float32)


@pytest.mark.parametrize("hop", [64, 128])
def test_stft_equals_that_of_scipy(hop):
    x = speechlike(1024, 1)
    reference = ShortTimeFFT(spectrogram.hann_window(256), hop, RATE)
    padded = np.pad(x[0], (0, 256))
    expected = [
        np.fft.rfft(padded[hop * i : hop * i + 256] * spectrogram.hann_window(256))
        for i in range(1024 // hop)
    ]
    spectra = spectrogram.stft(jnp.asarray(x), 256, hop)[0]
    np.testing.assert_allclose(spectra, expected, atol=1e-4)  # float32 sums of 256 terms up to 1
    # scipy centers frames on multiples of the hop, and measures phases from the centers.
    magnitudes = np.abs(reference.stft(x[0], p0=128 // hop, p1=8))
    np.testing.assert_allclose(np.abs(spectra[: magnitudes.shape[1]]), magnitudes.T, atol=1e-4)


@pytest.mark.parametrize("hop", [32, 128])
def test_the_inverse_reconstructs_the_waveform(hop):
    x = speechlike(2048)
    restored = spectrogram.inverse_stft(spectrogram.stft(jnp.asarray(x), 256, hop), 256, hop)
    np.testing.assert_allclose(restored[:, 64:], x[:, 64:], atol=1e-5)  # windows start near 0


def test_spectrograms_are_standard_scores_per_frequency_over_three():
    x = speechlike(4096)
    log = np.asarray(spectrogram.log_magnitudes(jnp.asarray(x)))
    bins = spectrogram.bin_statistics(log)
    np.testing.assert_allclose(bins.mean, log.reshape(-1, 128).mean(0), rtol=1e-4)
    spectrograms = np.asarray(spectrogram.standardize(jnp.asarray(log), bins))
    assert (spectrograms.shape, np.abs(spectrograms).max() <= 1) == ((2, 128, 128, 1), True)
    scores = (log - log.mean((0, 1))) / log.std((0, 1)) / 3
    np.testing.assert_allclose(spectrograms[..., 0], scores.clip(-1, 1), atol=1e-4)


@pytest.mark.parametrize("length", [4096, 8192])
def test_griffin_lim_approaches_the_magnitudes(length):
    """Compare the errors after more iterations (Griffin & Lim 1984, sec. III)."""
    x = jnp.asarray(speechlike(length))
    log = spectrogram.log_magnitudes(x)
    bins = spectrogram.BinStatistics(np.full(128, -2.0, np.float32), np.full(128, 5.0, np.float32))
    standardized = spectrogram.standardize(log, bins)
    expected = np.abs(spectrogram.stft(x, 256, length // 128))

    def relative_error(iterations):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(spectrogram, "ITERATIONS", iterations)
            waveforms = jax.jit(lambda s: spectrogram.to_waveforms(s, bins, length))(standardized)
        assert waveforms.shape == x.shape
        magnitudes = np.abs(spectrogram.stft(waveforms, 256, length // 128))
        return np.linalg.norm(magnitudes - expected) / np.linalg.norm(expected)

    errors = [relative_error(iterations) for iterations in (0, 4, 16)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.3 * errors[0]  # measured: 0.21 and 0.27


def test_other_lengths_are_rejected():
    with pytest.raises(UserError, match=r"data.length must be 4096.*, got 5000"):
        spectrogram.hop_size(5000)


@pytest.mark.parametrize("length", [256, 2048, 8192])
def test_a_sine_is_in_its_band_at_its_level(length):
    filters = mel.mel_filters(RATE, max(2 * mel.hop_size(length), 256))
    np.testing.assert_allclose(filters.sum(0), 1, rtol=1e-5)
    bands = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), mel.BANDS + 2)[1:-1]
    for hertz in (300.0, 1000.0, 3000.0):
        wave = 0.1 * np.sin(2 * np.pi * hertz * np.arange(length) / RATE)
        image = np.asarray(mel.log_mel(jnp.asarray(wave[None], jnp.float32), RATE))[0, ::-1, :, 0]
        middle = image[:, image.shape[1] // 3]
        expected_band = np.abs(bands - 2595 * np.log10(1 + hertz / 700)).argmin()
        assert abs(middle.argmax() - expected_band) <= 1
        # -20 dB, spread over the bands of the window's main lobe: a few decibels less.
        decibels = 80 * int(middle.max()) / 255 - 80
        assert -30 < decibels < -19


def test_silence_is_black():
    assert not np.asarray(mel.log_mel(jnp.zeros((1, 2048)), RATE)).any()

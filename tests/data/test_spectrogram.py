"""Transforms of sounds and back, against scipy's and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import ShortTimeFFT

from gan_jax.core.errors import UserError
from gan_jax.data.audio import mel, spectrogram

RATE = 8000


def speechlike(length, n=2):
    """Harmonics of a gliding pitch, loud and soft."""
    t = np.arange(length) / RATE
    glide = 2 * np.pi * np.cumsum(np.linspace([120.0, 200.0], [220.0, 110.0], length), 0) / RATE
    wave = sum(np.sin(k * glide) / k for k in range(1, 9)) * np.sin(np.pi * t / t[-1])[:, None]
    return (0.3 * wave.T[:n]).astype(np.float32)


@pytest.mark.parametrize("hop", [64, 128])
def test_stft_is_scipys(hop):
    x = speechlike(1024, 1)
    plain = ShortTimeFFT(spectrogram.hann_window(256), hop, RATE)
    padded = np.pad(x[0], (0, 256))
    wanted = [
        np.fft.rfft(padded[hop * i : hop * i + 256] * spectrogram.hann_window(256))
        for i in range(1024 // hop)
    ]
    found = spectrogram.stft(jnp.asarray(x), 256, hop)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-4)  # sums of 256 terms of up to 1, float32
    # scipy's frames are centred on multiples of the hop, and its phases are of the centres.
    theirs = np.abs(plain.stft(x[0], p0=128 // hop, p1=8))
    np.testing.assert_allclose(np.abs(found[: theirs.shape[1]]), theirs.T, atol=1e-4)


@pytest.mark.parametrize("hop", [32, 128])
def test_the_inverse_gives_the_sound_back(hop):
    x = speechlike(2048)
    back = spectrogram.inverse_stft(spectrogram.stft(jnp.asarray(x), 256, hop), 256, hop)
    np.testing.assert_allclose(back[:, 64:], x[:, 64:], atol=1e-5)  # before, the windows are small


def test_spectrograms_are_standard_scores_of_each_frequency_over_three():
    x = speechlike(4096)
    log = np.asarray(spectrogram.log_magnitudes(jnp.asarray(x)))
    bins = spectrogram.bin_statistics(log)
    np.testing.assert_allclose(bins.mean, log.reshape(-1, 128).mean(0), rtol=1e-4)
    found = np.asarray(spectrogram.standardize(jnp.asarray(log), bins))
    assert (found.shape, np.abs(found).max() <= 1) == ((2, 128, 128, 1), True)
    scores = (log - log.mean((0, 1))) / log.std((0, 1)) / 3
    np.testing.assert_allclose(found[..., 0], scores.clip(-1, 1), atol=1e-4)


@pytest.mark.parametrize("length", [4096, 8192])
def test_griffin_lim_finds_a_sound_of_the_spectrogram(length):
    """Every iteration brings its magnitudes nearer (Griffin & Lim 1984, sec. III)."""
    x = jnp.asarray(speechlike(length))
    log = spectrogram.log_magnitudes(x)
    bins = spectrogram.BinStatistics(np.full(128, -2.0, np.float32), np.full(128, 5.0, np.float32))
    made = spectrogram.standardize(log, bins)
    magnitude = np.abs(spectrogram.stft(x, 256, length // 128))

    def convergence(iterations):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(spectrogram, "ITERATIONS", iterations)
            again = jax.jit(lambda s: spectrogram.to_waveforms(s, bins, length))(made)
        assert again.shape == x.shape
        found = np.abs(spectrogram.stft(again, 256, length // 128))
        return np.linalg.norm(found - magnitude) / np.linalg.norm(magnitude)

    errors = [convergence(iterations) for iterations in (0, 4, 16)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.3 * errors[0]  # 0.21 and 0.27 measured


def test_other_lengths_are_refused():
    with pytest.raises(UserError, match=r"data.length must be 4096.*, got 5000"):
        spectrogram.hop_size(5000)


@pytest.mark.parametrize("length", [256, 2048, 8192])
def test_a_sine_is_in_its_band_at_its_level(length):
    filters = mel.mel_filters(RATE, max(2 * mel.hop_size(length), 256))
    np.testing.assert_allclose(filters.sum(0), 1, rtol=1e-5)
    bands = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), mel.BANDS + 2)[1:-1]
    for hertz in (300.0, 1000.0, 3000.0):
        wave = 0.1 * np.sin(2 * np.pi * hertz * np.arange(length) / RATE)
        picture = np.asarray(mel.log_mel(jnp.asarray(wave[None], jnp.float32), RATE))[0, ::-1, :, 0]
        middle = picture[:, picture.shape[1] // 3]
        wanted = np.abs(bands - 2595 * np.log10(1 + hertz / 700)).argmin()
        assert abs(middle.argmax() - wanted) <= 1
        # -20 dB, spread over the bands of a window's main lobe: some decibels less.
        decibels = 80 * int(middle.max()) / 255 - 80
        assert -30 < decibels < -19


def test_silence_is_black():
    assert not np.asarray(mel.log_mel(jnp.zeros((1, 2048)), RATE)).any()

"""Audio data sets: audio files, spoken digits, tones, and errors."""

import dataclasses
import wave as wave_files

import numpy as np
import pytest
import soundfile
from scipy.io import wavfile

from gan_jax.config import AudioData
from gan_jax.config.validation import validate
from gan_jax.core.errors import UserError
from gan_jax.data import feeds, sources
from gan_jax.data.audio import waves
from tests.helpers import small

RATE = 8000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2000) / RATE)


def audio_folder(path, **fields):
    return AudioData("sounds", path=str(path), length=4096, **fields)


def peak_frequency(wave, rate):
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return power.argmax() * rate / len(wave)


@pytest.mark.parametrize(
    ("samples", "tolerance"),
    [
        (np.rint(TONE * 32767).astype(np.int16), 2e-4),
        (np.rint(TONE * (2**31 - 1)).astype(np.int32), 2e-4),
        (np.rint(TONE * 127 + 128).astype(np.uint8), 1 / 127),
        (TONE.astype(np.float32), 2e-4),
        (np.stack([TONE, np.zeros_like(TONE)], 1).astype(np.float32) * 2, 2e-4),  # averaged
    ],
    ids=["int16", "int32", "uint8", "float32", "stereo"],
)
def test_every_wav_format_gives_the_same_waveform(tmp_path, samples, tolerance):
    wavfile.write(tmp_path / "a.wav", RATE, samples)
    dataset = sources.load(audio_folder(tmp_path))
    assert (dataset.batch.real.shape, dataset.batch.real.dtype) == ((1, 4096, 1), np.int16)
    assert (dataset.audio_format.rate, dataset.audio_format.length, dataset.labels) == (
        RATE,
        4096,
        None,
    )
    x = np.asarray(feeds.to_network_range(dataset.batch.real, symmetric=True))[0, :, 0]
    # One quantization step of the file, and half a step of int16.
    np.testing.assert_allclose(x[:2000], TONE, atol=tolerance)
    assert not x[2000:].any()


def test_24_bit_wav(tmp_path):
    with wave_files.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(RATE)
        samples = np.rint(TONE * (2**23 - 1)).astype("<i4")
        file.writeframes(samples.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    x = sources.load(audio_folder(tmp_path)).batch.real[0, :2000, 0] / 32767
    np.testing.assert_allclose(x, TONE, atol=2e-4)


def test_resampling_to_one_rate_keeps_the_pitch(tmp_path, caplog):
    for rate in (8000, 44100):
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 4) / rate)
        wavfile.write(tmp_path / f"{rate}.wav", rate, tone.astype(np.float32))
    dataset = sources.load(audio_folder(tmp_path))
    assert "rates 8000, 44100" in caplog.text
    assert dataset.audio_format.rate == 8000
    for waveform in dataset.batch.real[..., 0]:
        assert abs(peak_frequency(waveform[:2000], 8000) - 440) < 4  # one frequency bin
    dataset = sources.load(audio_folder(tmp_path, rate=16000))
    assert dataset.audio_format.rate == 16000
    assert abs(peak_frequency(dataset.batch.real[0, :4000, 0], 16000) - 440) < 4


def test_long_waveforms_are_truncated_and_normalized_to_a_peak_of_one(tmp_path):
    ramp = np.linspace(0.001, 0.2, 6000)
    wavfile.write(tmp_path / "a.wav", RATE, ramp.astype(np.float32))
    x = sources.load(audio_folder(tmp_path, normalize=True)).batch.real[0, :, 0] / 32767
    np.testing.assert_allclose(x, ramp[:4096] / ramp[4095], atol=2e-5)


def test_bad_files_are_reported_and_skipped_and_folders_are_classes(tmp_path, caplog):
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    tone = np.rint(TONE * 32767).astype(np.int16)
    wavfile.write(tmp_path / "a" / "good.wav", RATE, tone)
    wavfile.write(tmp_path / "c" / "good.wav", RATE, tone)
    wavfile.write(tmp_path / "a" / "silent.wav", RATE, np.zeros(100, np.int16))
    wavfile.write(tmp_path / "a" / "empty.wav", RATE, np.zeros(0, np.int16))
    wavfile.write(tmp_path / "b" / "infinite.wav", RATE, np.full(9, np.inf, np.float32))
    (tmp_path / "b" / "broken.wav").write_bytes(b"RIFF1234WAVEjunk")
    contents = (tmp_path / "a" / "good.wav").read_bytes()
    (tmp_path / "b" / "cut.wav").write_bytes(contents[: len(contents) // 2])
    (tmp_path / "b" / "notes.txt").write_text("no sound")
    dataset = sources.load(audio_folder(tmp_path, labels=True))
    np.testing.assert_array_equal(dataset.batch.cond, [0, 2])
    for name, reason in (
        ("silent", "it is silent"),
        ("empty", "it is empty"),
        ("infinite", "it contains samples that are not finite"),
        ("broken", ""),
        ("cut", ""),
    ):
        assert f"{name}.wav: {reason}" in caplog.text
    assert "read 2 of 7 audio files" in caplog.text


def test_other_formats_are_read_by_soundfile(tmp_path, caplog):
    (tmp_path / "broken.flac").write_bytes(b"fLaC")
    small.refused(audio_folder(tmp_path), "no readable audio file (1 tried)")
    assert "left out" in caplog.text
    soundfile.write(tmp_path / "a.flac", TONE, RATE)
    x = sources.load(audio_folder(tmp_path)).batch.real[0, :2000, 0] / 32767
    np.testing.assert_allclose(x, TONE, atol=2e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"length": 0}, "data.length must be at least 2, got 0"),
        ({"length": 1}, "data.length must be at least 2, got 1"),
        ({"normalize": True}, "data.normalize must be off for tones"),
        ({"rate": 10}, "data.rate must be from 1000 to 192000, got 10"),
        ({"rate": 4000}, "at least 8000"),
        ({"spectrogram": True}, "4096, 8192 or 16384"),
    ],
)
def test_invalid_audio_fields_are_rejected(fields, message):
    small.refused(AudioData("tones", **fields), message)


def test_only_spoken_digits_have_versions():
    validate(small.SOUNDS.replace(data=AudioData("spoken_digit:1.0.9")))
    for name in ("sounds:1.0.0", "tones:1.0.0"):
        with pytest.raises(UserError, match=f"^data.name must be .*got '{name}'"):
            validate(small.SOUNDS.replace(data=AudioData(name)))


def test_a_folder_without_audio_files_is_rejected(tmp_path):
    small.refused(audio_folder(tmp_path), "no readable audio file (0 tried)")
    small.refused(audio_folder(tmp_path / "none"), "there is no such file or folder")
    (tmp_path / "file.wav").write_text("")
    small.refused(audio_folder(tmp_path / "file.wav"), "must be a folder")


def spoken_digits(tfds_dir, **fields):
    """Return the data config of the spoken digits; skip the test without their files."""
    if not (tfds_dir / "spoken_digit").is_dir():
        pytest.skip(f"no spoken_digit in {tfds_dir}")
    return AudioData("spoken_digit", dir=str(tfds_dir), **fields)


def test_spoken_digits(tfds_dir):
    train = sources.load(spoken_digits(tfds_dir))
    assert train.batch.real.shape == (2250, 8192, 1)
    assert train.audio_format.rate == 8000
    np.testing.assert_array_equal(np.bincount(train.labels), 225)
    test = sources.load(spoken_digits(tfds_dir, split="test", normalize=True))
    np.testing.assert_array_equal(np.bincount(test.labels), 25)
    np.testing.assert_array_equal(np.abs(test.batch.real).max(1), 32767)
    test_bytes = {
        waveform.tobytes()
        for waveform in sources.load(spoken_digits(tfds_dir, split="test")).batch.real
    }
    assert not test_bytes & {waveform.tobytes() for waveform in train.batch.real}
    small.refused(spoken_digits(tfds_dir, length=2), "data.length is 2: ", "it is silent")
    small.refused(spoken_digits(tfds_dir, split="dev"), "got 'dev'", "train, test, all")
    speakers = dataclasses.replace(
        spoken_digits(tfds_dir, split="test"), name="spoken_digit_speakers"
    )
    np.testing.assert_array_equal(np.bincount(sources.load(speakers).labels), 50)


def test_a_missing_version_is_named(tfds_dir):
    data = dataclasses.replace(spoken_digits(tfds_dir), name="spoken_digit:9.9.9")
    small.refused(data, "spoken_digit:9.9.9")


def test_samples_are_limited_to_full_scale():
    data = AudioData("sounds", normalize=False)
    assert np.abs(waves.fit_length(np.array([-1.0, 1.0, 3.0]), RATE, data, 3)).max() == 32767

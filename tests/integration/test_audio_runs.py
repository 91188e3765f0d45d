"""Audio runs: sample files, exact resume, scores, and commands that run without the data."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from gan_jax.cli import app
from gan_jax.config import AudioData, Penalties
from gan_jax.data import sources
from gan_jax.data.audio import sounds
from gan_jax.metrics import pitch
from gan_jax.metrics.evaluation import audio as audio_metrics
from gan_jax.metrics.evaluation import evaluate, in_training
from gan_jax.metrics.evaluation.evaluator import EvaluationProtocol, Settings
from gan_jax.metrics.evaluation.members import members
from gan_jax.metrics.features import extractor, preprocess
from gan_jax.networks import specgan
from gan_jax.reporting import audio
from gan_jax.runs import restore
from tests.helpers import small

RATE = 8000
DEVICES = jax.local_devices()[:1]


def test_write_wav_concatenates_samples_with_gaps(tmp_path):
    waves = np.array([[0.0, 0.5, -1.0], [2.0, np.nan, 0.25]], np.float32)
    audio.write_wav(tmp_path / "x.wav", waves, 100)
    rate, samples = wavfile.read(tmp_path / "x.wav")
    assert (rate, samples.dtype, len(samples)) == (100, np.int16, 2 * (3 + 10))
    np.testing.assert_array_equal(samples[:3], [0, 16384, -32767])
    np.testing.assert_array_equal(samples[13:16], [32767, 0, 8192])
    assert not samples[3:13].any()


def test_a_waveform_image_shows_the_range_of_each_column():
    waves = np.zeros((1, 1280), np.float32)
    waves[0, 640:650] = np.linspace(-1, 1, 10)
    image = audio.waveform_images(waves)[0, :, :, 0]
    black = image == 0
    assert (image.shape, set(np.unique(image))) == ((48, 128), {0, 255})
    assert black[:, 64].all()
    assert (black.sum(0)[np.arange(128) != 64] <= 1).all()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Caches classifiers and statistics of real data for the tests of this file only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


CONFIG = small.RUNS["sounds"]


@pytest.fixture(scope="module")
def finished(trained_run, tmp_path_factory):
    """Copies the folder of an uninterrupted run, which tests of this file evaluate."""
    return shutil.copytree(trained_run("sounds"), tmp_path_factory.mktemp("run") / "whole")


def test_resumed_run_has_the_same_files(finished, tmp_path):
    cut = tmp_path / "cut"
    logging = small.RUNS_LOGGING["sounds"]
    small.fit(CONFIG.replace(steps=3), cut, logging=logging)
    small.fit(CONFIG, cut, logging=logging)
    names = sorted(path.name for path in (finished / "samples").iterdir())
    stems = ("real", "step_00000003", "step_00000006")
    assert names == [f"{stem}.{kind}" for stem in stems for kind in ("png", "wav")]
    for name in ("metrics.jsonl", *(f"samples/{name}" for name in names)):
        assert (finished / name).read_bytes() == (cut / name).read_bytes(), name


def test_sample_writes_audio_or_images(finished, tmp_path, command):
    for out in ("x.wav", "x.png"):
        arguments = f"sample {finished} --num-samples 3 --out {tmp_path / out}"
        status, output, _ = command(app.main, arguments)
        assert (status, "3 samples of step 6" in output) == (0, True)
    rate, samples = wavfile.read(tmp_path / "x.wav")
    assert (rate, len(samples)) == (RATE, 3 * (64 + 800))
    with Image.open(tmp_path / "x.png") as image:
        assert image.width % (3 * 129 + 1) == 0
    status, _, error = command(app.main, f"sample {finished} --out {tmp_path / 'x.abc'}")
    assert (status, error.count("\n")) == (2, 1)


def test_synthesize_rejects_audio_generators(finished, tmp_path, command):
    arguments = f"synthesize {finished} --out {tmp_path / 'set'} --per-class 1"
    status, _, error = command(app.main, arguments)
    assert (status, "must generate images, got audio [64, 1]" in error) == (2, True)


@pytest.mark.usefixtures("cache")
def test_evaluate_scores_audio_by_spectrograms_and_pitches(finished, command):
    arguments = f"evaluate {finished} --features pixels --num-samples 24 --devices 1"
    status, _, _ = command(app.main, arguments)
    assert status == 0
    cards = json.loads((finished / "scores.json").read_text())["cards"]
    by_metric = {card["metric"]: card for card in cards}
    expected = {"frechet", "kernel", "tonal", "in_tune", "pitches_covered", "pitch_accuracy"}
    assert by_metric.keys() >= expected
    assert by_metric["frechet"]["n_real"] == 1000
    status, _, error = command(app.main, f"{arguments} --path-length")
    assert (status, "path length must not be requested" in error) == (2, True)


@pytest.mark.usefixtures("cache")
def test_scores_during_training_equal_those_of_evaluate(finished):
    _, config, state = restore.restore(finished)
    dataset, pixels = sources.load(config.data), extractor.pixels()
    _, score = in_training.make_scorer(config, dataset, DEVICES[0], pixels, quiet=True)
    cards = evaluate.evaluate(finished, Settings(features=pixels, num=1000, quiet=True), steps=[6])
    (card,) = (card for card in cards if card.metric == "frechet")
    # Moments are float32 in training, float64 in evaluate; features are about 0.1, 512 dimensions.
    np.testing.assert_allclose(score(state)["frechet"][0], card.values[0], rtol=1e-3)
    with jax.debug_nans(False):
        diverged = jax.tree.map(lambda leaf: leaf * np.nan, state.ema)
        assert np.isnan(score(state.replace(ema=diverged))["frechet"]).all()


def test_tones_are_in_tune_and_noise_is_not():
    real = sources.load(AudioData("tones", "test", labels=True)).batch
    waves = sounds.to_float(real.real[:200, :, 0])
    scores = audio_metrics.pitch_scores(waves, RATE, real.cond[:200])
    for name in ("tonal", "in_tune", "pitch_accuracy"):
        assert scores[name].value > 0.98, name
    assert scores["pitches_covered"].value == 12
    flat = {"labels": waves[real.cond[:200] == 0], "rate": RATE * 2 ** (1 / 24)}
    cents = pitch.pitches(flat["labels"], flat["rate"]).cents
    assert (np.abs(cents) > 40).all()  # a quarter tone off
    noise = np.random.default_rng(0).normal(size=(50, 2048))
    assert audio_metrics.pitch_scores(noise, RATE, None)["tonal"].value == 0


class Loudness:
    """A feature network whose classifier predicts class 0 for mean levels below 300."""

    name, sha256, resize, note = "loudness", "0", "none", ""
    head = (np.eye(2), np.zeros(2))

    def __call__(self, images, devices=None):
        return images.reshape(len(images), -1).mean(1, keepdims=True).astype(np.float32)

    def logits(self, features):
        return np.concatenate([np.zeros_like(features), features - 300], 1)


def test_classes_are_counted_by_the_classifier_of_the_features(finished):
    audio_format = sounds.AudioFormat(RATE, 64)
    _, config, state = restore.restore(finished)
    (member,) = members(config, state, seed=0, devices=DEVICES, audio_format=audio_format)
    protocol = EvaluationProtocol("loudness", "tones", "0", n_real=0, n_fake=24)
    evaluator = audio_metrics.ClassCoverage("classes", Loudness(), protocol, accuracy=True)
    scores = evaluator(member)
    assert scores["classes_covered"].value == 1
    np.testing.assert_allclose(scores["classes_kl"].value, np.log(2))
    assert scores["class_accuracy"].value == 2 / 24  # labels 0 to 11 twice, all predicted as 0


def test_coverage_counts_classes_with_a_tenth_of_their_share():
    labels = np.repeat([0, 1, 2], [50, 49, 1])
    scores = audio_metrics.coverage("speakers", labels, 4)
    assert scores["speakers_covered"].value == 2  # a tenth of 25 is more than one
    share = np.array([0.5, 0.49, 0.01])
    np.testing.assert_allclose(scores["speakers_kl"].value, (share * np.log(4 * share)).sum())
    assert audio_metrics.coverage("speakers", labels[:0], 4)["speakers_covered"].value == 0


@pytest.fixture(scope="module")
def spectral(tmp_path_factory):
    """Trains on spectrograms of audio files and deletes the files: (run folder, data set)."""
    files, folder = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("run") / "run"
    t = np.arange(4096) / RATE
    for i in range(8):
        tone = 0.5 * np.sin(2 * np.pi * (200 + 100 * i) * t) * np.exp(-5 * t)
        wavfile.write(files / f"{i}.wav", RATE, tone.astype(np.float32))
    config = CONFIG.replace(
        gen=specgan.Generator(width=1),
        disc=specgan.Discriminator(width=1, last_bias=False),
        data=AudioData("sounds", path=str(files), length=4096, spectrogram=True),
        penalties=Penalties(),
        ema_half_life=0.0,
        steps=1,
        batch_size=2,
    )
    small.fit(config, folder)
    dataset = sources.load(config.data)
    for path in files.iterdir():
        path.unlink()
    return folder, dataset


def test_spectrograms_are_inverted_without_the_data(spectral, tmp_path, command):
    folder, dataset = spectral
    status, _, _ = command(app.main, f"sample {folder} --num-samples 2 --out {tmp_path / 'x.wav'}")
    rate, samples = wavfile.read(tmp_path / "x.wav")
    assert (status, rate, len(samples)) == (0, RATE, 2 * (4096 + 800))
    assert samples.any()
    assert dataset.batch.real.shape == (8, 128, 128, 1)
    for i, wave in enumerate(preprocess.waveforms(dataset.batch.real, dataset.audio_format)):
        peak = np.abs(np.fft.rfft(wave)).argmax() * RATE / 4096
        assert abs(peak - (200 + 100 * i)) < RATE / 256  # the width of a frequency bin

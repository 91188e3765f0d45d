"""Classification accuracy score and path length: closed forms and the command."""

import dataclasses

import jax
import numpy as np
import pytest

from gan_jax.cli import app
from gan_jax.config import ImageData, Penalties
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.batch import Batch
from gan_jax.data.images import pixels
from gan_jax.data.sources import Dataset
from gan_jax.inference import sampling
from gan_jax.metrics.evaluation import generator
from gan_jax.metrics.evaluation.members import Member
from gan_jax.metrics.features import classifier, extractor
from gan_jax.metrics.features.classifier_training import Recipe
from gan_jax.networks import mlp
from gan_jax.runs import score_card
from gan_jax.runs.restore import restore
from gan_jax.training.state import generator_variables
from tests.helpers import small

pytestmark = pytest.mark.integration

TINY = Recipe(widths=(4,), depths=(1,), features=8, epochs=20, batch_size=16)
CONFIG = small.config(
    name="conditional",
    gen=mlp.Generator(shape=(8, 8, 1), widths=(8,), classes=10),
    disc=mlp.Discriminator(widths=(8,), classes=10),
    data=ImageData("digits", "all", labels=True),
    loss="non_saturating",
    penalties=Penalties(),
    n_critic=1,
    steps=1,
)


@pytest.fixture(autouse=True)
def fast_classifiers(tmp_path, monkeypatch):
    """Uses a cache folder per test and classifiers that train within seconds."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(classifier, "RECIPES", {"digits": TINY})


def test_the_accuracy_is_that_of_a_classifier_trained_on_samples():
    # Samples alternate between black (class 0) and white (class 1); one real label is wrong.
    config = CONFIG.replace(gen=dataclasses.replace(CONFIG.gen, classes=2))
    images = np.zeros((32, 8, 8, 1), np.uint8)
    images[1::2] = 255
    real = images[[0, 1, 1, 0, 0, 1, 0, 1, 1, 0]]
    labels = np.asarray([0, 1, 1, 0, 0, 1, 0, 1, 1, 1], np.int32)
    test = Dataset(Batch(real, labels), "reals")
    features = dataclasses.replace(extractor.pixels(), name="digits-classifier", test_accuracy=0.98)
    member = Member(config, {}, seed=0)
    evaluator = generator.ClassificationAccuracy(config, test, features, 32, quiet=True)
    score = evaluator.score(member, images)
    error = (0.9 * 0.1 / 10) ** 0.5
    assert score == pytest.approx((0.9, 10, 32, 0.98, error))
    with pytest.raises(UserError, match="as many as classes, got 1"):
        evaluator.score(member, images[:1])
    evaluator = generator.ClassificationAccuracy(config, test, extractor.pixels(), 32, quiet=True)
    assert evaluator.score(member, images).expected is None


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("devices", [1, 8])
def test_path_length_of_a_linear_generator(symmetric, devices):
    # The length is |A (b - a)|^2 for pixels in [0, 1], where A excludes the label's columns,
    # and a quarter of it if A generates values in [-1, 1].
    config = CONFIG.replace(
        gen=mlp.Generator(shape=(2, 2, 1), widths=(), classes=3, out="linear"),
        data=ImageData("digits", symmetric=symmetric),
        latent="uniform",
        z_dim=6,
    )
    kernel = np.random.default_rng(0).uniform(-0.05, 0.05, (6 + 3, 4)).astype(np.float32)
    bias = np.full(4, 0.0 if symmetric else 0.5, np.float32)
    variables = {"params": {"Dense_0": {"kernel": kernel, "bias": bias}}}
    member = Member(config, variables, 3, jax.local_devices()[:devices])
    evaluator = generator.PerceptualPathLength(config, extractor.pixels(), 201, quiet=True)
    score = evaluator(member)["path_length"]
    key = keys.step_key(keys.root_key(3), keys.Purpose.SAMPLE, 1)
    example_keys = jax.vmap(lambda key: jax.random.split(key, 4))(keys.example_keys(key, 201))
    a, b = (np.float64(keys.latents(example_keys[:, i], 6, "uniform")) for i in (0, 1))
    lengths = np.sort(np.square((b - a) @ kernel[:6]).sum(1)) / (4 if symmetric else 1)
    trimmed = lengths[2:199]  # the percentiles 1 to 99
    # A step changes a pixel by 1e-5, known to 6e-8: half a percent, or one percent squared.
    assert score.value == pytest.approx(trimmed.mean(), rel=0.01)
    assert score.standard_error == pytest.approx(trimmed.std() / 197**0.5, rel=0.01)
    assert (score.n_real, score.n_fake, score.expected) == (0, 201, None)


def test_the_command_writes_both_scores(command, tmp_path, monkeypatch):
    def recording_train(*arguments, **settings):
        trainings.append((*arguments, train(*arguments, **settings)))
        return trainings[-1][-1]

    trainings, train = [], classifier.train_classifier
    monkeypatch.setattr(classifier, "train_classifier", recording_train)
    run = tmp_path / "conditional"
    small.fit(CONFIG, run)
    command_line = f"evaluate {run} --features pixels --num-samples 40 --devices 1 --cas"
    status, output, _ = command(app.main, command_line, "--path-length --num-paths 20")
    assert status == 0
    cards = {card["metric"]: card for card in score_card.read_cards(run / "scores.json")}
    _, config, state = restore(run)
    key = keys.step_key(keys.root_key(config.seed), keys.Purpose.SAMPLE, 0)
    samples = sampling.sample(config, generator_variables(state), key, 40)
    ((name, images, labels, trained),) = trainings
    assert name == "digits"
    np.testing.assert_array_equal(images, pixels.to_pixels(samples, symmetric=False))
    np.testing.assert_array_equal(labels, np.arange(40) % 10)
    test = sources.load(ImageData("digits", "test", labels=True))
    accuracy = classifier.test_accuracy(trained, test.batch.real, test.batch.cond)
    cas, paths = cards["classification_accuracy"], cards["path_length"]
    assert cas["values"] == [accuracy]
    assert (cas["n_real"], cas["n_fake"], cas["expected"]) == (360, 40, None)
    assert (cas["real"], cas["real_sha256"]) == ("digits test", test.fingerprint)
    assert (cas["features"], cas["features_note"]) == (
        "digits-classifier of samples",
        "of a run on split all",
    )
    assert (paths["n_real"], paths["n_fake"], paths["features"]) == (0, 20, "pixels")
    assert paths["features_note"] == "slerp in Z, epsilon 0.0001, percentiles 1 to 99"
    assert paths["values"][0] > 0
    assert cards["frechet"]["real"] == "digits all"
    assert score_card.format_number(accuracy) in output
    assert "digits-classifier of samples, 40 against 360 of digits test" in output


def test_the_test_split_is_whole_if_the_run_used_a_subset():
    assert len(generator.load_labeled_test(CONFIG, ImageData("digits", per_class=5))) == 360


def test_data_without_a_test_split_are_rejected():
    with pytest.raises(UserError, match="data set 'npz' has none"):
        generator.load_labeled_test(CONFIG, ImageData("npz", path="file.npz"))

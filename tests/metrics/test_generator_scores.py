"""Classification accuracy score and path length of a run: closed forms, and what a command says."""

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
def quick(tmp_path, monkeypatch):
    """A cache of the test's own, and classifiers that are trained in seconds."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(classifier, "RECIPES", {"digits": TINY})


def test_a_classifier_learns_what_samples_show():
    # Samples of the classes 0 and 1, in turn, are black and white; so are the reals, but for one.
    config = CONFIG.replace(gen=dataclasses.replace(CONFIG.gen, classes=2))
    images = np.zeros((32, 8, 8, 1), np.uint8)
    images[1::2] = 255
    real = images[[0, 1, 1, 0, 0, 1, 0, 1, 1, 0]]
    labels = np.asarray([0, 1, 1, 0, 0, 1, 0, 1, 1, 1], np.int32)
    test = Dataset(Batch(real, labels), "reals")
    features = dataclasses.replace(extractor.pixels(), name="digits-classifier", test_accuracy=0.98)
    member = Member(config, {}, seed=0)
    evaluator = generator.ClassificationAccuracy(config, test, features, 32, quiet=True)
    found = evaluator.score(member, images)
    error = (0.9 * 0.1 / 10) ** 0.5
    assert found == pytest.approx((0.9, 10, 32, 0.98, error))
    with pytest.raises(UserError, match="as many as classes, got 1"):
        evaluator.score(member, images[:1])
    evaluator = generator.ClassificationAccuracy(config, test, extractor.pixels(), 32, quiet=True)
    assert evaluator.score(member, images).expected is None


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("devices", [1, 8])
def test_path_length_of_a_linear_generator(symmetric, devices):
    # On straight lines |A (b - a)|^2, A without the label's columns, of pixels in [0, 1]: a quarter
    # where A leads to [-1, 1].
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
    found = evaluator(member)["path_length"]
    key = keys.step_key(keys.root_key(3), keys.Purpose.SAMPLE, 1)
    own = jax.vmap(lambda one: jax.random.split(one, 4))(keys.example_keys(key, 201))
    a, b = (np.float64(keys.latents(own[:, i], 6, "uniform")) for i in (0, 1))
    lengths = np.sort(np.square((b - a) @ kernel[:6]).sum(1)) / (4 if symmetric else 1)
    kept = lengths[2:199]  # the percentiles 1 to 99
    # A step is 1e-5 of a pixel that is known to 6e-8, which is half a percent, in the square one.
    assert found.value == pytest.approx(kept.mean(), rel=0.01)
    assert found.standard_error == pytest.approx(kept.std() / 197**0.5, rel=0.01)
    assert (found.n_real, found.n_fake, found.expected) == (0, 201, None)


def test_the_command(command, tmp_path, monkeypatch):
    def train_on(*what, **how):
        students.append((*what, trained_on(*what, **how)))
        return students[-1][-1]

    students, trained_on = [], classifier.train_classifier
    monkeypatch.setattr(classifier, "train_classifier", train_on)
    run = tmp_path / "conditional"
    small.fit(CONFIG, run)
    words = f"evaluate {run} --features pixels --num-samples 40 --devices 1 --cas"
    status, said, _ = command(app.main, words, "--path-length --num-paths 20")
    assert status == 0
    found = {one["metric"]: one for one in score_card.read_cards(run / "scores.json")}
    _, config, state = restore(run)
    key = keys.step_key(keys.root_key(config.seed), keys.Purpose.SAMPLE, 0)
    made = sampling.sample(config, generator_variables(state), key, 40)
    ((name, images, labels, student),) = students
    assert name == "digits"
    np.testing.assert_array_equal(images, pixels.to_pixels(made, symmetric=False))
    np.testing.assert_array_equal(labels, np.arange(40) % 10)
    test = sources.load(ImageData("digits", "test", labels=True))
    accuracy = classifier.test_accuracy(student, test.batch.real, test.batch.cond)
    cas, paths = found["classification_accuracy"], found["path_length"]
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
    assert found["frechet"]["real"] == "digits all"
    assert score_card.format_number(accuracy) in said
    assert "digits-classifier of samples, 40 against 360 of digits test" in said


def test_the_test_is_whole_where_the_run_had_a_draw():
    assert len(generator.load_labeled_test(CONFIG, ImageData("digits", per_class=5))) == 360


def test_data_without_a_split_test():
    with pytest.raises(UserError, match="data set 'npz' has none"):
        generator.load_labeled_test(CONFIG, ImageData("npz", path="file.npz"))

"""Mode coverage of Stacked MNIST, counted by a single compiled program."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import ImageData, Logging
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.metrics import modes
from gan_jax.metrics.evaluation import evaluate, in_training, members, stacked_mnist
from gan_jax.metrics.evaluation.evaluator import Evaluation, Settings
from gan_jax.metrics.features import extractor, select
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.networks import interface, mlp
from tests.helpers import small

pytestmark = pytest.mark.integration

STRIPES = 10  # digit d is an image with a white row d
HEAD = (np.eye(STRIPES, dtype=np.float32), np.zeros(STRIPES, np.float32))
# Classifies these digits without errors.
CLASSIFIER = Extractor(
    "stripes", "0" * 64, "none", lambda _, images: images[:, :STRIPES].mean((2, 3)), head=HEAD
)


class Stripes(interface.Generator):
    """Generates images of three such digits from uniform latents z [n, 3] in [-1, 1]."""

    size: int = 28

    @nn.compact
    def __call__(self, z, cond=None, *, train):
        self.param("unused", nn.initializers.zeros, (1,))
        digit = jnp.floor((z + 1) / 2 * STRIPES).astype(jnp.int32)  # [n, 3]
        rows = jax.nn.one_hot(digit, self.size)  # [n, 3, h]
        return jnp.broadcast_to(jnp.moveaxis(rows, 1, -1)[:, :, None], (len(z), 28, 28, 3)) * 1.0


def config(**changes):
    changes = {"gen": Stripes(), "z_dim": 3, "latent": "uniform", "ema_half_life": 0.0, **changes}
    disc = mlp.Discriminator(widths=(2,), last_bias=False)
    return small.config(disc=disc, data=ImageData("stacked_mnist"), **changes)


def test_the_program_counts_the_modes_of_its_samples():
    n, key = 700, keys.root_key(3)  # more than one batch, the last one partial
    count = stacked_mnist.make_counter(config(), CLASSIFIER, n)
    counts, finite = count({"params": {"unused": jnp.zeros(1)}}, key)
    z = keys.latents(keys.example_keys(key, n), 3, "uniform")
    labels = np.floor((np.asarray(z) + 1) / 2 * STRIPES).astype(int) @ [100, 10, 1]
    assert finite
    np.testing.assert_array_equal(counts, np.bincount(labels, minlength=1000))
    scores = stacked_mnist.scores(counts)
    assert tuple(score.value for score in scores.values()) == modes.stacked_modes(labels)
    assert {score.n_fake for score in scores.values()} == {n}


def test_non_finite_samples_are_reported():
    gen = mlp.Generator((28, 28, 3), (2,))
    count = stacked_mnist.make_counter(config(gen=gen), CLASSIFIER, 6)
    with jax.debug_nans(False):
        params = gen.init(keys.root_key(0), jnp.zeros((1, 3)), train=False)
        params = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params)
        assert not count(params, keys.root_key(0))[1]


def test_features_without_a_classifier_are_rejected():
    with pytest.raises(UserError, match="'pixels'"):
        stacked_mnist.make_counter(config(), extractor.pixels(), 6)


@pytest.fixture
def striped_digits(monkeypatch):
    """Replaces Stacked MNIST by images of stripes, and its classifier by CLASSIFIER."""
    random = np.random.default_rng(0)
    digits = random.integers(STRIPES, size=(64, 3))
    real = np.zeros((64, 28, 28, 3), np.uint8)
    for channel in range(3):
        real[np.arange(64), digits[:, channel], :, channel] = 255
    images_and_labels = (real, (digits @ [100, 10, 1]).astype(np.int32))
    monkeypatch.setitem(sources.READERS, "stacked_mnist", lambda data: images_and_labels)
    monkeypatch.setattr(select, "select_features", lambda *args, **kwargs: CLASSIFIER)
    monkeypatch.setattr(stacked_mnist, "SAMPLES", 300)


@pytest.mark.usefixtures("striped_digits")
def test_scores_in_training_equal_those_of_evaluate(tmp_path):
    run_config = config(gen=mlp.Generator((28, 28, 3), (2,)), steps=4, seeds=(0, 1), batch_size=16)
    logging = Logging(checkpoint_every=4, score_every=4)
    state = small.fit(run_config, tmp_path / "run", logging=logging)
    dataset = sources.load(run_config.data)
    protocol, score = in_training.make_scorer(run_config, dataset, jax.local_devices()[0])
    in_training_scores = score(state)
    cards = evaluate.evaluate(tmp_path / "run", Settings(features=CLASSIFIER, num=300), steps=[4])
    assert [card.metric for card in cards] == protocol["metrics"] == ["covered", "kl", "excess_kl"]
    for card in cards:
        np.testing.assert_array_equal(card.values, in_training_scores[card.metric])
    _, member = members.members(run_config, state)
    evaluator = stacked_mnist.StackedModeCoverage(
        Evaluation(run_config, run_config.data, dataset), CLASSIFIER, 300
    )
    member_scores = evaluator(member)
    assert member_scores["kl"].value == cards[1].values[1]


def test_the_mnist_classifier_is_selected(monkeypatch):
    requested = []
    monkeypatch.setattr(
        "gan_jax.metrics.features.classifier.load_classifier",
        lambda data, **rest: requested.append(data) or CLASSIFIER,
    )
    assert (
        select.select_features("classifier", ImageData("stacked_mnist", "train", dir="there"))
        is CLASSIFIER
    )
    assert (requested[0].name, requested[0].dir) == ("mnist", "there")

"""The modes of Stacked MNIST, counted in one program."""

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

STRIPES = 10  # a digit d is a picture whose row d is white
HEAD = (np.eye(STRIPES, dtype=np.float32), np.zeros(STRIPES, np.float32))
# Reads such digits without a mistake.
READER = Extractor(
    "stripes", "0" * 64, "none", lambda _, images: images[:, :STRIPES].mean((2, 3)), head=HEAD
)


class Stripes(interface.Generator):
    """z [n, 3] uniform on [-1, 1] -> pictures of three such digits."""

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


def test_the_program_counts_what_the_samples_are():
    n, key = 700, keys.root_key(3)  # more than one batch, and no whole number of them
    count = stacked_mnist.make_counter(config(), READER, n)
    counts, finite = count({"params": {"unused": jnp.zeros(1)}}, key)
    z = keys.latents(keys.example_keys(key, n), 3, "uniform")
    labels = np.floor((np.asarray(z) + 1) / 2 * STRIPES).astype(int) @ [100, 10, 1]
    assert finite
    np.testing.assert_array_equal(counts, np.bincount(labels, minlength=1000))
    found = stacked_mnist.scores(counts)
    assert tuple(score.value for score in found.values()) == modes.stacked_modes(labels)
    assert {score.n_fake for score in found.values()} == {n}


def test_a_sample_that_is_not_finite_is_seen():
    gen = mlp.Generator((28, 28, 3), (2,))
    broken = stacked_mnist.make_counter(config(gen=gen), READER, 6)
    with jax.debug_nans(False):
        params = gen.init(keys.root_key(0), jnp.zeros((1, 3)), train=False)
        params = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params)
        assert not broken(params, keys.root_key(0))[1]


def test_only_a_classifier_counts():
    with pytest.raises(UserError, match="'pixels'"):
        stacked_mnist.make_counter(config(), extractor.pixels(), 6)


@pytest.fixture
def digits(monkeypatch):
    """Stacked MNIST without MNIST: some pictures of stripes; and their reader."""
    random = np.random.default_rng(0)
    drawn = random.integers(STRIPES, size=(64, 3))
    real = np.zeros((64, 28, 28, 3), np.uint8)
    for channel in range(3):
        real[np.arange(64), drawn[:, channel], :, channel] = 255
    made = (real, (drawn @ [100, 10, 1]).astype(np.int32))
    monkeypatch.setitem(sources.READERS, "stacked_mnist", lambda data: made)
    monkeypatch.setattr(select, "select_features", lambda *args, **kwargs: READER)
    monkeypatch.setattr(stacked_mnist, "SAMPLES", 300)


@pytest.mark.usefixtures("digits")
def test_a_run_is_scored_alike_as_it_trains_and_after(tmp_path):
    one = config(gen=mlp.Generator((28, 28, 3), (2,)), steps=4, seeds=(0, 1), batch_size=16)
    logging = Logging(checkpoint_every=4, score_every=4)
    state = small.fit(one, tmp_path / "run", logging=logging)
    dataset = sources.load(one.data)
    protocol, score = in_training.make_scorer(one, dataset, jax.local_devices()[0])
    found = score(state)
    cards = evaluate.evaluate(tmp_path / "run", Settings(features=READER, num=300), steps=[4])
    assert [card.metric for card in cards] == protocol["metrics"] == ["covered", "kl", "excess_kl"]
    for card in cards:
        np.testing.assert_array_equal(card.values, found[card.metric])
    _, member = members.members(one, state)
    evaluator = stacked_mnist.StackedModeCoverage(Evaluation(one, one.data, dataset), READER, 300)
    again = evaluator(member)
    assert again["kl"].value == cards[1].values[1]


def test_the_digits_classifier_is_chosen(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "gan_jax.metrics.features.classifier.load_classifier",
        lambda data, **rest: asked.append(data) or READER,
    )
    assert (
        select.select_features("classifier", ImageData("stacked_mnist", "train", dir="there"))
        is READER
    )
    assert (asked[0].name, asked[0].dir) == ("mnist", "there")

"""Pretraining by likelihood or reconstruction: its updates, and its end.

tests/training/test_contracts.py tests the guarantees of runs with pretraining.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import ImageData, Optimizer, Pretrain, TextData, schema, serialization
from gan_jax.config.validation import validate
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import masks
from gan_jax.data.batch import Batch
from gan_jax.networks import interface, lstm, mlp, sequence, unet
from gan_jax.training import optimizers, pretrain
from gan_jax.training.state import init_state
from gan_jax.training.step import make_train_step
from tests.helpers import small

CONFIG = small.TEXTS
SGD = Optimizer("sgd", lr=1.0, b1=0.0)


def config(**changes):
    return CONFIG.replace(**changes)


@pytest.fixture(scope="module")
def trained():
    """State of CONFIG after all steps, and its metrics."""
    return small.train_state(CONFIG)


def test_metrics_of_both_phases(trained):
    state, metrics = trained
    assert (metrics["nll"][:3] > 1).all()
    assert not metrics["nll"][3:].any()
    for name in ("disc_loss", "gen_loss", "disc_grad_norm"):
        assert not metrics[name][:3].any()
        assert metrics[name][3:].all()
    assert metrics["gen_grad_norm"].all()
    assert not metrics["skipped"].any()
    assert state.gen.opt_state[0].count == 3  # the optimizer was reset
    assert state.disc.opt_state[0].count == 3
    assert state.gen.stats["schedule"]["calls"] == 3  # as was the schedule of the temperature


def idle_step(state, batch):  # noqa: ARG001
    """Substitute for the adversarial step that compiles quickly, for tests of pretraining."""
    return state, {name: jnp.float32(0) for name in ("gen_loss", "gen_grad_norm", "skipped")}


@pytest.mark.parametrize("clip", [0.01, 0.0])
def test_likelihood_updates_match_a_manual_gradient(clip):
    """Two batches are two updates of gradient descent, with the network written out."""
    sgd = Optimizer("sgd", lr=0.5, b1=0.0)
    base = config(
        gen=sequence.Generator(lstm.Cell(2), 3, 4, embedding=2),
        n_critic=2,
        gen_opt=sgd,
        disc=mlp.Discriminator(widths=(3,)),
        pretrain=Pretrain(9, sgd, clip),
        ema_half_life=0.0,
    )
    rows = np.random.default_rng(0).integers(4, size=(2, 8, 3))
    real = jnp.asarray(np.eye(4)[rows], "float32")
    state = jax.jit(lambda: init_state(base, keys.root_key(0), Batch(real[0])))()
    step = jax.jit(pretrain.with_pretraining(idle_step, base))
    after, metrics = step(state, Batch(real))

    def nll(params, rows):
        """Return the mean negative log-likelihood, by the chain rule of probabilities."""
        total, (c, h) = 0.0, (jnp.zeros((8, 2)), jnp.zeros((8, 2)))
        previous, gates = jnp.zeros(8, int), params["cell"]["gates"]
        for t in range(3):
            x, activations = params["embedding"][previous], {}
            for gate in "ifgo":
                preactivation = x @ gates[f"i{gate}"]["kernel"] + h @ gates[f"h{gate}"]["kernel"]
                activations[gate] = preactivation + gates[f"h{gate}"]["bias"][None]
            remembered = jax.nn.sigmoid(activations["f"]) * c
            c = remembered + jax.nn.sigmoid(activations["i"]) * jnp.tanh(activations["g"])
            h = jax.nn.sigmoid(activations["o"]) * jnp.tanh(c)
            logits = h @ params["readout"]["kernel"] + params["readout"]["bias"][None]
            total -= jax.nn.log_softmax(logits)[jnp.arange(8), rows[:, t]].mean()
            previous = rows[:, t]
        return total / 3

    params, values, norms = state.gen.params, [], []
    gradient = jax.jit(jax.value_and_grad(nll))
    for batch in rows:
        value, grads = gradient(params, batch)
        norm = np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(grads)))
        factor = 0.5 * (min(1, clip / norm) if clip else 1)
        params = jax.tree.map(lambda p, g, f=factor: p - f * g, params, grads)
        values.append(value)
        norms.append(norm)
    assert metrics["nll"] == pytest.approx(np.mean(values), rel=1e-5)
    assert metrics["gen_grad_norm"] == pytest.approx(np.mean(norms), rel=1e-4)
    assert min(norms) > 2 * clip
    for actual, expected in zip(
        jax.tree.leaves(after.gen.params), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    chex.assert_trees_all_equal(after.disc, state.disc)

    # A non-finite update changes only the counts.
    with jax.debug_nans(False):
        after, metrics = step(state, Batch(real.at[1].set(jnp.inf)))
    assert metrics["skipped"] == after.skipped == after.skipped_in_row == 1
    with jax.debug_nans(False):
        unchanged, _ = step(state, Batch(jnp.full_like(real, jnp.inf)))
    chex.assert_trees_all_equal(unchanged.gen, state.gen)


class ScaledMean(interface.Generator):
    """Generator that fills masked pixels with the mean of z times a parameter."""

    @nn.compact
    def __call__(self, z, cond=None, *, train):
        value = self.param("value", nn.initializers.constant(0.5), (1, 1, 1, 1))
        filled = z.mean(1)[:, None, None, None] * value
        return jnp.where(cond.hole > 0, jnp.broadcast_to(filled, cond.known.shape), cond.known)


@pytest.mark.parametrize("microbatch", [4, 8])
def test_reconstruction_updates_match_a_manual_gradient(microbatch):
    """Without likelihood, two updates of the mean absolute difference come first.

    Masks and z come from the keys of the step. The adversarial step after them also updates the
    discriminator.
    """
    sgd = Optimizer("sgd", lr=0.5, b1=0.0)
    base = config(
        gen=ScaledMean(),
        disc=unet.Discriminator(size=8, patch=2, widths=(4,), blocks=(1,), cardinality=(1,)),
        data=ImageData("digits", symmetric=True),
        masks=schema.Masks(("box", "strokes")),
        reconstruction=2.0,
        pretrain=Pretrain(1, sgd, 0.0),
        gen_opt=sgd,
        z_dim=3,
        latent="normal",
        n_critic=2,
        ema_half_life=0.0,
    )
    real = jax.random.uniform(jax.random.key(0), (2, 8, 8, 8, 1), minval=-1.0)
    state = jax.jit(lambda: init_state(base, keys.root_key(0), Batch(real[0])))()
    train_step = make_train_step(base, microbatch=microbatch)
    step = jax.jit(pretrain.with_pretraining(train_step, base, microbatch=microbatch))
    after, metrics = step(state, Batch(real))
    value, losses = 0.5, []
    for iteration in range(2):
        mask_keys, latent_keys = (
            keys.example_keys(keys.step_key(state.key, purpose, 0, iteration), 8)
            for purpose in (keys.Purpose.MASK, keys.Purpose.GEN_Z)
        )
        mask = np.asarray(masks.sample_masks(base.masks, mask_keys, 8, 8))
        z = np.asarray(keys.latents(latent_keys, 3, "normal")).mean(1)[:, None, None, None]
        gap = np.where(mask, z * value - np.asarray(real[iteration]), 0.0)
        losses.append(np.abs(gap).mean())
        value -= 0.5 * (np.sign(gap) * z).mean()
    np.testing.assert_allclose(after.gen.params["value"].ravel(), value, rtol=1e-5)
    np.testing.assert_allclose(metrics["l1"], np.mean(losses), rtol=1e-5)
    assert "nll" not in metrics
    chex.assert_trees_all_equal(after.disc, state.disc)
    adversarial, metrics = step(after, Batch(real))
    assert metrics["disc_loss"] > 0
    assert metrics["l1"] > 0
    changed = jax.tree.map(
        lambda new, old: (new != old).any(), adversarial.disc.params, after.disc.params
    )
    assert any(jax.tree.leaves(changed))


@pytest.mark.parametrize(("limit", "length"), [(0.0, 5.0), (1.0, 1.0), (9.0, 5.0)])
def test_swept_gradient_clipping_equals_that_of_a_solo_run(limit, length):
    gradient = {"w": jnp.array([3.0, 4.0])}

    def update(limit):
        clipped = pretrain.clip_gradient(optimizers.make_optimizer(SGD), limit)
        return clipped.update(gradient, clipped.init(gradient))[0]["w"]

    for clipped_update in (update(limit), jax.jit(update)(limit)):
        np.testing.assert_allclose(clipped_update, -length * np.array([0.6, 0.8]), rtol=1e-6)


def test_run_without_pretraining_has_the_adversarial_step_only():
    without = config(pretrain=Pretrain())
    assert pretrain.with_pretraining(idle_step, without) is idle_step
    assert serialization.loads(serialization.dumps(CONFIG)) == CONFIG


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretrain": Pretrain(-1)}, "pretrain.steps must be at least 0"),
        ({"pretrain": Pretrain(clip=-1.0)}, "pretrain.clip must be at least 0, got -1.0"),
        (
            {"pretrain": Pretrain(opt=Optimizer(lr=-1.0))},
            "pretrain.opt.lr must be at least 0, got -1.0",
        ),
        ({"pretrain": Pretrain(1, Optimizer("sgd"))}, "the same as gen_opt.name (adam), got 'sgd'"),
        ({"gen": mlp.Generator()}, "0 with a generator without likelihood and without"),
        ({"z_dim": 3}, "z_dim must be 2 with the latent distribution 'key', got 3"),
        (
            {"data": TextData("lines", vocabulary=2)},
            "data.vocabulary must be from 3 to 65536, got 2",
        ),
        ({"data": TextData("lines", tokens=0)}, "data.tokens must be at least 1"),
    ],
)
def test_invalid_configs_are_rejected(changes, message):
    with pytest.raises(UserError) as error:
        validate(config(**changes))
    assert message in str(error.value)

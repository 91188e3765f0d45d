"""Relativistic conditional GAN, D(x, y) = f(x, y) - f(x, G(x, z)), in closed form.

The discriminator, the masks and the objective are those of inpainting: relativistic pairing, R1 and
R2 on y only. A term of f that depends only on x must cancel if both sides have the same x.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config, Objective, Optimizer, Penalties, Prior, schema
from gan_jax.core import keys
from gan_jax.data import masks
from gan_jax.data.batch import Batch
from gan_jax.losses import adversarial, penalties
from gan_jax.networks import interface, unet
from gan_jax.training.state import init_state
from gan_jax.training.step import make_train_step

N, SHAPE = 4, (8, 8, 1)
FIELDS = {"size": 8, "widths": (6, 4), "blocks": (1, 1), "cardinality": (1, 1), "expansion": 1}
KEYS = jax.random.split(jax.random.key(2), N)
REAL = jax.random.uniform(jax.random.key(0), (N, *SHAPE), minval=-1.0)
FAKE = jax.random.uniform(jax.random.key(1), (N, *SHAPE), minval=-1.0)
COND = masks.apply_masks(schema.Masks(("box",)), REAL, None, KEYS)
LOSS = adversarial.gan_loss("relativistic", 0.0)
GAMMA = 0.3


class Gauged(interface.Discriminator):
    """Discriminator f(x, y) + h(x), where h has separate parameters."""

    f: nn.Module
    h: bool = True

    @nn.compact
    def __call__(self, y, cond=None, *, train):
        logits = self.f(y, cond, train=train)
        if self.h:
            flat = jnp.concatenate([cond.known, cond.hole], -1).reshape(len(y), -1)
            logits += jnp.square(nn.Dense(1, name="h")(flat))[:, 0]
        return logits


class Linear(interface.Discriminator):
    """Discriminator w.y + u.x."""

    @nn.compact
    def __call__(self, y, cond=None, *, train):
        w = nn.Dense(1, use_bias=False, name="w")(y.reshape(len(y), -1))
        return (w + nn.Dense(1, name="u")(cond.known.reshape(len(y), -1)))[:, 0]


def objectives(params, discriminator, real_cond, fake_cond):
    """Return L_D with R1 and R2, and L_G, from the functions of the train step."""

    def discriminate(x, cond):
        return discriminator.apply({"params": params}, x, cond, train=True)

    real, fake = discriminate(REAL, real_cond), discriminate(FAKE, fake_cond)
    arguments = REAL, FAKE, KEYS, None, 1
    r1 = penalties.r1(lambda y: discriminate(y, real_cond), *arguments)
    r2 = penalties.r2(lambda y: discriminate(y, fake_cond), *arguments)
    return jnp.stack([LOSS.disc(real, fake) + GAMMA * (r1 + r2), LOSS.gen(real, fake)])


@pytest.mark.parametrize("matched", [True, False])
def test_terms_of_the_condition_alone_cancel(matched):
    """f + h(x) has the losses and gradients of f, and none for h, if both sides share x."""
    plain, gauged = (Gauged(unet.Discriminator(**FIELDS), h) for h in (False, True))
    params = dict(gauged.init(jax.random.key(3), REAL, COND, train=True)["params"])
    other = COND if matched else jax.tree.map(lambda leaf: leaf[::-1], COND)

    @jax.jit
    def plain_and_gauged(params):
        f_params = {"f": params["f"]}
        plain_results = (
            objectives(f_params, plain, COND, other),
            jax.jacrev(objectives)(f_params, plain, COND, other),
        )
        gauged_losses = objectives(params, gauged, COND, other)
        return *plain_results, gauged_losses, jax.jacrev(objectives)(params, gauged, COND, other)

    plain_values, plain_slopes, gauged_values, gauged_slopes = plain_and_gauged(params)
    h_slope = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gauged_slopes["h"]))
    if not matched:
        assert h_slope > 1e-3  # a thousand times the rounding below
        assert float(jnp.abs(plain_values - gauged_values).max()) > 1e-3
        return
    # h is added to both logits and cancels, up to rounding of numbers of order 1.
    np.testing.assert_allclose(gauged_values, plain_values, rtol=0, atol=1e-6)
    assert h_slope < 1e-6
    for name, leaf in jax.tree.leaves_with_path(plain_slopes["f"]):
        gauged_slope = gauged_slopes["f"]
        for entry in name:
            gauged_slope = gauged_slope[entry.key]
        np.testing.assert_allclose(gauged_slope, leaf, rtol=1e-4, atol=1e-6)


def test_linear_discriminator():
    """D = w.(y - G), L_D = E softplus(-D), R1 = R2 = |w|^2/2, and their gradients."""
    discriminator = Linear()
    params = discriminator.init(jax.random.key(4), REAL, COND, train=True)["params"]
    w = params["w"]["kernel"][:, 0]
    gap = (REAL - FAKE).reshape(N, -1)
    d = gap @ w
    values = objectives(params, discriminator, COND, COND)
    expected = jax.nn.softplus(-d).mean() + GAMMA * jnp.square(w).sum()
    np.testing.assert_allclose(values[0], expected, rtol=1e-5)
    np.testing.assert_allclose(values[1], jax.nn.softplus(d).mean(), rtol=1e-5)
    np.testing.assert_allclose(
        LOSS.gen(d, 0 * d) - LOSS.disc(d, 0 * d), d.mean(), rtol=1e-4, atol=1e-6
    )
    slope = jax.jacrev(objectives)(params, discriminator, COND, COND)["w"]["kernel"][0, :, 0]
    expected_slope = -(jax.nn.sigmoid(-d)[:, None] * gap).mean(0) + 2 * GAMMA * w
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-4, atol=1e-6)


def test_perfect_inpainting_has_the_losses_of_equal_logits():
    logits = jax.random.normal(jax.random.key(5), (N,))
    np.testing.assert_allclose(LOSS.disc(logits, logits), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(LOSS.gen(logits, logits), np.log(2), rtol=1e-6)


class Constant(interface.Generator):
    """Generator that fills masked pixels with a trainable constant."""

    @nn.compact
    def __call__(self, z, cond=None, *, train):
        value = self.param("value", nn.initializers.constant(0.5), (1, 1, 1, 1))
        return jnp.where(cond.hole > 0, jnp.broadcast_to(value, cond.known.shape), cond.known)


def test_train_step_gives_both_players_the_same_masked_images():
    """u, which depends only on x, does not change, and w changes by the closed form.

    The masks come from keys of the purpose MASK; reconstruction is the mean absolute difference.
    """
    learning_rate = 0.1
    sgd = Optimizer("sgd", lr=learning_rate, b1=0.0)
    config = Config(
        *("linear", Constant(), Linear(), 1),
        objective=Objective(
            loss="relativistic", penalties=Penalties(r1=GAMMA, r2=GAMMA), reconstruction=2.0
        ),
        masks=schema.Masks(("box", "strokes")),
        gen_opt=sgd,
        disc_opt=dataclasses.replace(sgd),
        prior=Prior(dim=2),
        batch_size=N,
    )
    state = init_state(config, jax.random.key(6), Batch(REAL))
    after, metrics = jax.jit(make_train_step(config))(state, Batch(REAL[None]))
    before = state.disc.params

    def sample_masks(iteration):
        key = keys.step_key(state.key, keys.Purpose.MASK, 0, iteration)
        return masks.sample_masks(config.masks, keys.example_keys(key, N), 8, 8)

    w = before["w"]["kernel"][:, 0]
    gap = (REAL - jnp.where(sample_masks(0), 0.5, REAL)).reshape(N, -1)
    expected_slope = -(jax.nn.sigmoid(-gap @ w)[:, None] * gap).mean(0) + 2 * GAMMA * w
    new_w = after.disc.params["w"]["kernel"][:, 0]
    np.testing.assert_allclose(new_w, w - learning_rate * expected_slope, rtol=1e-4, atol=1e-6)
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(
            after.disc.params["u"][name], before["u"][name], rtol=0, atol=1e-7
        )
    gen_mask = sample_masks(1)  # of the generator update
    assert (np.asarray(gen_mask) != np.asarray(sample_masks(0))).any()
    l1 = jnp.abs(REAL - jnp.where(gen_mask, 0.5, REAL)).mean()
    np.testing.assert_allclose(metrics["l1"], l1, rtol=1e-5)
    # dD/dvalue = -mask_logit
    mask_logit = (jnp.where(gen_mask, new_w.reshape(1, *SHAPE), 0)).sum((1, 2, 3))
    d = (REAL - jnp.where(gen_mask, 0.5, REAL)).reshape(N, -1) @ new_w
    slope = -(jax.nn.sigmoid(d) * mask_logit).mean()
    slope += 2.0 * (jnp.where(gen_mask, jnp.sign(0.5 - REAL), 0)).mean()
    value = after.gen.params["value"][0, 0, 0, 0]
    np.testing.assert_allclose(value, 0.5 - learning_rate * slope, rtol=1e-4)

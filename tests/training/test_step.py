"""Train step: updates of both players, and skipped updates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.config import Optimizer, Penalties
from gan_jax.core.keys import Purpose, example_keys, latents, root_key, step_key
from gan_jax.data.batch import Batch
from gan_jax.losses import adversarial as losses_adversarial
from gan_jax.networks import mlp
from gan_jax.training.state import init_state
from gan_jax.training.step import make_train_step
from tests.helpers import small

PLAIN = small.config(
    gen=mlp.Generator(shape=(8, 8, 1), widths=(24,)),
    disc=mlp.Discriminator(widths=(24,)),
    loss="non_saturating",
    penalties=Penalties(),
    gen_opt=Optimizer("sgd", lr=0.1, b1=0.0),
    disc_opt=Optimizer("sgd", lr=0.1, b1=0.0),
    n_critic=1,
    ema_half_life=0.0,
)


def one_step(config, real=None, step=0):
    real = (
        jax.random.uniform(jax.random.key(7), (config.n_critic, 16, 8, 8, 1))
        if real is None
        else real
    )
    batch = Batch(real)
    init = jax.jit(lambda: init_state(config, root_key(config.seed), Batch(real[0])))
    state = init().replace(step=jnp.int32(step))
    return (state, *jax.jit(make_train_step(config))(state, batch), batch)


@pytest.mark.parametrize("frozen", ["gen", "disc"])
def test_each_update_changes_only_its_player(frozen):
    frozen_opt = {f"{frozen}_opt": Optimizer("sgd", lr=0.0, b1=0.0)}
    # Not the relativistic loss of the base config, which has no gradient in the last bias.
    config = small.config(loss="hinge", **frozen_opt)
    before, after, _, _ = one_step(config)
    trained = {"gen": "disc", "disc": "gen"}[frozen]
    small.assert_same_bits(getattr(before, frozen).params, getattr(after, frozen).params)
    new_leaves = small.leaves(getattr(after, trained).params)
    for name, leaf in small.leaves(getattr(before, trained).params).items():
        assert (new_leaves[name] != leaf).any(), name


@pytest.mark.parametrize("lazy", [1, 3])
def test_step_matches_explicit_gradients(lazy):
    penalties = Penalties(r1=0.7, r2=0.3)
    config = PLAIN.replace(penalties=penalties, penalty_every=lazy)
    step = lazy - 1  # the lazy penalty is due
    before, after, metrics, batch = one_step(config, step=step)
    real, key = batch.real[0], before.key
    opt = optax.sgd(0.1 * lazy / (lazy + 1) if lazy > 1 else 0.1)

    def sample_latents(purpose):
        return latents(example_keys(step_key(key, purpose, step), 16), 8, "normal")

    def generate(params, z):
        return config.gen.apply({"params": params}, z, train=True)

    def discriminate(params, x):
        return config.disc.apply({"params": params}, x, train=True)

    def descend(params, objective):
        return optax.apply_updates(
            params, opt.update(jax.grad(objective)(params), opt.init(params))[0]
        )

    fake = generate(before.gen.params, sample_latents(Purpose.DISC_Z))

    def adversarial(params):
        return losses_adversarial.logistic_disc(
            discriminate(params, real), discriminate(params, fake)
        )

    def penalty(params):  # per example
        gradient = jax.vmap(jax.grad(lambda x: discriminate(params, x[None])[0]))
        r1, r2 = (0.5 * jnp.square(gradient(x)).sum((1, 2, 3)).mean() for x in (real, fake))
        return lazy * (0.7 * r1 + 0.3 * r2)

    disc = before.disc.params
    if lazy == 1:
        disc = descend(disc, lambda params: adversarial(params) + penalty(params))
    else:  # the lazy penalty of StyleGAN2 is a separate update
        disc = descend(descend(disc, adversarial), penalty)
    opt = optax.sgd(0.1)
    z = sample_latents(Purpose.GEN_Z)
    gen = descend(
        before.gen.params,
        lambda params: losses_adversarial.non_saturating_gen(
            None, discriminate(disc, generate(params, z))
        ),
    )
    for actual, expected in ((after.disc.params, disc), (after.gen.params, gen)):
        # The same float32 formulas, compiled separately: roundings of 1e-7 differ.
        small.assert_trees_close(actual, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(metrics["disc_loss"], adversarial(before.disc.params), rtol=1e-6)


def test_lazy_penalties_are_due_every_kth_discriminator_update():
    config = small.config(steps=6, penalty_every=3, n_critic=1)
    _, metrics = small.train_state(config)
    assert (metrics["r1"] > 0).tolist() == [False, False, True] * 2


def test_nonfinite_gradient_changes_nothing_and_is_counted():
    with jax.debug_nans(False):
        real = jnp.full((2, 16, 8, 8, 1), jnp.nan)
        before, after, metrics, _ = one_step(small.CONFIG, real)
    small.assert_same_bits(before.disc, after.disc)
    small.assert_same_bits(before.gen, after.gen)
    assert metrics["skipped"] == 1
    assert (int(after.step), int(after.skipped), int(after.skipped_in_row)) == (1, 1, 1)


def test_nonfinite_update_of_finite_gradients_changes_nothing_and_is_counted():
    config = PLAIN.replace(disc_opt=Optimizer("sgd", lr=1e38, b1=0.0), loss="wasserstein")
    with jax.debug_nans(False):
        before, after, metrics, _ = one_step(config, real=jnp.full((1, 16, 8, 8, 1), 1e5))
    assert np.isfinite(metrics["disc_grad_norm"])
    assert metrics["skipped"] == 1
    small.assert_same_bits(before.disc, after.disc)


def test_finite_step_resets_the_count_of_consecutive_skips():
    step = jax.jit(make_train_step(small.CONFIG))
    state, _, _, batch = one_step(small.CONFIG)
    state = state.replace(skipped=jnp.int32(5), skipped_in_row=jnp.int32(2))
    state, _ = step(state, batch)
    assert (int(state.skipped), int(state.skipped_in_row)) == (5, 0)


def test_weight_clipping_bounds_the_discriminator():
    _, after, _, _ = one_step(PLAIN.replace(loss="wasserstein", weight_clip=0.01))
    largest = max(np.abs(leaf).max() for leaf in small.leaves(after.disc.params).values())
    assert largest == np.float32(0.01)


def test_moving_average_has_its_half_life():
    config = PLAIN.replace(ema_half_life=16.0 * 4, gen_opt=Optimizer("sgd", lr=0.0, b1=0.0))
    step = jax.jit(make_train_step(config))
    state, _, _, batch = one_step(config)
    state = state.replace(ema=jax.tree.map(lambda leaf: leaf + 1.0, state.ema))
    for _ in range(4):  # 64 images, one half-life
        state, _ = step(state, batch)
    gap = jax.tree.map(lambda a, b: a - b, state.ema["params"], state.gen.params)
    for name, leaf in small.leaves(gap).items():
        np.testing.assert_allclose(leaf, 0.5, atol=1e-5, err_msg=name)  # float32 of values near 1


def test_moving_average_ramp_starts_at_the_weights():
    config = PLAIN.replace(ema_half_life=1e9, ema_ramp=0.05)
    _, after, _, _ = one_step(config)
    # Half-life of 0.8 images, after a batch of 16: the old weights have the factor 2^-20.
    small.assert_trees_close(after.ema["params"], after.gen.params, rtol=1e-7, atol=1e-5)


@pytest.mark.parametrize("name", ["adam", "optimistic_adam", "rmsprop", "sgd"])
def test_every_optimizer_trains(name):
    config = PLAIN.replace(gen_opt=Optimizer(name, lr=1e-3), disc_opt=Optimizer(name, lr=1e-3))
    _, metrics = small.train_state(config.replace(steps=2))
    assert metrics["skipped"].sum() == 0
    assert metrics["disc_loss"][0] != metrics["disc_loss"][1]

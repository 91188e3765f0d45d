"""Further terms of the train step: augmentation, class head, features, path length."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.config import Augment, ImageData, Optimizer, Penalties
from gan_jax.config.validation import validate
from gan_jax.core.errors import UserError
from gan_jax.core.keys import Purpose, example_keys, latents, root_key, step_key
from gan_jax.data.batch import Batch
from gan_jax.losses import adversarial, path_length
from gan_jax.networks import interface, mlp, unet
from gan_jax.networks.pacgan import PacGAN
from gan_jax.training.augment import adaptive
from gan_jax.training.state import init_state
from gan_jax.training.step import make_train_step
from tests.helpers import small

N, RATE = 8, 0.1
SGD = Optimizer("sgd", lr=RATE, b1=0.0)


class TanhGenerator(interface.Generator):
    """Generator z [n, 8] -> w -> images [n, 8, 8, 1], for path length regularization."""

    w_shape: tuple[int, int] = (2, 6)

    @nn.compact
    def __call__(self, z, cond=None, *, train):
        w = nn.Dense(6)(z)
        w = jnp.broadcast_to(w[:, None], (len(z), *self.w_shape))
        w = w if self.is_initializing() else self.perturb("w", w)
        return nn.tanh(nn.Dense(64)(w.reshape(len(z), -1))).reshape(-1, 8, 8, 1)


PLAIN = small.config(
    gen=TanhGenerator(),
    disc=mlp.Discriminator(widths=(6,)),
    loss="non_saturating",
    penalties=Penalties(r1=0.7, r2=0.3),
    gen_opt=SGD,
    disc_opt=SGD,
    n_critic=1,
    ema_half_life=0.0,
    batch_size=N,
)
# The same float32 formulas, compiled separately: roundings of 1e-7 differ.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def run_step(config, step=0, labels=None):
    real = jax.random.uniform(jax.random.key(7), (1, N, 8, 8, 1))
    cond = None if labels is None else labels[None]
    start = jax.jit(lambda: init_state(config, root_key(0), Batch(real[0], labels)))()
    before = start.replace(step=jnp.int32(step))
    return before, *jax.jit(make_train_step(config))(before, Batch(real, cond)), real[0]


def step_keys(state, purpose, iteration=0):
    return example_keys(step_key(state.key, purpose, state.step, iteration), N)


def sample_latents(state, purpose):
    return latents(step_keys(state, purpose), 8, "normal")


def gradient_step(params, objective, rate=RATE):
    return jax.tree.map(lambda p, g: p - rate * g, params, jax.grad(objective)(params))


def test_discriminator_gets_augmented_images_and_penalties_differentiate_through_it():
    config = PLAIN.replace(augment=Augment(blit=1.0, cutout=0.8, p=0.7))
    before, after, _, real = run_step(config)
    fake = config.gen.apply(
        {"params": before.gen.params}, sample_latents(before, Purpose.DISC_Z), train=True
    )

    def augment(x, purpose, iteration):
        return adaptive.augment(
            config.augment, x, step_keys(before, purpose, iteration), 0.7, False
        )

    def discriminate(params, x):
        return config.disc.apply({"params": params}, x, train=True)

    def disc_objective(params):
        reals, fakes = augment(real, Purpose.AUGMENT, 0), augment(fake, Purpose.AUGMENT_FAKE, 0)

        def slope(x):  # with respect to the original image
            image_gradient = jax.grad(
                lambda x: discriminate(params, augment(x, Purpose.AUGMENT, 0)).sum()
            )
            return 0.5 * jnp.square(image_gradient(x)).sum((1, 2, 3)).mean()

        loss = adversarial.logistic_disc(discriminate(params, reals), discriminate(params, fakes))
        return loss + 0.7 * slope(real) + 0.3 * slope(fake)

    disc = gradient_step(before.disc.params, disc_objective)

    def gen_objective(params):
        samples = config.gen.apply(
            {"params": params}, sample_latents(before, Purpose.GEN_Z), train=True
        )
        logits = discriminate(disc, augment(samples, Purpose.AUGMENT_FAKE, config.n_critic))
        return adversarial.non_saturating_gen(None, logits)

    small.assert_trees_close(after.disc.params, disc, **CLOSE)
    small.assert_trees_close(
        after.gen.params, gradient_step(before.gen.params, gen_objective), **CLOSE
    )
    _, plain, _, _ = run_step(PLAIN)
    assert not np.allclose(small.leaves(plain.disc.params).popitem()[1], jax.tree.leaves(disc)[-1])


def test_adaptive_p_is_in_the_state_and_follows_the_rule():
    rule = Augment(cutout=1.0, p=0.5, adaptive=True, target=-0.999, adapt_images=640.0)
    config = PLAIN.replace(augment=rule, n_critic=2, steps=4, batch_size=16)
    state, metrics = small.train_state(config.replace(z_dim=8))
    change = 4 * 16 / 640  # every 4 discriminator updates, which are 2 steps
    np.testing.assert_allclose(state.augment.p, 0.5 + 2 * change, atol=1e-6)  # float32
    np.testing.assert_allclose(
        metrics["augment_p"], [0.5, 0.5, 0.5 + change, 0.5 + change], atol=1e-6
    )


def test_class_head_trains_on_reals_and_adds_to_the_loss_of_the_generator():
    config = PLAIN.replace(
        disc=small.WithClassHead(),
        penalties=Penalties(),
        data=ImageData("digits", "all", labels=True),
        auxiliary_disc=0.9,
        auxiliary_gen=0.4,
    )
    labels = jnp.arange(N, dtype=jnp.int32) % 3
    before, after, metrics, real = run_step(config, labels=labels)

    def discriminate(params, x):
        logits, auxiliary = config.disc.apply(
            {"params": params}, x, train=True, mutable=["auxiliary"]
        )
        return logits, auxiliary["auxiliary"]["class_logits"]

    def class_loss(class_logits):
        return optax.softmax_cross_entropy_with_integer_labels(class_logits, labels).mean()

    fake = config.gen.apply(
        {"params": before.gen.params}, sample_latents(before, Purpose.DISC_Z), train=True
    )

    def disc_objective(params):
        (real_logits, classes), (fake_logits, _) = (
            discriminate(params, real),
            discriminate(params, fake),
        )
        return adversarial.logistic_disc(real_logits, fake_logits) + 0.9 * class_loss(classes)

    disc = gradient_step(before.disc.params, disc_objective)

    def gen_objective(params):
        samples = config.gen.apply(
            {"params": params}, sample_latents(before, Purpose.GEN_Z), train=True
        )
        logits, classes = discriminate(disc, samples)
        return adversarial.non_saturating_gen(None, logits) + 0.4 * class_loss(classes)

    small.assert_trees_close(after.disc.params, disc, **CLOSE)
    small.assert_trees_close(
        after.gen.params, gradient_step(before.gen.params, gen_objective), **CLOSE
    )
    np.testing.assert_allclose(
        metrics["class_loss"], class_loss(discriminate(before.disc.params, real)[1]), rtol=1e-5
    )


def test_perceptual_loss_compares_features_of_the_updated_discriminator():
    """It uses the features of all stages; those of reals are constant for the gradient."""
    fields = {"size": 8, "widths": (6, 4), "blocks": (1, 1), "cardinality": (1, 1), "expansion": 1}
    networks = {"gen": unet.Generator(**fields), "disc": unet.Discriminator(**fields)}
    config = PLAIN.replace(**networks, penalties=Penalties(), perceptual=0.8)
    before, after, metrics, real = run_step(config)

    def discriminate(params, x):
        logits, variables = config.disc.apply(
            {"params": params}, x, train=True, mutable=["auxiliary"]
        )
        return logits, variables["auxiliary"]

    def sample_fakes(params, purpose):
        return config.gen.apply({"params": params}, sample_latents(before, purpose), train=True)

    fake = sample_fakes(before.gen.params, Purpose.DISC_Z)

    def disc_objective(params):
        return adversarial.logistic_disc(
            discriminate(params, real)[0], discriminate(params, fake)[0]
        )

    disc = gradient_step(before.disc.params, disc_objective)

    def logits_and_gap(params):
        logits, features = discriminate(disc, sample_fakes(params, Purpose.GEN_Z))
        real_features = discriminate(disc, real)[1]
        assert real_features["features_1"].shape == (N, 8, 8, 4)
        assert real_features["features_0"].shape == (N, 4, 4, 6)
        fine_gap, coarse_gap = (
            features[f"features_{i}"] - real_features[f"features_{i}"] for i in (1, 0)
        )
        return logits, jnp.abs(fine_gap).mean() + jnp.abs(coarse_gap).mean()

    def gen_objective(params):
        logits, gap = logits_and_gap(params)
        return adversarial.non_saturating_gen(None, logits) + 0.8 * gap

    small.assert_trees_close(after.disc.params, disc, **CLOSE)
    small.assert_trees_close(
        after.gen.params, gradient_step(before.gen.params, gen_objective), **CLOSE
    )
    np.testing.assert_allclose(
        metrics["perceptual"], logits_and_gap(before.gen.params)[1], rtol=1e-5
    )


def test_path_length_is_a_separate_update_every_kth_step():
    config = PLAIN.replace(path_length=0.5, path_length_every=3)
    before, after, metrics, _ = run_step(config, step=1)  # not due
    assert (metrics["path_length"], after.mean_path) == (0, 0)
    before, after, metrics, _ = run_step(config, step=2)
    rate = RATE * 3 / 4  # for lazy updates, appendix B of 1912.04958
    with_lazy_rate = PLAIN.replace(gen_opt=Optimizer("sgd", lr=rate, b1=0.0))
    _, after_gen_update, _, _ = run_step(with_lazy_rate, step=2)
    z = sample_latents(before, Purpose.PATH_LENGTH)

    def penalty(params):
        def images(offset):
            variables = {"params": params, "perturbations": {"w": offset}}
            return config.gen.apply(variables, z, train=True)

        noise_keys = step_keys(before, Purpose.PATH_LENGTH, 1)
        return path_length.path_length(images, jnp.zeros((N, 2, 6)), noise_keys, 0.0)

    expected = gradient_step(
        after_gen_update.gen.params, lambda params: 3 * 0.5 * penalty(params)[0], rate
    )
    small.assert_trees_close(after.gen.params, expected, **CLOSE)
    value, mean = penalty(after_gen_update.gen.params)
    np.testing.assert_allclose(metrics["path_length"], value, rtol=1e-5)
    np.testing.assert_allclose((after.mean_path, metrics["mean_path"]), mean, rtol=1e-5)


def test_devices_agree_with_all_terms_together():
    config = PLAIN.replace(
        disc=small.WithClassHead(),
        augment=Augment(blit=1.0, color=1.0, adaptive=True, p=0.5, diffaugment=("cutout",)),
        path_length=0.5,
        path_length_every=2,
        data=ImageData("digits", "all", labels=True),
        batch_size=16,
        n_critic=2,
        steps=3,
    )
    (one, metrics), (two, metrics_two) = small.train_state(config), small.train_state(config, 2)
    # SGD does not amplify rounding errors of 1e-7.
    small.assert_trees_close(two, one, rtol=1e-4, atol=1e-5)
    small.assert_trees_close(metrics_two, metrics, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augment": Augment(color=1.5, p=0.1)}, "^augment.color must be .* got 1.5$"),
        ({"augment": Augment(blit=1.0)}, "^augment.p must be .* got 0.0$"),
        ({"augment": Augment(adaptive=True)}, "^augment.adaptive must be .* got True$"),
        (
            {"augment": Augment(diffaugment=("cutout", "cutout"))},
            "^augment.diffaugment must be different",
        ),
        (
            {"gen": mlp.Generator(shape=(8, 8, 1)), "path_length": 2.0},
            "^path_length must be .* got 2.0$",
        ),
        ({"path_length_every": 0}, "^path_length_every must be .* got 0$"),
    ],
)
def test_invalid_configs_are_rejected(changes, message):
    with pytest.raises(UserError, match=message):
        validate(PLAIN.replace(**changes))


def test_packs_train_on_one_and_two_devices():
    config = PLAIN.replace(
        disc=PacGAN(mlp.Discriminator(widths=(6,)), pac_size=2), batch_size=16, steps=2
    )
    (one, _), (two, _) = small.train_state(config), small.train_state(config, 2)
    small.assert_trees_close(two, one, rtol=1e-4, atol=1e-5)

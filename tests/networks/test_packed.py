"""PacGAN: packs of examples, parameters, configs and training."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Penalties, differences, serialization
from gan_jax.core import command_line, keys
from gan_jax.core.errors import UserError
from gan_jax.data.batch import Batch
from gan_jax.networks import dcgan, interface, layers, mlp, wavegan
from gan_jax.networks.pacgan import PacGAN
from gan_jax.training.state import init_state
from gan_jax.training.step import make_train_step
from tests.helpers import small

KEY = jax.random.key(0)
INNER = mlp.Discriminator(widths=(8,), norm="batch", last_bias=False)


class Identity(interface.Discriminator):
    """Discriminator that returns its input."""

    def __call__(self, x, cond=None, *, train):
        assert cond is None
        assert train
        return x


@pytest.mark.parametrize(("shape", "pac_size"), [((6, 4, 5, 3), 2), ((6, 4, 5, 3), 3), ((6, 2), 3)])
def test_packs_join_consecutive_examples(shape, pac_size):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    packs = PacGAN(Identity(), pac_size).apply({}, jnp.asarray(x), train=True)
    expected = [
        np.concatenate([x[pac_size * i + j] for j in range(pac_size)], -1)
        for i in range(6 // pac_size)
    ]
    np.testing.assert_array_equal(packs, expected)


@pytest.mark.parametrize("inner", [INNER, dcgan.Discriminator(28, width=2, norm="none")])
def test_a_pack_of_one_equals_the_example(inner):
    x = jax.random.normal(KEY, (4, 28, 28, 1))
    variables = inner.init(KEY, x, train=False)
    wrapped = {name: {"disc": tree} for name, tree in variables.items()}
    logits = PacGAN(inner, 1).apply(wrapped, x, train=False)
    np.testing.assert_array_equal(logits, inner.apply(variables, x, train=False))


def test_a_network_with_rng_receives_the_first_key_of_a_pack():
    audio_disc = wavegan.Discriminator(length=64, width=2, stages=2)
    packed, example_keys = PacGAN(audio_disc, 2), keys.example_keys(KEY, 6)
    assert (packed.needs_rng, PacGAN(INNER, 2).needs_rng) == (True, False)
    x = jax.random.normal(KEY, (6, 64, 1))
    variables = packed.init(KEY, x, train=True)
    inner = {"params": variables["params"]["disc"]}
    joined = jnp.moveaxis(x.reshape(3, 2, 64), 1, 2)
    expected = audio_disc.apply(inner, joined, None, example_keys[::2], train=True)
    np.testing.assert_array_equal(
        packed.apply(variables, x, None, example_keys, train=True), expected
    )
    assert (packed.apply(variables, x, train=True) != expected).any()


def test_only_the_first_layer_is_wider():
    def shapes(module):
        x = jnp.zeros((4, 28, 28, 1))
        params = jax.eval_shape(lambda: module.init(KEY, x, train=True))["params"]
        return {path: leaf.shape for path, leaf in jax.tree.leaves_with_path(params)}

    inner = dcgan.Discriminator(28, width=2)
    single, double = (list(shapes(PacGAN(inner, pac_size)).values()) for pac_size in (1, 2))
    assert len(single) == len(double)
    assert [(a, b) for a, b in zip(single, double, strict=True) if a != b] == [
        ((4, 4, 1, 2), (4, 4, 2, 2))
    ]


@pytest.mark.parametrize(
    ("pac_size", "cond", "message"),
    [
        (4, None, "pac_size .* 6 examples, got 4"),
        (0, None, "pac_size .* got 0"),
        (2, jnp.zeros(6, jnp.int32), "cond .* got labels"),
    ],
)
def test_invalid_packs_and_labels_are_rejected(pac_size, cond, message):
    with pytest.raises(ValueError, match=message):
        PacGAN(INNER, pac_size).init(KEY, jnp.zeros((6, 2)), cond, train=True)


def test_on_axis_applies_to_the_inner_discriminator():
    assert layers.on_axis(PacGAN(INNER, 2), "devices") == PacGAN(INNER.clone(axis="devices"), 2)
    assert layers.on_axis(PacGAN(INNER, 2), None) == PacGAN(INNER, 2)


CONFIG = small.config(disc=PacGAN(INNER, 2), penalties=Penalties())


def test_config_and_flags(monkeypatch):
    assert serialization.loads(serialization.dumps(CONFIG)) == CONFIG
    flags = ["--disc.pac_size", "4", "--disc.disc.widths", "9", "7"]
    monkeypatch.setattr(sys, "argv", ["command", *flags])
    changed = command_line.parse(CONFIG)
    assert changed == CONFIG.replace(disc=PacGAN(INNER.clone(widths=(9, 7)), 4))
    assert serialization.loads(serialization.dumps(changed)) == changed
    assert differences(CONFIG, changed) == {
        "disc.pac_size": (2, 4),
        "disc.disc.widths": ((8,), (9, 7)),
    }


def test_logits_on_two_devices_equal_those_on_one():
    """The packs are the same, and batch norm uses those of both devices."""
    x, packed = jax.random.normal(KEY, (8, 3)), PacGAN(INNER, 2)
    variables = jax.jit(lambda: packed.init(KEY, x, train=True))()

    def logits(x, axis=None):
        network = layers.on_axis(packed, axis)
        return network.apply(variables, x, train=True, mutable="batch_stats")[0]

    sharded = jax.pmap(lambda x: logits(x, "devices"), "devices", devices=jax.local_devices()[:2])
    # Sums in another order.
    np.testing.assert_allclose(
        sharded(x.reshape(2, 4, 3)).reshape(-1), jax.jit(logits)(x), rtol=1e-5, atol=1e-6
    )


def test_a_train_step_accepts_packs():
    batch = Batch(jnp.zeros((2, 16, 8, 8, 1)))
    state = jax.eval_shape(lambda: init_state(CONFIG, keys.root_key(0), Batch(batch.real[0])))
    after, metrics = jax.eval_shape(make_train_step(CONFIG), state, batch)
    assert after == state
    assert {row.shape for row in metrics.values()} == {()}


@pytest.mark.parametrize(
    ("pac_size", "devices", "message"),
    [
        (3, 1, "batch_size must be a multiple of 3, the pack size, got 16"),
        (4, 8, "batch_size must be a multiple of 32, the pack size times 8 devices, got 16"),
        (0, 1, "the pack size of disc must be at least 1, got 0"),
    ],
)
def test_a_batch_must_have_complete_packs(pac_size, devices, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        small.train_state(small.config(disc=PacGAN(INNER, pac_size)), devices)

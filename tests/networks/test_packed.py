"""Packs of examples, as PacGAN has them: what the network inside sees, and a run of it."""

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
INSIDE = mlp.Discriminator(widths=(8,), norm="batch", last_bias=False)


class Identity(interface.Discriminator):
    """Of what it is given."""

    def __call__(self, x, cond=None, *, train):
        assert cond is None
        assert train
        return x


@pytest.mark.parametrize(("shape", "pack"), [((6, 4, 5, 3), 2), ((6, 4, 5, 3), 3), ((6, 2), 3)])
def test_packs_join_examples_that_follow_one_another(shape, pack):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    packs = PacGAN(Identity(), pack).apply({}, jnp.asarray(x), train=True)
    expected = [
        np.concatenate([x[pack * i + j] for j in range(pack)], -1) for i in range(6 // pack)
    ]
    np.testing.assert_array_equal(packs, expected)


@pytest.mark.parametrize("inside", [INSIDE, dcgan.Discriminator(28, width=2, norm="none")])
def test_a_pack_of_one_is_the_example(inside):
    x = jax.random.normal(KEY, (4, 28, 28, 1))
    variables = inside.init(KEY, x, train=False)
    wrapped = {name: {"disc": tree} for name, tree in variables.items()}
    found = PacGAN(inside, 1).apply(wrapped, x, train=False)
    np.testing.assert_array_equal(found, inside.apply(variables, x, train=False))


def test_a_network_that_draws_is_given_a_packs_first_key():
    sounds = wavegan.Discriminator(length=64, width=2, stages=2)
    packed, own = PacGAN(sounds, 2), keys.example_keys(KEY, 6)
    assert (packed.needs_rng, PacGAN(INSIDE, 2).needs_rng) == (True, False)
    x = jax.random.normal(KEY, (6, 64, 1))
    variables = packed.init(KEY, x, train=True)
    inside = {"params": variables["params"]["disc"]}
    together = jnp.moveaxis(x.reshape(3, 2, 64), 1, 2)
    expected = sounds.apply(inside, together, None, own[::2], train=True)
    np.testing.assert_array_equal(packed.apply(variables, x, None, own, train=True), expected)
    assert (packed.apply(variables, x, train=True) != expected).any()


def test_only_the_first_layer_is_wider():
    def shapes(module):
        x = jnp.zeros((4, 28, 28, 1))
        params = jax.eval_shape(lambda: module.init(KEY, x, train=True))["params"]
        return {path: leaf.shape for path, leaf in jax.tree.leaves_with_path(params)}

    inside = dcgan.Discriminator(28, width=2)
    one, two = (list(shapes(PacGAN(inside, pack)).values()) for pack in (1, 2))
    assert len(one) == len(two)
    assert [(a, b) for a, b in zip(one, two, strict=True) if a != b] == [
        ((4, 4, 1, 2), (4, 4, 2, 2))
    ]


@pytest.mark.parametrize(
    ("pack", "cond", "said"),
    [
        (4, None, "pac_size .* 6 examples, got 4"),
        (0, None, "pac_size .* got 0"),
        (2, jnp.zeros(6, jnp.int32), "cond .* got labels"),
    ],
)
def test_what_does_not_fit_is_refused(pack, cond, said):
    with pytest.raises(ValueError, match=said):
        PacGAN(INSIDE, pack).init(KEY, jnp.zeros((6, 2)), cond, train=True)


def test_the_network_inside_works_over_the_device_axis():
    assert layers.on_axis(PacGAN(INSIDE, 2), "devices") == PacGAN(INSIDE.clone(axis="devices"), 2)
    assert layers.on_axis(PacGAN(INSIDE, 2), None) == PacGAN(INSIDE, 2)


CONFIG = small.config(disc=PacGAN(INSIDE, 2), penalties=Penalties())


def test_config_and_flags(monkeypatch):
    assert serialization.loads(serialization.dumps(CONFIG)) == CONFIG
    flags = ["--disc.pac_size", "4", "--disc.disc.widths", "9", "7"]
    monkeypatch.setattr(sys, "argv", ["command", *flags])
    changed = command_line.parse(CONFIG)
    assert changed == CONFIG.replace(disc=PacGAN(INSIDE.clone(widths=(9, 7)), 4))
    assert serialization.loads(serialization.dumps(changed)) == changed
    assert differences(CONFIG, changed) == {
        "disc.pac_size": (2, 4),
        "disc.disc.widths": ((8,), (9, 7)),
    }


def test_two_devices_judge_as_one():
    """The same packs, and batch norm over those of both."""
    x, packed = jax.random.normal(KEY, (8, 3)), PacGAN(INSIDE, 2)
    variables = jax.jit(lambda: packed.init(KEY, x, train=True))()

    def logits(x, axis=None):
        network = layers.on_axis(packed, axis)
        return network.apply(variables, x, train=True, mutable="batch_stats")[0]

    two = jax.pmap(lambda x: logits(x, "devices"), "devices", devices=jax.local_devices()[:2])
    # Sums in another order.
    np.testing.assert_allclose(
        two(x.reshape(2, 4, 3)).reshape(-1), jax.jit(logits)(x), rtol=1e-5, atol=1e-6
    )


def test_a_step_takes_packs():
    batch = Batch(jnp.zeros((2, 16, 8, 8, 1)))
    state = jax.eval_shape(lambda: init_state(CONFIG, keys.root_key(0), Batch(batch.real[0])))
    after, metrics = jax.eval_shape(make_train_step(CONFIG), state, batch)
    assert after == state
    assert {row.shape for row in metrics.values()} == {()}


@pytest.mark.parametrize(
    ("pack", "devices", "said"),
    [
        (3, 1, "batch_size must be a multiple of 3, the pack size, got 16"),
        (4, 8, "batch_size must be a multiple of 32, the pack size times 8 devices, got 16"),
        (0, 1, "the pack size of disc must be at least 1, got 0"),
    ],
)
def test_a_batch_is_made_of_whole_packs(pack, devices, said):
    with pytest.raises(UserError, match=f"^{said}$"):
        small.train_state(small.config(disc=PacGAN(INSIDE, pack)), devices)

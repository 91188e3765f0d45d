"""Randomness: keys by purpose, step and global example index, and the law of the latents."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.core.keys import Purpose

ROOT = jax.random.key(11)
LAWS = ["normal", "uniform"]


def bits(found):
    return np.asarray(jax.random.key_data(found))


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_devices_together_have_the_keys_of_one(devices):
    n = 16
    found = jax.pmap(
        lambda _: jax.random.key_data(keys.example_keys(ROOT, n // devices, "devices")),
        axis_name="devices",
        devices=jax.local_devices()[:devices],
    )(jnp.arange(devices))
    np.testing.assert_array_equal(found.reshape(n, -1), bits(keys.example_keys(ROOT, n)))


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_samples_have_a_key_of_their_own(seed):
    expected = keys.step_key(keys.root_key(seed), Purpose.SAMPLE, 0)
    np.testing.assert_array_equal(bits(keys.sample_key(seed)), bits(expected))


@pytest.mark.parametrize("seed", [-1, 2**32, 2**40, 2**70])
def test_seeds_that_jax_would_fold_into_another_are_refused(seed):
    with pytest.raises(UserError, match=f"seed must be from 0 to 4294967295, got {seed}"):
        keys.sample_key(seed)


def test_an_example_has_its_key_in_any_batch():
    np.testing.assert_array_equal(
        bits(keys.example_keys(ROOT, 64))[:5], bits(keys.example_keys(ROOT, 5))
    )


def test_keys_do_not_collide():
    places = list(itertools.product(Purpose, (0, 1, 2, 1000), (0, 1, 4)))
    purposes, steps, iterations = map(jnp.asarray, zip(*places, strict=True))
    of_step = jax.vmap(lambda *at: keys.step_key(ROOT, *at))(purposes, steps, iterations)
    found = jax.vmap(lambda key: keys.example_keys(key, 8))(of_step)
    every = np.concatenate([bits(of_step), bits(found).reshape(-1, 2), bits(ROOT)[None]])
    # 64-bit keys: for some 800 of them to collide by chance takes 1e14 tries.
    assert len(np.unique(every, axis=0)) == len(places) * 9 + 1


def test_purposes_are_frozen():
    # Published runs hang on the numbers: add to the end, change none.
    assert [purpose.name for purpose in sorted(Purpose)][:7] == [
        *("INIT_GEN", "INIT_DISC", "DATA_ORDER", "DISC_Z", "PENALTY", "GEN_Z", "GRID")
    ]
    assert sorted(Purpose) == list(range(len(Purpose)))


def test_step_key_by_hand():
    by_hand = ROOT
    for number in (Purpose.GEN_Z, 7, 2):
        by_hand = jax.random.fold_in(by_hand, number)
    np.testing.assert_array_equal(
        bits(keys.step_key(ROOT, Purpose.GEN_Z, jnp.int32(7), 2)), bits(by_hand)
    )
    np.testing.assert_array_equal(
        bits(keys.step_key(ROOT, Purpose.GEN_Z, 7)), bits(keys.step_key(ROOT, Purpose.GEN_Z, 7, 0))
    )


@pytest.mark.parametrize(
    ("law", "variance", "fourth"), [("normal", 1, 3), ("uniform", 1 / 3, 1 / 5)]
)
def test_the_law_of_the_latents(law, variance, fourth):
    z = np.asarray(keys.latents(keys.example_keys(ROOT, 4000), 50, law), np.float64)
    assert z.shape == (4000, 50)
    # Five standard errors of a mean over 200,000 draws, from the law's own moments.
    for power, moment, next_moment in ((1, 0, variance), (2, variance, fourth)):
        error = np.sqrt((next_moment - moment**2) / z.size)
        np.testing.assert_allclose((z**power).mean(), moment, atol=5 * error)
    if law == "uniform":
        assert -1 <= z.min() < -0.999
        assert 0.999 < z.max() < 1
    # Neither dimensions nor examples go together: five standard errors of a correlation, once over
    # 49 x 4000 and once over 50 x 3999 pairs.
    for other in (z[:, 1:] * z[:, :-1], z[1:] * z[:-1]):
        assert abs(other.mean()) < 5 * variance / np.sqrt(other.size)


@pytest.mark.parametrize("law", LAWS)
def test_a_latent_depends_on_its_key_alone(law):
    many = keys.latents(keys.example_keys(ROOT, 33), 7, law)
    assert many.dtype == jnp.float32
    few = keys.latents(keys.example_keys(ROOT, 33)[20:22], 7, law)
    np.testing.assert_array_equal(many[20:22], few)

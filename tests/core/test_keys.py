"""Keys by purpose, step and global example index, and the distribution of the latents."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.core.keys import Purpose

ROOT = jax.random.key(11)
DISTRIBUTIONS = ["normal", "uniform"]


def bits(key_array):
    return np.asarray(jax.random.key_data(key_array))


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_devices_share_the_example_keys_of_one_device(devices):
    n = 16
    key_bits = jax.pmap(
        lambda _: jax.random.key_data(keys.example_keys(ROOT, n // devices, "devices")),
        axis_name="devices",
        devices=jax.local_devices()[:devices],
    )(jnp.arange(devices))
    np.testing.assert_array_equal(key_bits.reshape(n, -1), bits(keys.example_keys(ROOT, n)))


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_sample_key_is_the_step_key_of_purpose_sample(seed):
    expected = keys.step_key(keys.root_key(seed), Purpose.SAMPLE, 0)
    np.testing.assert_array_equal(bits(keys.sample_key(seed)), bits(expected))


@pytest.mark.parametrize("seed", [-1, 2**32, 2**40, 2**70])
def test_seeds_that_jax_would_wrap_are_rejected(seed):
    with pytest.raises(UserError, match=f"seed must be from 0 to 4294967295, got {seed}"):
        keys.sample_key(seed)


def test_example_key_does_not_depend_on_the_batch_size():
    np.testing.assert_array_equal(
        bits(keys.example_keys(ROOT, 64))[:5], bits(keys.example_keys(ROOT, 5))
    )


def test_keys_do_not_collide():
    arguments = list(itertools.product(Purpose, (0, 1, 2, 1000), (0, 1, 4)))
    purposes, steps, iterations = map(jnp.asarray, zip(*arguments, strict=True))
    step_keys = jax.vmap(lambda *args: keys.step_key(ROOT, *args))(purposes, steps, iterations)
    example_keys = jax.vmap(lambda key: keys.example_keys(key, 8))(step_keys)
    all_bits = np.concatenate(
        [bits(step_keys), bits(example_keys).reshape(-1, 2), bits(ROOT)[None]]
    )
    # About 1300 random 64-bit keys collide with a probability of 5e-14.
    assert len(np.unique(all_bits, axis=0)) == len(arguments) * 9 + 1


def test_purposes_keep_their_numbers():
    # Published runs depend on the numbers: append only.
    assert [purpose.name for purpose in sorted(Purpose)][:7] == [
        *("INIT_GEN", "INIT_DISC", "DATA_ORDER", "DISC_Z", "PENALTY", "GEN_Z", "GRID")
    ]
    assert sorted(Purpose) == list(range(len(Purpose)))


def test_step_key_folds_in_purpose_step_and_iteration():
    expected = ROOT
    for number in (Purpose.GEN_Z, 7, 2):
        expected = jax.random.fold_in(expected, number)
    np.testing.assert_array_equal(
        bits(keys.step_key(ROOT, Purpose.GEN_Z, jnp.int32(7), 2)), bits(expected)
    )
    np.testing.assert_array_equal(
        bits(keys.step_key(ROOT, Purpose.GEN_Z, 7)), bits(keys.step_key(ROOT, Purpose.GEN_Z, 7, 0))
    )


@pytest.mark.parametrize(
    ("distribution", "variance", "fourth"), [("normal", 1, 3), ("uniform", 1 / 3, 1 / 5)]
)
def test_distribution_of_the_latents(distribution, variance, fourth):
    z = np.asarray(keys.latents(keys.example_keys(ROOT, 4000), 50, distribution), np.float64)
    assert z.shape == (4000, 50)
    # Five standard errors of a mean over 200,000 samples, from the exact moments.
    for power, moment, next_moment in ((1, 0, variance), (2, variance, fourth)):
        error = np.sqrt((next_moment - moment**2) / z.size)
        np.testing.assert_allclose((z**power).mean(), moment, atol=5 * error)
    if distribution == "uniform":
        assert -1 <= z.min() < -0.999
        assert 0.999 < z.max() < 1
    # Neither dimensions nor examples are correlated: five standard errors of a correlation, over
    # 49 x 4000 and over 50 x 3999 pairs.
    for other in (z[:, 1:] * z[:, :-1], z[1:] * z[:-1]):
        assert abs(other.mean()) < 5 * variance / np.sqrt(other.size)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_latent_depends_only_on_its_key(distribution):
    batch = keys.latents(keys.example_keys(ROOT, 33), 7, distribution)
    assert batch.dtype == jnp.float32
    part = keys.latents(keys.example_keys(ROOT, 33)[20:22], 7, distribution)
    np.testing.assert_array_equal(batch[20:22], part)

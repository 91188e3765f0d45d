"""WaveGAN's phase shuffle against a plain one, and where its shifts come from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.networks import wavegan


def test_phase_shuffle_is_a_plain_shift_with_reflection():
    x = np.random.default_rng(0).normal(size=(7, 9, 3)).astype(np.float32)
    shift = np.arange(-3, 4)
    found = wavegan.phase_shuffle(jnp.asarray(x), jnp.asarray(shift), 3)
    for row, by, made in zip(x, shift, found, strict=True):
        left, right = max(by, 0), max(-by, 0)
        padded = np.pad(row, ((left, right), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(made, padded[right : right + 9])


def test_its_gradient_is_that_of_a_plain_shift():
    """Each place's gradient is how often it is seen: twice where it is reflected, or not at all."""
    x = jnp.ones((1, 6, 1))
    grad = jax.grad(lambda x: wavegan.phase_shuffle(x, jnp.array([2]), 2).sum())(x)
    np.testing.assert_array_equal(grad[0, :, 0], [1, 2, 2, 1, 0, 0])


def critic(**fields):
    disc = wavegan.Discriminator(length=64, width=2, stages=2, **fields)
    x = jax.random.normal(jax.random.key(0), (6, 64, 1))
    return disc, disc.init(jax.random.key(1), x, train=True), x


def test_an_examples_shifts_are_of_its_own_key():
    disc, variables, x = critic()
    own = keys.example_keys(jax.random.key(2), 6)
    whole = disc.apply(variables, x, None, own, train=True)
    part = disc.apply(variables, x[2:4], None, own[2:4], train=True)
    np.testing.assert_allclose(whole[2:4], part, rtol=1e-5)  # products in another order
    others = disc.apply(variables, x, None, jnp.roll(own, 1), train=True)
    assert np.abs(np.asarray(whole - others)).max() > 1e-3


def test_shifts_are_uniform(monkeypatch):
    seen = []
    plain = wavegan.phase_shuffle
    monkeypatch.setattr(
        wavegan, "phase_shuffle", lambda y, shift, most: seen.append(shift) or plain(y, shift, most)
    )
    disc, variables, x = critic()
    disc.apply(
        variables,
        jnp.tile(x, (100, 1, 1)),
        None,
        keys.example_keys(jax.random.key(3), 600),
        train=True,
    )
    values, counts = np.unique(seen[0], return_counts=True)
    np.testing.assert_array_equal(values, np.arange(-2, 3))
    assert np.abs(counts - 120).max() < 5 * np.sqrt(600 * 0.2 * 0.8)  # five standard deviations


def test_without_keys_or_reach_nothing_is_shifted():
    disc, variables, x = critic()
    still = critic(phase_shuffle=0)[0]
    assert (disc.needs_rng, still.needs_rng) == (True, False)
    own = keys.example_keys(jax.random.key(2), 6)
    np.testing.assert_array_equal(
        disc.apply(variables, x, train=True), still.apply(variables, x, None, own, train=True)
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"length": 65}, "length .* got 65"),
        ({"length": 16}, "length .* got 16"),
        ({"length": 128}, "128 samples, got 64"),
        ({"phase_shuffle": 16}, "phase_shuffle .* below 16 .* got 16"),
    ],
)
def test_what_does_not_fit_is_refused(fields, says):
    disc, _, x = critic()
    own, wrong = keys.example_keys(jax.random.key(2), 6), disc.clone(**fields)
    with pytest.raises(ValueError, match=says):
        jax.eval_shape(lambda: wrong.init(jax.random.key(1), x, None, own, train=True))

"""WaveGAN's phase shuffle against a plain one, and the keys of its shifts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.networks import wavegan


def test_phase_shuffle_is_a_plain_shift_with_reflection():
    x = np.random.default_rng(0).normal(size=(7, 9, 3)).astype(np.float32)
    shift = np.arange(-3, 4)
    shuffled = wavegan.phase_shuffle(jnp.asarray(x), jnp.asarray(shift), 3)
    for row, offset, output in zip(x, shift, shuffled, strict=True):
        left, right = max(offset, 0), max(-offset, 0)
        padded = np.pad(row, ((left, right), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(output, padded[right : right + 9])


def test_the_gradient_of_phase_shuffle_is_that_of_a_plain_shift():
    """The gradient of a position is its count in the output: 2 where reflected, or 0."""
    x = jnp.ones((1, 6, 1))
    grad = jax.grad(lambda x: wavegan.phase_shuffle(x, jnp.array([2]), 2).sum())(x)
    np.testing.assert_array_equal(grad[0, :, 0], [1, 2, 2, 1, 0, 0])


def make_discriminator(**fields):
    disc = wavegan.Discriminator(length=64, width=2, stages=2, **fields)
    x = jax.random.normal(jax.random.key(0), (6, 64, 1))
    return disc, disc.init(jax.random.key(1), x, train=True), x


def test_shifts_depend_only_on_the_examples_key():
    disc, variables, x = make_discriminator()
    example_keys = keys.example_keys(jax.random.key(2), 6)
    full = disc.apply(variables, x, None, example_keys, train=True)
    part = disc.apply(variables, x[2:4], None, example_keys[2:4], train=True)
    np.testing.assert_allclose(full[2:4], part, rtol=1e-5)  # products in another order
    others = disc.apply(variables, x, None, jnp.roll(example_keys, 1), train=True)
    assert np.abs(np.asarray(full - others)).max() > 1e-3


def test_shifts_are_uniform(monkeypatch):
    shifts = []
    original = wavegan.phase_shuffle
    monkeypatch.setattr(
        wavegan,
        "phase_shuffle",
        lambda y, shift, max_shift: shifts.append(shift) or original(y, shift, max_shift),
    )
    disc, variables, x = make_discriminator()
    disc.apply(
        variables,
        jnp.tile(x, (100, 1, 1)),
        None,
        keys.example_keys(jax.random.key(3), 600),
        train=True,
    )
    values, counts = np.unique(shifts[0], return_counts=True)
    np.testing.assert_array_equal(values, np.arange(-2, 3))
    assert np.abs(counts - 120).max() < 5 * np.sqrt(600 * 0.2 * 0.8)  # five standard deviations


def test_without_keys_or_shifts_the_output_is_deterministic():
    disc, variables, x = make_discriminator()
    unshifted = make_discriminator(phase_shuffle=0)[0]
    assert (disc.needs_rng, unshifted.needs_rng) == (True, False)
    example_keys = keys.example_keys(jax.random.key(2), 6)
    np.testing.assert_array_equal(
        disc.apply(variables, x, train=True),
        unshifted.apply(variables, x, None, example_keys, train=True),
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"length": 65}, "length .* got 65"),
        ({"length": 16}, "length .* got 16"),
        ({"length": 128}, "128 samples, got 64"),
        ({"phase_shuffle": 16}, "phase_shuffle .* below 16 .* got 16"),
    ],
)
def test_invalid_lengths_and_shifts_are_rejected(fields, message):
    disc, _, x = make_discriminator()
    example_keys, invalid = keys.example_keys(jax.random.key(2), 6), disc.clone(**fields)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: invalid.init(jax.random.key(1), x, None, example_keys, train=True))

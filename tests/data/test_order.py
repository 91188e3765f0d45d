"""Example order: permutations, nearly uniform, and pure functions of (key, step)."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax
from scipy import stats

from gan_jax.core.keys import Purpose
from gan_jax.data import order

ROOT = jax.random.key(7)
# The keys are fixed, so each test always passes or always fails. With two dozen chi-square tests of
# a uniform distribution, one in forty sets of keys would give a p-value below 1e-3.
RARE = 1e-3


permute = jax.jit(order.permuted_positions, static_argnums=2)
indices = jax.jit(order.indices, static_argnums=(2, 3, 4))


@functools.partial(jax.jit, static_argnums=(0, 1))
def permutations(count, size, positions):
    """Permute positions with each of `count` keys, [count, positions]."""
    keys = jax.random.split(ROOT, count)
    return jax.vmap(lambda key: order.permuted_positions(key, positions, size))(keys)


def p_value(counts):
    """Return the probability that uniform counts are at least this uneven."""
    return stats.chisquare(counts).pvalue


@settings(max_examples=10, deadline=None)
@given(size=st.integers(1, 2000), seed=st.integers(0, 2**32 - 1))
@example(size=1, seed=0)
@example(size=2, seed=1)
@example(size=3, seed=2)
@example(size=5, seed=3)
@example(size=64, seed=4)
@example(size=1000, seed=5)
@example(size=1797, seed=6)
def test_permute_is_a_bijection(size, seed):
    # Without jit and with one shape, no size requires a compilation.
    positions = np.minimum(np.arange(2000), size - 1).astype(np.uint32)
    with jax.disable_jit():
        permuted = order.permuted_positions(jax.random.key(seed), jnp.asarray(positions), size)
    assert permuted.dtype == jnp.uint32
    np.testing.assert_array_equal(np.sort(np.asarray(permuted)[:size]), np.arange(size))


def test_permute_of_a_large_set_is_a_bijection():
    permuted = permute(ROOT, jnp.arange(60_000, dtype=jnp.uint32), 60_000)
    np.testing.assert_array_equal(np.sort(permuted), np.arange(60_000))


def test_permute_of_a_scalar_equals_that_of_an_array():
    array = permute(ROOT, jnp.arange(64, dtype=jnp.uint32), 64)
    scalar = permute(ROOT, jnp.uint32(42), 64)
    assert scalar.shape == ()
    assert scalar == array[42]


def test_permute_of_the_largest_set():
    positions = jnp.array([0, 1, 2**30, 2**31 - 2], jnp.uint32)
    permuted = np.asarray(permute(ROOT, positions, 2**31 - 1))
    assert len(set(permuted)) == 4
    assert permuted.max() < 2**31 - 1


@pytest.mark.parametrize(("size", "permutation_count"), [(3, 6), (4, 24), (5, 120)])
def test_every_permutation_of_a_small_set_is_equally_likely(size, permutation_count):
    # With six rounds (size 4), or without the coin (size 5), the p-value would be below 1e-5.
    sampled = np.asarray(permutations(24_000, size, jnp.arange(size, dtype=jnp.uint32)))
    counts = np.unique(sampled, axis=0, return_counts=True)[1]
    assert len(counts) == permutation_count
    assert p_value(counts) > RARE


@pytest.mark.parametrize("size", [2, 5, 64, 1000])
def test_a_position_is_mapped_anywhere(size):
    positions = jnp.array([0, size // 2, size - 1], jnp.uint32)
    permuted = np.asarray(permutations(20_000, size, positions))
    for column in permuted.T:
        assert p_value(np.bincount(column, minlength=size)) > RARE


@pytest.mark.parametrize("size", [5, 16, 17])
def test_neighbors_are_mapped_independently(size):
    permuted = np.asarray(permutations(40_000, size, jnp.array([2, 3], jnp.uint32))).astype(int)
    pairs = np.bincount(permuted @ [size, 1], minlength=size**2).reshape(size, size)
    assert not np.trace(pairs)
    assert p_value(pairs[~np.eye(size, dtype=bool)]) > RARE


def test_epochs_are_independent():
    # Each step of 8 examples is one epoch: compare the first examples of consecutive epochs.
    steps = jnp.arange(20_000)
    first = jax.jit(jax.vmap(lambda step: order.indices(ROOT, step, 1, 8, 8)))(steps)[:, 0, 0]
    first = np.asarray(first)
    assert p_value(np.bincount(first[:-1] * 8 + first[1:], minlength=64)) > RARE


def test_keys_give_different_orders():
    step, keys = jnp.int32(0), jax.random.split(ROOT, 3)
    orders = [indices(key, step, 1, 64, 1797) for key in keys]
    matches = [(a == b).sum() for i, a in enumerate(orders) for b in orders[:i]]
    assert max(matches) <= 3  # of 64 positions, each equal by chance with probability 1/1797


CASES = [(1, 7, 7), (2, 5, 13), (1, 10, 3), (3, 8, 1), (2, 64, 1797)]


@pytest.mark.parametrize(("n_critic", "batch", "examples"), CASES)
def test_every_epoch_has_every_example_once(n_critic, batch, examples):
    steps = -(-4 * examples // (n_critic * batch))
    batches = [indices(ROOT, jnp.int32(t), n_critic, batch, examples) for t in range(steps)]
    assert batches[0].shape == (n_critic, batch)
    assert batches[0].dtype == jnp.int32
    epochs = np.asarray(batches).reshape(-1)[: 4 * examples].reshape(4, examples)
    np.testing.assert_array_equal(np.sort(epochs, 1), np.tile(np.arange(examples), (4, 1)))


@pytest.mark.parametrize("examples", [1797, 60_000, 2**31 - 1])
@pytest.mark.parametrize("step", [2**24 + 1, 2**25 + 77, 2**26 - 1])  # x 64: 2^30, 2^31, 2^32
def test_indices_of_late_steps_are_exact(step, examples):
    batch_indices = indices(ROOT, jnp.int32(step), 1, 64, examples)
    data_order = jax.random.fold_in(ROOT, Purpose.DATA_ORDER)
    for i in (0, 31, 63):
        epoch, position = divmod(step * 64 + i, examples)  # Python's integers do not overflow
        key = jax.random.fold_in(data_order, epoch)
        assert batch_indices[0, i] == permute(key, jnp.uint32(position), examples)


def test_indices_are_the_same_under_every_transformation():
    def run(step):
        return order.indices(ROOT, step, 2, 6, 20)

    steps = jnp.arange(4)
    with jax.disable_jit():
        expected = np.stack([run(step) for step in steps])
    results = {
        "jit": [jax.jit(run)(step) for step in steps],
        "vmap": jax.vmap(run)(steps),
        "scan": lax.scan(lambda _, step: (None, run(step)), None, steps)[1],
        "pmap": jax.pmap(run)(steps),
    }
    for rows in results.values():
        np.testing.assert_array_equal(np.asarray(rows), expected)


def test_members_of_a_population_have_their_solo_order():
    keys = jax.random.split(ROOT, 3)
    run = jax.jit(jax.vmap(lambda key: order.indices(key, jnp.int32(9), 1, 16, 50)))
    batched = run(keys)
    solo = [indices(key, jnp.int32(9), 1, 16, 50) for key in keys]
    np.testing.assert_array_equal(batched, np.stack(solo))


@pytest.mark.usefixtures("optimized")
def test_indices_are_cheap():
    @jax.jit
    def run(steps):
        def body(step, total):
            return total + order.indices(ROOT, step, 1, 64, 60_000).sum()

        return lax.fori_loop(0, steps, body, jnp.int32(0))

    run(1).block_until_ready()
    start = time.perf_counter()
    run(500).block_until_ready()
    # Measured: 10 microseconds. The bound is 100 times that, for a busy machine.
    assert (time.perf_counter() - start) / 500 < 1e-3

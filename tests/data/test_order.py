"""The order of examples: true permutations, near to uniform, and a pure function of (key, step)."""

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
# The keys are fixed, so a test passes always or never: with two dozen chi-squares, a p-value below
# 1e-3 would come up once in forty sets of keys were the law uniform.
RARE = 1e-3


permute = jax.jit(order.permuted_positions, static_argnums=2)
indices = jax.jit(order.indices, static_argnums=(2, 3, 4))


@functools.partial(jax.jit, static_argnums=(0, 1))
def permutations(count, size, places):
    """Where `count` keys' permutations send the places, [count, places]."""
    keys = jax.random.split(ROOT, count)
    return jax.vmap(lambda key: order.permuted_positions(key, places, size))(keys)


def p_value(counts):
    """How often uniform counts would be as uneven as these."""
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
    # Op by op on one shape: nothing is compiled anew for a size.
    places = np.minimum(np.arange(2000), size - 1).astype(np.uint32)
    with jax.disable_jit():
        found = order.permuted_positions(jax.random.key(seed), jnp.asarray(places), size)
    assert found.dtype == jnp.uint32
    np.testing.assert_array_equal(np.sort(np.asarray(found)[:size]), np.arange(size))


def test_permute_of_a_large_set_is_a_bijection():
    found = permute(ROOT, jnp.arange(60_000, dtype=jnp.uint32), 60_000)
    np.testing.assert_array_equal(np.sort(found), np.arange(60_000))


def test_permute_takes_a_scalar_as_it_takes_an_array():
    many = permute(ROOT, jnp.arange(64, dtype=jnp.uint32), 64)
    one = permute(ROOT, jnp.uint32(42), 64)
    assert one.shape == ()
    assert one == many[42]


def test_permute_of_the_widest_set():
    places = jnp.array([0, 1, 2**30, 2**31 - 2], jnp.uint32)
    found = np.asarray(permute(ROOT, places, 2**31 - 1))
    assert len(set(found)) == 4
    assert found.max() < 2**31 - 1


@pytest.mark.parametrize(("size", "all_of_them"), [(3, 6), (4, 24), (5, 120)])
def test_every_permutation_of_a_small_set_is_as_likely(size, all_of_them):
    # Six rounds (4 points), or no coin (5 points), would give a p-value below 1e-5 here.
    found = np.asarray(permutations(24_000, size, jnp.arange(size, dtype=jnp.uint32)))
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counts) == all_of_them
    assert p_value(counts) > RARE


@pytest.mark.parametrize("size", [2, 5, 64, 1000])
def test_a_place_goes_anywhere(size):
    places = jnp.array([0, size // 2, size - 1], jnp.uint32)
    found = np.asarray(permutations(20_000, size, places))
    for column in found.T:
        assert p_value(np.bincount(column, minlength=size)) > RARE


@pytest.mark.parametrize("size", [5, 16, 17])
def test_neighbours_go_apart_independently(size):
    found = np.asarray(permutations(40_000, size, jnp.array([2, 3], jnp.uint32))).astype(int)
    pairs = np.bincount(found @ [size, 1], minlength=size**2).reshape(size, size)
    assert not np.trace(pairs)
    assert p_value(pairs[~np.eye(size, dtype=bool)]) > RARE


def test_epochs_are_independent():
    # A step of 8 examples is an epoch here: where each epoch begins, against where the next does.
    steps = jnp.arange(20_000)
    first = jax.jit(jax.vmap(lambda step: order.indices(ROOT, step, 1, 8, 8)))(steps)[:, 0, 0]
    first = np.asarray(first)
    assert p_value(np.bincount(first[:-1] * 8 + first[1:], minlength=64)) > RARE


def test_keys_have_orders_of_their_own():
    step, far = jnp.int32(0), jax.random.split(ROOT, 3)
    found = [indices(key, step, 1, 64, 1797) for key in far]
    same = [(a == b).sum() for i, a in enumerate(found) for b in found[:i]]
    assert max(same) <= 3  # of 64 places, each the same by chance once in 1797


CASES = [(1, 7, 7), (2, 5, 13), (1, 10, 3), (3, 8, 1), (2, 64, 1797)]


@pytest.mark.parametrize(("n_critic", "batch", "examples"), CASES)
def test_every_epoch_has_every_example_once(n_critic, batch, examples):
    steps = -(-4 * examples // (n_critic * batch))
    found = [indices(ROOT, jnp.int32(t), n_critic, batch, examples) for t in range(steps)]
    assert found[0].shape == (n_critic, batch)
    assert found[0].dtype == jnp.int32
    epochs = np.asarray(found).reshape(-1)[: 4 * examples].reshape(4, examples)
    np.testing.assert_array_equal(np.sort(epochs, 1), np.tile(np.arange(examples), (4, 1)))


@pytest.mark.parametrize("examples", [1797, 60_000, 2**31 - 1])
@pytest.mark.parametrize("step", [2**24 + 1, 2**25 + 77, 2**26 - 1])  # x 64: 2^30, 2^31, 2^32
def test_indices_of_late_steps_are_exact(step, examples):
    found = indices(ROOT, jnp.int32(step), 1, 64, examples)
    data_order = jax.random.fold_in(ROOT, Purpose.DATA_ORDER)
    for i in (0, 31, 63):
        epoch, place = divmod(step * 64 + i, examples)  # Python's integers do not wrap
        key = jax.random.fold_in(data_order, epoch)
        assert found[0, i] == permute(key, jnp.uint32(place), examples)


def test_indices_are_the_same_under_every_transformation():
    def run(step):
        return order.indices(ROOT, step, 2, 6, 20)

    steps = jnp.arange(4)
    with jax.disable_jit():
        expected = np.stack([run(step) for step in steps])
    found = {
        "jit": [jax.jit(run)(step) for step in steps],
        "vmap": jax.vmap(run)(steps),
        "scan": lax.scan(lambda _, step: (None, run(step)), None, steps)[1],
        "pmap": jax.pmap(run)(steps),
    }
    for rows in found.values():
        np.testing.assert_array_equal(np.asarray(rows), expected)


def test_members_of_a_population_have_their_solo_order():
    keys = jax.random.split(ROOT, 3)
    run = jax.jit(jax.vmap(lambda key: order.indices(key, jnp.int32(9), 1, 16, 50)))
    together = run(keys)
    solo = [indices(key, jnp.int32(9), 1, 16, 50) for key in keys]
    np.testing.assert_array_equal(together, np.stack(solo))


@pytest.mark.usefixtures("optimized")
def test_indices_cost_next_to_nothing():
    @jax.jit
    def run(steps):
        def body(step, total):
            return total + order.indices(ROOT, step, 1, 64, 60_000).sum()

        return lax.fori_loop(0, steps, body, jnp.int32(0))

    run(1).block_until_ready()
    start = time.perf_counter()
    run(500).block_until_ready()
    # Measured: 10 microseconds. The bound is a hundred times that, for a machine in use.
    assert (time.perf_counter() - start) / 500 < 1e-3

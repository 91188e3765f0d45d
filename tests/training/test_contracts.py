"""Guarantees of a run in one process: chunks, devices, one compilation, precision."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Optimizer, Penalties
from gan_jax.data import sources
from gan_jax.losses import penalties
from gan_jax.networks import mlp
from gan_jax.training import loop, parallel, population_state
from gan_jax.training.initialize import initialize
from tests.helpers import small

pytestmark = pytest.mark.integration

for_every_kind = pytest.mark.parametrize("config", small.KINDS.values(), ids=small.KINDS)


@for_every_kind
def test_rerun_has_the_same_bits(config):
    state, metrics = small.train_state(config)
    small.clear_caches()
    again, metrics_again = small.train_state(config)
    small.assert_same_bits(state, again)
    chex.assert_trees_all_equal(metrics, metrics_again)


@pytest.mark.parametrize(
    ("config", "devices"),
    [(small.CONFIG, 1), (small.CONFIG, 2), (small.SOUNDS, 2), (small.TEXTS, 1)],
    ids=["images-1", "images-2", "sounds-2", "texts-1"],
)
def test_chunks_do_not_change_a_bit(config, devices):
    whole, metrics = small.train_state(config, devices)
    chunked, metrics_chunked = small.train_state(config, devices, chunks=(1, config.steps - 5, 4))
    small.assert_same_bits(whole, chunked)
    chex.assert_trees_all_equal(metrics, metrics_chunked)


@pytest.mark.parametrize(
    ("config", "lazy", "devices"),
    [
        pytest.param(small.CONFIG, 1, 2, id="images-1-2"),
        pytest.param(small.CONFIG, 2, 8, id="images-2-8"),
        pytest.param(small.SOUNDS, 1, 4, id="sounds-1-4"),
        *(
            small.nightly(small.CONFIG, lazy, devices, id=f"images-{lazy}-{devices}")
            for lazy, devices in ((1, 4), (1, 8), (2, 2), (2, 4))
        ),
    ],
)
def test_number_of_devices_does_not_change_the_state(config, lazy, devices):
    config = config.replace(steps=4, penalty_every=lazy)
    one, metrics_one = small.train_state(config)
    many, metrics_many = small.train_state(config, devices)
    # Sums over the batch have another order. Adam divides a rounding error of 1e-7 by its eps of
    # 1e-4 and applies 1e-3 of that, four times, and the players amplify it. 1e-4 leaves room for a
    # factor of 25, and is a fortieth of the largest change of a weight in four steps.
    small.assert_trees_close(many, one, rtol=1e-3, atol=1e-4)
    small.assert_trees_close(metrics_many, metrics_one, rtol=2e-3, atol=1e-5)


def test_devices_agree_with_labels_and_batch_norm_in_a_penalized_discriminator():
    sgd = Optimizer("sgd", lr=0.02, b1=0.0)
    config = small.config(
        gen=mlp.Generator(shape=(8, 8, 1), widths=(24,), norm="batch", classes=10),
        disc=mlp.Discriminator(widths=(24,), norm="batch", classes=10),
        data=dataclasses.replace(small.CONFIG.data, labels=True),
        loss="non_saturating",
        penalties=Penalties(**dict.fromkeys(penalties.PENALTIES, 0.1)),
        gen_opt=sgd,
        disc_opt=sgd,
        steps=3,
    )
    (one, _), (four, _) = small.train_state(config), small.train_state(config, 4)
    # SGD does not amplify rounding errors of 1e-7.
    small.assert_trees_close(four, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "devices"),
    [(small.SOUNDS.replace(steps=4), 1), (small.TEXTS, 2)],
    ids=["sounds-1", "texts-2"],
)
def test_population_member_equals_its_solo_run(config, devices):
    """tests/training/test_population.py has the tests with images."""
    population_of_two = config.replace(seeds=(5, 0))
    many, metrics = small.train_state(population_of_two, devices)
    solo, metrics_solo = small.train_state(config)
    _, member = population_state.member_run(population_of_two, many, 1)
    # With eps of 1e-4, Adam turns rounding errors of 1e-7 into at most 1e-3 of a step.
    small.assert_trees_close(member, solo, rtol=1e-3, atol=1e-4)
    rows = {name: row[:, 1] for name, row in metrics.items()}
    small.assert_trees_close(rows, metrics_solo, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_inputs_of_several_devices_are_bitwise_those_of_one(devices, monkeypatch):
    monkeypatch.setattr(parallel, "make_train_step", small.spy)
    _, one = small.train_state(small.CONFIG)
    _, many = small.train_state(small.CONFIG, devices)
    assert one["real"].shape == (12, 2, 16, 8, 8, 1)
    chex.assert_trees_all_equal(one, many)
    assert len(np.unique(one["z"])) == one["z"].size  # all noise is different


def test_run_traces_its_step_once(monkeypatch):
    traces = []
    make_train_step = parallel.make_train_step

    def counting(config, axis=None, **options):
        step = make_train_step(config, axis, **options)
        return lambda state, batch: traces.append(1) or step(state, batch)

    monkeypatch.setattr(parallel, "make_train_step", counting)
    for devices in (1, 2):
        traces.clear()
        small.train_state(small.CONFIG, devices, chunks=(1, 4, 2, 5))
        assert len(traces) == 1


def test_run_compiles_one_program():
    config = small.config(seed=5)
    dataset, devices = sources.load(config.data), jax.local_devices()[:1]
    state = initialize(config, dataset, devices)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, _, **kwargs: compiled.append(name) if "backend_compile" in name else None
    )
    try:
        chunks = loop.iterate(config, dataset, state, devices, logging=small.LOGGING)
        steps = [reached for reached, _, _ in chunks]
    finally:
        jax.monitoring.clear_event_listeners()
    assert steps[-1] == 12
    assert len(steps) > 2
    assert len(compiled) == 1


def test_state_and_metrics_of_bfloat16_networks_are_float32():
    config = small.config(
        gen=mlp.Generator(shape=(8, 8, 1), widths=(24,), norm="batch", dtype="bfloat16"),
        disc=mlp.Discriminator(widths=(24,), norm="spectral", dtype="bfloat16"),
        steps=3,
    )
    state, metrics = small.train_state(config)
    dtypes = {leaf.dtype for leaf in small.leaves(state).values()}
    assert dtypes == {np.dtype("float32"), np.dtype("int32"), np.dtype("uint32")}
    assert {row.dtype for row in metrics.values()} == {np.dtype("float32")}
    assert metrics["skipped"].sum() == 0
    _, exact = small.train_state(
        small.config(
            gen=config.gen.clone(dtype="float32"), disc=config.disc.clone(dtype="float32"), steps=3
        )
    )
    for name in ("disc_loss", "gen_loss", "disc_grad_norm", "gen_grad_norm"):
        first, first_exact = metrics[name][0], exact[name][0]
        assert first != first_exact  # the networks did compute in bfloat16
        np.testing.assert_allclose(first, first_exact, rtol=0.1)  # 8 bits, a few layers


def test_penalties_of_a_bfloat16_discriminator_are_float32():
    discriminator = mlp.Discriminator(widths=(24,), dtype="bfloat16")
    variables = discriminator.init(jax.random.key(0), jnp.zeros((2, 4)), train=False)
    x = jax.random.normal(jax.random.key(1), (8, 4))
    value = penalties.r1(lambda x: discriminator.apply(variables, x, train=True), x, x, None)
    exact = penalties.r1(
        lambda x: discriminator.clone(dtype="float32").apply(variables, x, train=True), x, x, None
    )
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, exact, rtol=0.05)  # bfloat16 keeps 8 bits of each product

"""Gradient accumulation equals a step on the whole batch, or is rejected."""

import json

import flax.linen as nn
import jax
import numpy as np
import pytest

from gan_jax import train
from gan_jax.config import Augment, ImageData, Masks, Optimizer, Penalties, Runtime
from gan_jax.config.schedules import Schedule
from gan_jax.config.sweeps import Sweep
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.losses.adversarial import LOSSES, PER_EXAMPLE
from gan_jax.networks import interface, mlp, pacgan, r3gan, stylegan2, unet
from gan_jax.runs import folder
from gan_jax.training import parallel, remat
from gan_jax.training.initialize import initialize
from tests.helpers import small

pytestmark = pytest.mark.integration

# The features of small.CONFIG that treat examples independently.
BASE = small.config(
    gen=mlp.Generator(shape=(8, 8, 1), widths=(24, 32)),
    disc=mlp.Discriminator(widths=(32, 24), norm="spectral", last_bias=False),
    loss="relativistic",
    penalties=Penalties(r1=0.1, r2=Schedule(0.2, 0.1, 10), gradient_penalty=0.1, one_sided=0.1),
    steps=2,
)
# With eps of 1e-4, Adam turns rounding errors of 1e-7 into at most 1e-3 of a step of 1e-3.
CLOSE = {"rtol": 1e-3, "atol": 2e-5}


def base_config(**changes):
    return BASE.replace(**changes)


CASES = {
    "relativistic, lazy": base_config(penalty_every=2),
    "packs": base_config(disc=pacgan.PacGAN(mlp.Discriminator(widths=(24,), last_bias=False), 2)),
    "labels and a class head": base_config(
        gen=mlp.Generator(shape=(8, 8, 1), widths=(24,), classes=10),
        disc=small.WithClassHead(),
        data=ImageData("digits", "all", labels=True),
        loss="hinge",
    ),
    "adaptive augmentation": base_config(
        augment=Augment(blit=1.0, color=1.0, p=0.3, adaptive=True, adapt_every=1)
    ),
    "running mean of w": base_config(
        gen=stylegan2.Generator(
            8, 1, 64, 8, latent=8, w_dim=8, mapping_layers=2, noise=False, mixing=0.0
        ),
        penalties=Penalties(),
    ),
    "texts": small.TEXTS.replace(steps=4),
    "masks": base_config(
        gen=unet.Generator(8, 1, (8, 4), (1, 1), (2, 2), out="sigmoid"),
        disc=unet.Discriminator(8, (8, 4), (1, 1), (2, 2)),
        masks=Masks(("box", "half")),
        reconstruction=0.3,
        perceptual=0.2,
        penalties=Penalties(r1=0.1),
    ),
}


LONG = ("adaptive augmentation", "running mean of w", "masks", "texts")


@pytest.mark.parametrize("name", [small.nightly(x) if x in LONG else x for x in CASES])
def test_microbatches_equal_the_whole_batch(name):
    config = CASES[name]
    whole = small.train_state(config)
    small.assert_trees_close(small.train_state(config, microbatch=4), whole, **CLOSE)


@pytest.mark.nightly
def test_microbatches_of_two_devices_and_of_a_population():
    whole = small.train_state(BASE)
    small.assert_trees_close(small.train_state(BASE, devices=2, microbatch=4), whole, **CLOSE)
    population = base_config(seeds=(0, 3))
    many = small.train_state(population)
    small.assert_trees_close(small.train_state(population, microbatch=2), many, **CLOSE)


def test_microbatch_as_large_as_the_batch_has_the_same_bits():
    small.assert_same_bits(small.train_state(BASE)[0], small.train_state(BASE, microbatch=16)[0])


def test_every_loss_is_exact_or_rejected():
    """Relativistic averages depend on the whole batch: microbatches change their value."""
    logits = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    for name, loss in LOSSES.items():
        for player_loss in loss:
            whole = player_loss(*logits)
            parts = [player_loss(*logits[:, i : i + 2]) for i in range(0, 8, 2)]
            exact = np.isclose(whole, np.mean(parts), rtol=1e-6)
            assert exact or name not in PER_EXAMPLE
            if name == "relativistic_average":
                assert not exact


@pytest.mark.parametrize(
    ("changes", "microbatch", "message"),
    [
        ({}, 5, "microbatch must divide 16, the examples per device, got 5"),
        ({"loss": "relativistic_average_hinge"}, 4, "with loss 'relativistic_average_hinge'"),
        ({"penalties": Penalties(dragan=1.0)}, 4, "with penalties.dragan"),
        ({"sweep": (Sweep("penalties.dragan", (0.0, 1.0)),)}, 4, "with penalties.dragan"),
        ({"gen": small.CONFIG.gen}, 4, "with BatchNorm of gen"),
        ({"disc": small.CONFIG.disc}, 4, "with MinibatchStd of disc"),
        (
            {"disc": pacgan.PacGAN(mlp.Discriminator(widths=(24,)), 4)},
            2,
            "a multiple of 4, the pack size, got 2",
        ),
    ],
)
def test_configs_that_depend_on_the_whole_batch_are_rejected(changes, microbatch, message):
    config = base_config(**changes)
    with pytest.raises(UserError) as error:
        initialize(config, sources.load(config.data), jax.local_devices()[:1], microbatch)
    assert message in str(error.value)


def temporaries(config, microbatch):
    """Return the size of the temporary buffers of the program, in bytes."""
    dataset, devices = sources.load(config.data), jax.local_devices()[:1]
    state = initialize(config, dataset, devices, microbatch)
    program = parallel.make_program(config, devices, 4, microbatch=microbatch)
    program(state, 1, dataset.batch)
    return program.memory()["temp_size"]


LARGE = base_config(
    gen=mlp.Generator(shape=(8, 8, 1), widths=(64, 64, 64)),
    disc=mlp.Discriminator(widths=(64, 64, 64)),
    penalties=Penalties(),
    batch_size=1024,
    gen_opt=Optimizer(),
)


@pytest.mark.usefixtures("optimized")
def test_microbatches_need_less_memory():
    # Activations of 1024 examples take most of the memory; those of 64 examples a sixteenth.
    assert temporaries(LARGE, 64) < 0.4 * temporaries(LARGE, 0)


def test_remat_stores_fewer_residuals_for_the_gradient():
    """Compares the residuals of the forward pass that the backward pass needs.

    Compiled programs for CPUs store more: XLA merges the repeated computations.
    """
    disc = r3gan.Discriminator(16, (8, 8, 8), (2, 2, 2), (2, 2, 2))
    x = np.zeros((32, 16, 16, 3), np.float32)
    params = jax.eval_shape(lambda: disc.init(jax.random.key(0), x, train=False))["params"]

    def residual_size(enabled):
        def apply(params):
            with remat.rematerialized_blocks(enabled):
                return disc.apply({"params": params}, x, train=True)

        backward = jax.eval_shape(lambda params: jax.vjp(apply, params)[1], params)
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    assert residual_size(True) < 0.4 * residual_size(False)


@pytest.mark.parametrize("network", ["blocks", "spectral norm and batch norm"])
def test_remat_does_not_change_gradients(network):
    if network == "blocks":
        disc = r3gan.Discriminator(8, (4, 4), (2, 2), (1, 1))
    else:
        disc = small.CONFIG.disc
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    stats = dict(disc.init(jax.random.key(0), x, train=False))
    params = stats.pop("params")

    def loss(params, enabled):
        with remat.rematerialized_blocks(enabled):
            y, new = disc.apply({"params": params, **stats}, x, train=True, mutable=[*stats])
        return (y**2).sum(), new

    results = [
        jax.jit(jax.grad(lambda p, enabled=enabled: loss(p, enabled), has_aux=True))(params)
        for enabled in (0, 1)
    ]
    small.assert_trees_close(*results, **CLOSE)


def test_run_may_resume_with_another_microbatch_size(tmp_path, caplog):
    small.fit(base_config(steps=2), tmp_path)
    runtime = Runtime(microbatch=4, remat=True)
    small.fit(base_config(steps=4), tmp_path, runtime=runtime)
    assert "microbatch was 0, is 4" in caplog.text
    assert "remat was False, is True" in caplog.text
    assert folder.load_settings(tmp_path)[1] == runtime


def test_run_reports_its_memory(tmp_path):
    devices = jax.local_devices()[:1]
    with jax.debug_nans(False):  # debug_nans keeps buffers to check them
        state = train.fit(base_config(steps=1), tmp_path, devices=devices, quiet=True)
    (launch,) = json.loads((tmp_path / "timing.json").read_text())
    size = sum(leaf.nbytes for leaf in small.leaves(state).values())
    assert launch["program_bytes"]["alias_size"] >= 0.99 * size  # buffers of the state are donated
    assert launch["program_bytes"]["temp_size"] > 0
    assert launch["host_peak_bytes"] > 2**26  # JAX alone needs more
    assert launch["device_peak_bytes"] is None  # not available on CPUs


class BatchNormDiscriminator(interface.Discriminator):
    @nn.compact
    def __call__(self, x, cond=None, *, train):
        return nn.BatchNorm(use_running_average=not train)(x.reshape(len(x), -1)).sum(1)


def test_batch_norm_of_a_nested_network_is_rejected():
    config = base_config(disc=pacgan.PacGAN(BatchNormDiscriminator(), 2))
    with pytest.raises(UserError, match="with BatchNorm of disc"):
        initialize(config, sources.load(config.data), jax.local_devices()[:1], 4)

"""Small configs that use many features of training, and functions that train them.

The base config has batch norm, spectral norm, minibatch statistics, relativistic means, R1 and R2,
two discriminator updates, schedules and a moving average.
"""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax import train
from gan_jax.config import (
    EMA,
    AudioData,
    Config,
    Data,
    ImageData,
    Logging,
    Masks,
    Objective,
    Optimizer,
    Penalties,
    Pretrain,
    Prior,
    Runtime,
    TextData,
    population,
)
from gan_jax.config.schedules import Schedule
from gan_jax.core import devices as core_devices
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.batch import Batch
from gan_jax.networks import lstm, mlp, relgan, sequence, unet, wavegan
from gan_jax.networks.interface import Discriminator
from gan_jax.reporting import curves
from gan_jax.training import loop, parallel
from gan_jax.training.initialize import initialize
from gan_jax.training.state import TrainState

CONFIG = Config(
    name="small",
    gen=mlp.Generator(shape=(8, 8, 1), widths=(24, 32), norm="batch"),
    disc=mlp.Discriminator(widths=(32, 24), norm="spectral", minibatch_std=4, last_bias=False),
    steps=12,
    data=ImageData("digits", "all"),
    objective=Objective(
        loss="relativistic_average", penalties=Penalties(r1=0.1, r2=Schedule(0.2, 0.1, 10))
    ),
    # eps is well above the rounding errors of gradients: Adam would amplify them to full steps.
    gen_opt=Optimizer(lr=Schedule(1e-3, 1e-4, 20, "cosine"), b2=0.99, eps=1e-4),
    disc_opt=Optimizer(eps=1e-4),
    n_critic=2,
    prior=Prior(dim=8),
    ema=EMA(half_life=100.0),
    batch_size=16,
)
LOGGING = Logging(log_every=3, sample_every=10, checkpoint_every=5)


# Audio: labels, phase shuffle, R1 and R2, two discriminator updates, a moving average.
SOUNDS = CONFIG.replace(
    gen=wavegan.Generator(length=64, width=2, stages=2, classes=12),
    disc=wavegan.Discriminator(length=64, width=2, stages=2, classes=12, last_bias=False),
    data=AudioData("tones", split="test", length=64, labels=True),
    loss="relativistic",
)
# Text: three steps of likelihood pretraining, then three adversarial steps. eps is well above
# rounding errors, as above; logits have no bias, for the same reason.
TEXTS = Config(
    name="text",
    gen=sequence.Generator(lstm.Cell(5), 6, 20, embedding=4, beta_steps=3),
    disc=relgan.Discriminator(4, 2, filters=3, sizes=(3,), hidden=4, last_bias=False),
    steps=6,
    data=TextData("running_text", level="characters", tokens=6, vocabulary=20),
    objective=Objective(loss="relativistic"),
    gen_opt=Optimizer(lr=1e-3, b1=0.9, eps=1e-3),
    disc_opt=Optimizer(lr=1e-3, eps=1e-3),
    pretrain=Pretrain(steps=3, opt=Optimizer(lr=1e-2, b1=0.9, eps=1e-3), clip=0.3),
    prior=Prior(dim=2, distribution="key"),
    ema=EMA(half_life=40.0),
    batch_size=8,
)
# Inpainting of masked images.
UNET = {"size": 8, "widths": (6, 4), "blocks": (1, 1), "cardinality": (1, 1), "expansion": 1}
INPAINTING = CONFIG.replace(
    name="inpainting",
    gen=unet.Generator(**UNET),
    disc=unet.Discriminator(**UNET),
    data=ImageData("digits", "all", symmetric=True),
    masks=Masks(("box", "half")),
    loss="relativistic",
    steps=3,
)
# Only the loss mixes examples, so devices communicate little.
PLAIN = CONFIG.replace(
    gen=mlp.Generator(shape=(8, 8, 1), widths=(24, 32)),
    disc=mlp.Discriminator(widths=(32, 24), last_bias=False),
    n_critic=1,
)
# Changes for tests that only need some run: quick to compile.
QUICK = {"loss": "hinge", "penalties": Penalties(), "n_critic": 1}
LABELS = CONFIG.replace(
    **QUICK,
    gen=mlp.Generator((8, 8, 1), (8,), 10),
    disc=mlp.Discriminator((8,), 10),
    data=ImageData("digits", "train", labels=True),
)
# Configs of the fixture `trained_run`, by name.
RUNS = {
    "images": CONFIG,
    "labels": LABELS,
    "population": LABELS.replace(steps=8, seeds=(0, 1, 2), batch_size=8),
    "inpainting": INPAINTING.replace(penalties=Penalties(), n_critic=1),
    "sounds": SOUNDS.replace(steps=6, n_critic=1),
    "texts": TEXTS,
}
# Their logging, where it differs from `LOGGING`.
RUNS_LOGGING = {
    "labels": Logging(log_every=1, sample_every=4, checkpoint_every=5),
    "population": Logging(log_every=1, sample_every=4, checkpoint_every=5),
    "sounds": Logging(log_every=1, sample_every=3, checkpoint_every=3),
    "texts": Logging(log_every=1, sample_every=3),
}
KINDS = {"images": CONFIG, "sounds": SOUNDS, "texts": TEXTS}


class WithClassHead(Discriminator):
    """Discriminator with a class head of ten classes."""

    auxiliary: bool = True

    @nn.compact
    def __call__(self, x, cond=None, *, train):
        y = nn.tanh(nn.Dense(6)(x.reshape(len(x), -1)))
        if not self.is_initializing():
            keep = {"reduce_fn": lambda _, new: new, "init_fn": lambda: 0.0}
            self.sow("auxiliary", "class_logits", nn.Dense(10, name="classes")(y), **keep)
        else:
            nn.Dense(10, name="classes")(y)
        return nn.Dense(1)(y)[:, 0]


def nightly(*values: Any, id: str | None = None) -> Any:  # noqa: A002
    """Return the parameters of a test case that runs only in the nightly tests."""
    return pytest.param(*values, marks=pytest.mark.nightly, id=id)


def config(**changes: Any) -> Config:
    """Return CONFIG with some fields replaced."""
    return CONFIG.replace(**changes)


@functools.cache
def _shared(
    config: Config,
    devices: tuple[jax.Device, ...],
    max_concurrent: int | None,
    microbatch: int,
    remat: bool,
    _: Any,
) -> parallel.Program:
    options = {"microbatch": microbatch, "remat": remat}
    return MAKE_PROGRAM(config, devices, loop.MAX_CHUNK_STEPS, max_concurrent, **options)


MAKE_PROGRAM = parallel.make_program


def shared_program(
    config: Config,
    devices: Sequence[jax.Device],
    max_steps: int = loop.MAX_CHUNK_STEPS,
    max_concurrent: int | None = None,
    *,
    microbatch: int = 0,
    remat: bool = False,
) -> parallel.Program:
    """Substitute for `make_program`: runs of one config share a program.

    Configs that differ only in seed and number of steps share it too. Tracing takes most of the
    time of a short run.
    """
    assert max_steps == loop.MAX_CHUNK_STEPS
    members = len(population.member_configs(config))
    max_concurrent = (
        max_concurrent if max_concurrent is not None and max_concurrent < members else None
    )
    shared_config = config.replace(steps=1, seed=0)
    make = parallel.make_train_step  # part of the cache key: tests replace it
    return _shared(shared_config, tuple(devices), max_concurrent, microbatch, remat, make)


@functools.cache
def _start(config: Config, devices: int) -> tuple[TrainState, Batch]:
    dataset, local_devices = sources.load(config.data), jax.local_devices()[:devices]
    return initialize(config, dataset, local_devices), core_devices.replicate(
        dataset.batch, local_devices
    )


def clear_caches() -> None:
    """Clear the shared programs and initial states, so that later runs are traced again."""
    _shared.cache_clear()
    _start.cache_clear()


@contextlib.contextmanager
def sharing_programs() -> Iterator[None]:
    """Use `shared_program` for all training inside the context."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "make_program", shared_program)
        yield


def train_state(
    config: Config,
    devices: int = 1,
    chunks: tuple[int, ...] | None = None,
    max_concurrent: int | None = None,
    **options: Any,
) -> tuple[TrainState, dict[str, np.ndarray]]:
    """Return the state after the chunks (default: one of config.steps steps), and all metrics."""
    program = shared_program(
        config, jax.local_devices()[:devices], max_concurrent=max_concurrent, **options
    )
    return run_chunks(config, program, devices, chunks)


def fit(
    config: Config,
    workdir: Path,
    devices: int = 1,
    *,
    logging: Logging = LOGGING,
    runtime: Runtime = Runtime(),  # noqa: B008
    draw: bool = False,
) -> TrainState:
    """Call `train.fit` on the first devices, quietly.

    curves.png, which takes longer than a short run, is plotted only if `draw` is true.
    """
    local_devices = jax.local_devices()[:devices]
    with sharing_programs(), pytest.MonkeyPatch.context() as patch:
        if not draw:
            patch.setattr(curves, "plot_curves", lambda *_: None)
        options = {"logging": logging, "runtime": runtime, "quiet": True}
        return train.fit(config, workdir, devices=local_devices, **options)


def spy(config: Config, axis: str | None = None, *, microbatch: int = 0) -> Any:  # noqa: ARG001
    """Substitute for `make_train_step`: the step returns the inputs of all devices."""

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        root = keys.step_key(state.key, keys.Purpose.GEN_Z, state.step)
        example_keys = keys.example_keys(root, batch.real.shape[1], axis)
        z = keys.latents(example_keys, config.prior.dim, config.prior.distribution)
        inputs = {"real": batch.real, "z": z[None]}
        if axis:
            inputs = lax.all_gather(inputs, axis, axis=1, tiled=True)
        return state.replace(step=state.step + 1), inputs

    return step


def run_chunks(
    config: Config,
    program: parallel.Program,
    devices: int = 1,
    chunks: tuple[int, ...] | None = None,
) -> tuple[TrainState, dict[str, np.ndarray]]:
    """Train like `train_state`, with an existing program.

    Metrics have the shape [steps], or [steps, members] for a population.
    """
    state, examples = _start(config.replace(steps=1), devices)
    state = jax.tree.map(jnp.copy, state)  # a program donates its input
    chunks = chunks or (config.steps,)
    rows = []
    for steps in chunks:
        state, metrics = program(state, steps, examples)
        metrics = jax.device_get(metrics)
        if population.is_population(config):
            metrics = {name: row.swapaxes(0, 1) for name, row in metrics.items()}
        rows.append({name: row[:steps] for name, row in metrics.items()})
    return state, {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def leaves(state: Any) -> dict[str, np.ndarray]:
    """Return all leaves by path, keys as their bits."""

    def to_numpy(leaf: Any) -> np.ndarray:
        is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    flat = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): to_numpy(leaf) for path, leaf in flat}


def assert_same_bits(a: Any, b: Any) -> None:
    """Assert that two trees are bitwise equal in every leaf."""
    leaves_a, leaves_b = leaves(a), leaves(b)
    assert leaves_a.keys() == leaves_b.keys()
    differing = [name for name in leaves_a if leaves_a[name].tobytes() != leaves_b[name].tobytes()]
    assert not differing


def assert_trees_close(
    actual: Any, desired: Any, rtol: float, atol: float, *, strict: bool = True
) -> None:
    """Assert that two trees are close in every leaf; with strict=False, in those of `desired`.

    Callers explain in a comment why the tolerance is sufficient.
    """
    actual_leaves, desired_leaves = leaves(actual), leaves(desired)
    assert desired_leaves.keys() <= actual_leaves.keys()
    assert actual_leaves.keys() == desired_leaves.keys() or not strict
    for name, leaf in desired_leaves.items():
        np.testing.assert_allclose(actual_leaves[name], leaf, rtol, atol, err_msg=name)


def refused(data: Data, *parts: str) -> None:
    """Assert that loading the data raises a UserError of one line that contains all `parts`."""
    with pytest.raises(UserError) as error:
        sources.load(data)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)

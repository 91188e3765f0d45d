"""Every recipe has a well-formed docstring and config, and trains."""

import ast
import dataclasses
import importlib
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import experiments
from gan_jax.config import serialization
from gan_jax.config.validation import validate
from gan_jax.core import devices as core_devices
from gan_jax.core import keys
from gan_jax.data import sources
from gan_jax.data.batch import Batch
from gan_jax.inference import sampling
from gan_jax.metrics.modes import modes
from gan_jax.training import parallel
from gan_jax.training.initialize import initialize
from gan_jax.training.parallel import make_step_with_pretraining
from gan_jax.training.state import generator_variables, init_state
from tests.helpers import small

FOLDER = Path(experiments.__path__[0])
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
# Slow to compile even in the small version. Their networks are trained in tests/networks/ and
# tests/training/test_pretrain.py; fashion uses the networks of mnist.
LARGE = ("cifar10", "folder", "fashion", "mnist_inpaint", "spoken", "tones")
LARGE += ("coco", "oracle", "text_lstm")
# One recipe for each network, loss and kind of data; the others run nightly.
TRACED = ("cifar10_cgan_projection", "cifar10_r3gan", "cifar10_stylegan2_ada", "cifar10_wgan_gp")
TRACED += ("coco_lstm", "coco_relgan", "digits_mlp", "mnist_dcgan", "mnist_inpaint")
TRACED += ("spoken_digit_specgan", "stacked_mnist_pacgan", "tones_wavegan")
TRAINED = ("digits_mlp", "ring_mlp")


def test_the_folder_holds_recipes_and_results():
    assert len(NAMES) >= 30
    entries = {path.name for path in FOLDER.iterdir() if path.suffix != ".py"} - {"__pycache__"}
    assert entries == {"results"}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_a_docstring_and_a_config(name):
    text = (FOLDER / f"{name}.py").read_text()
    tree = ast.parse(text)
    docstring = tree.body[0]
    code = [line for line in text.splitlines()[docstring.end_lineno :] if line.strip()]
    # The documentation page is generated from the docstring; `gan-jax train NAME --help` shows the
    # introduction.
    introduction, _, details = ast.get_docstring(tree).partition("\nImplementation details:\n\n")
    title, *lines = introduction.splitlines()
    assert title.endswith(".")
    assert len(title) <= 88
    assert any(line.startswith(f"    gan-jax train {name}") for line in lines)
    numbers = re.findall(r"^ *(\d+)\. ", details, re.MULTILINE)
    assert numbers == [str(i + 1) for i in range(len(numbers))] != []
    assert len(code) <= 60
    # Config files name types by modules under gan_jax/, and a wheel has this folder under another
    # name.
    assert not [node for node in tree.body if isinstance(node, ast.ClassDef)]
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and not node.level]
    assert "experiments" not in {node.module.partition(".")[0] for node in imports}


@pytest.mark.parametrize("name", NAMES)
def test_its_configs_are_valid_and_serializable(name):
    module = importlib.import_module(f"experiments.{name}")
    assert module.config.name == name
    small_config = getattr(module, "small", module.config)
    assert small_config.name in (name, f"{name}_small")
    for config in (module.config, small_config):
        validate(config)
        assert serialization.loads(serialization.dumps(config)) == config


def example(config, n):
    """Returns a batch of `n` zeros in the shape of the data set, without loading it."""
    shape = getattr(config.gen, "shape", None)
    if shape is None and hasattr(config.gen, "length"):
        shape = (config.gen.length, config.gen.channels)
    elif shape is None:
        shape = (config.gen.size, config.gen.size, config.gen.channels)
    cond = np.zeros(n, np.int32) if config.data.labels else None
    return Batch(np.zeros((n, *shape), np.float32), cond)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        (name, version) if name in TRACED and version == "config" else small.nightly(name, version)
        for name in NAMES
        for version in ("config", "small")
    ],
)
def test_a_train_step_of_its_networks_keeps_the_shapes(name, version):
    """Traces the step on shapes and computes nothing."""
    config = getattr(importlib.import_module(f"experiments.{name}"), version, None)
    if config is None:
        pytest.skip("has no small version")
    dummy = example(config, config.batch_size)
    state = jax.eval_shape(lambda: init_state(config, keys.root_key(0), dummy))
    batch = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (config.n_critic, *leaf.shape)), dummy)
    new_state, metrics = jax.eval_shape(make_step_with_pretraining(config, None), state, batch)
    shapes = [jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (state, new_state)]
    assert shapes[0] == shapes[1]
    assert {value.shape for value in metrics.values()} == {()}


@pytest.mark.parametrize(
    "name",
    [
        name if name in TRAINED else small.nightly(name)
        for name in NAMES
        if not name.startswith(LARGE)
    ],
)
def test_its_small_version_trains(name):
    module = importlib.import_module(f"experiments.{name}")
    config = getattr(module, "small", module.config)
    n = 8 if getattr(config.disc, "minibatch_std", 0) <= 8 else 32
    pretrain = dataclasses.replace(config.pretrain, steps=min(config.pretrain.steps, 1))
    changes = {"batch_size": n, "n_critic": min(config.n_critic, 2), "pretrain": pretrain}
    config = config.replace(**changes)
    random = np.random.default_rng(0)
    dummy = example(config, n)
    real = random.uniform(size=(config.n_critic, *dummy.real.shape)).astype(np.float32)
    cond = None if dummy.cond is None else np.broadcast_to(dummy.cond, (config.n_critic, n))
    state = jax.jit(lambda: init_state(config, keys.root_key(0), dummy))()
    step = jax.jit(make_step_with_pretraining(config, None))
    for _ in range(2):
        state, metrics = step(state, Batch(real, cond))
        assert all(np.isfinite(value) for value in metrics.values())
    assert int(state.skipped) == 0


@pytest.mark.nightly
@pytest.mark.usefixtures("optimized")
def test_ring_covers_every_mode():
    config = importlib.import_module("experiments.ring_mlp").config
    dataset, devices = sources.load(config.data), jax.local_devices()[:1]
    centers, sigma = sources.MIXTURES["ring"][0](), sources.MIXTURES["ring"][1]
    program = parallel.make_program(config, devices, config.steps)
    examples = core_devices.replicate(dataset.batch, devices)
    # One seed; experiments/results/ring_mlp.json has the results of ten.
    state = initialize(config.replace(seed=0), dataset, devices)
    state, _ = program(state, config.steps, examples)
    points = sampling.sample(config, generator_variables(state), jax.random.key(0), 2500)
    scores = modes(points, centers, sigma)
    assert scores.covered == 8
    # PacGAN (1712.04086) reports 95.6 % for PacGAN and 98.2 % for a GAN, which drops modes.
    assert scores.high_quality > 0.9
    assert scores.kl < 0.05

"""Every command that the README gives is run as it stands there, but on runs that are small.

Names in capitals are filled in, and what is long is cut: `cheap` says how. Recipes that take long
to compile stop where training would begin: tests/recipes/ trains or traces their steps.
"""

import importlib
import re
import shlex
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax import train
from gan_jax.cli import app
from gan_jax.core import command_line
from tests.helpers.paths import REPOSITORY

pytestmark = pytest.mark.nightly

README = (REPOSITORY / "README.md").read_text()
FENCE = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINES = [re.split(r"\s#", line)[0] for block in FENCE.findall(README) for line in block.split("\n")]
LINES += re.findall(
    r"`((?:[^`]*python -m|gan-jax) [^`]*)`", re.sub(r"^```.*?^```", "", README, flags=FENCE.flags)
)
COMMANDS = {" ".join(line.split()).removeprefix(".venv/bin/") for line in LINES}
OF_RUNS = sorted(line for line in COMMANDS if line.startswith("gan-jax "))
OF_EXPERIMENTS = sorted(line for line in COMMANDS if line.startswith("python -m experiments."))
# Those wait for other processes; tests/integration/test_distributed.py starts some.
OF_EXPERIMENTS = [line for line in OF_EXPERIMENTS if "--coordinator" not in line]

TRAINED = ("ring_mlp", "grid_mlp")


def kind_of(words):
    """Which run a command of `gan-jax` is for."""
    if "inpaint" in words:
        return "inpainting"
    if "--temperature" in words:
        return "texts"
    if "--member" in words:
        return "population"
    return "sounds" if any(word.endswith(".wav") for word in words) else "labels"


def cheap(words):
    """The same words, with less to do."""
    line = " ".join(words)
    for long, short in (
        ("--features inception --weights FILE", "--features pixels"),
        ("--per-class 1000", "--per-class 2"),
        ("--num-samples 100", "--num-samples 4"),
        ("--member 3", "--member 2"),
        ("--steps 1000", "--steps 1"),
        ("--steps 9000", "--steps 13"),
        (" ...", ""),
    ):
        line = line.replace(long, short)
    extra = {
        "evaluate": "--features pixels --num-samples 64",
        "invert": "--iterations 2 --restarts 1 --samples 8",
    }
    return f"{line} {extra.get(words[0], '')}".split()


def pictures(folder):
    """Six 8x8 pictures under `folder`; as masks, the left half white."""
    folder.mkdir()
    for name in "abcdef":
        pixels = np.zeros((8, 8), np.uint8)
        pixels[:, :4] = 255
        Image.fromarray(pixels).save(folder / f"{name}.png")


@pytest.mark.parametrize("line", OF_RUNS)
def test_a_command_on_a_run(line, trained_run, tmp_path, monkeypatch, command):
    words = shlex.split(line)[1:]
    place = trained_run(kind_of(words))
    for name in ("PICTURES", "BROKEN", "MASKS", "REAL_FOLDER", "FAKE_FOLDER"):
        pictures(tmp_path / name)
    for name in ("RUN", "A", "B", "OTHER_RUN"):
        shutil.copytree(place, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    if "gen.jaxexport" in words and "export" not in words:
        command(app.main, "export RUN --out gen.jaxexport")
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    # As the run was trained.
    monkeypatch.setattr("gan_jax.core.devices.jax.local_devices", lambda: jax.devices()[:1])
    words = ["RUN" if word.startswith("runs/") else word for word in cheap(words)]
    status, said, error = command(app.main, " ".join(words))
    assert (status, "Traceback" in error) == (0, False), said + error
    if "--out" in words:
        assert (tmp_path / words[words.index("--out") + 1]).exists()


@pytest.mark.parametrize("line", OF_EXPERIMENTS)
def test_a_command_of_an_experiment(line, tmp_path, monkeypatch, command):
    _, _, module, *words = shlex.split(line)
    name = module.removeprefix("experiments.")
    module = importlib.import_module(f"{module}.__main__" if name == "benchmarks" else module)
    monkeypatch.chdir(tmp_path)
    asked = []
    if not hasattr(module, "config"):  # a study
        flags = getattr(module, "Study", None) or module.Benchmark
        assert command(lambda: asked.append(command_line.parse(flags())), " ".join(words))[0] == 0
        assert asked
        return
    if name not in TRAINED:
        monkeypatch.setattr(train, "fit", lambda config, *_, **__: asked.append(config))
    else:
        words += [] if "--help" in words else ["--steps", "1", "--batch-size", "8"]
        if "--score-every" in words:
            words[words.index("--score-every") + 1] = "1"
    status, _, error = command(lambda: train.main(module.presets), " ".join(words))
    assert (status, "Traceback" in error) == (0, False), error
    assert asked or "--help" in words or list((tmp_path / "runs").glob("*/checkpoints/1"))


def test_all_of_them_are_found():
    assert (len(OF_RUNS) > 12, len(OF_EXPERIMENTS) > 25) == (True, True)

"""The blocks of README and site run, page by page, as a reader would run them, with few steps."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from tests.docs.blocks import PAGES, blocks, page_id
from tests.helpers.paths import REPOSITORY

pytestmark = pytest.mark.nightly

# Flags that make a recipe cheap. Twenty steps are the default.
CHEAP = {
    "folder_inpaint": "--steps 2 --batch-size 4 --gen.widths 8 8 8 --disc.widths 8 8 8",
    "folder_r3gan": "--steps 2 --batch-size 4 --gen.widths 8 8 8 8 --disc.widths 8 8 8 8",
    "spoken_digit_wavegan": "--steps 2 --batch-size 2 --gen.width 1 --disc.width 1",
    "text_lstm": "--steps 2 --pretrain.steps 2 --batch-size 8",
    "tones_wavegan": "--steps 2 --batch-size 8",
}
EXTRA = {
    "evaluate": "--features pixels --num-samples 64",
    "invert": "--iterations 2 --restarts 1 --samples 8",
}
SHORTER = (
    (r"--steps \d{3,}", "--steps 30"),
    (r"--num-samples \d{3,}", "--num-samples 64"),
    (r"--per-class \d{3,}", "--per-class 2"),
    (r"--score-every \d+", "--score-every 10"),
)


def cheap(line: str) -> str:
    """Return a command with less to do, and other lines as they are."""
    line = line.removeprefix(".venv/bin/")
    if not line.startswith("gan-jax "):
        return line
    for long, short in SHORTER:
        line = re.sub(long, short, line)
    words = shlex.split(line, comments=True)
    if words[1] == "train" and not {"--help", "--dry-run"} & {*words}:
        words += shlex.split(CHEAP.get(words[2], "" if "--steps" in words else "--steps 20"))
    if words[1] in EXTRA:
        words += shlex.split(EXTRA[words[1]])
    return shlex.join(words)


def write_images(folder: Path, names: str, side: int = 40) -> None:
    """Write a noisy color image for each letter."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in names:
        blocks = rng.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(blocks).resize((side, side)).save(folder / f"{name}.png")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Enter a folder with the small data sets that the pages name."""
    monkeypatch.chdir(tmp_path)
    for name in ("my_images", "my_other_images"):
        write_images(Path(name), "abcdefghijkl")
    write_images(Path("damaged"), "ab")
    Path("my_masks").mkdir()
    mask = np.zeros((40, 40), np.uint8)
    mask[:, :20] = 255
    for name in "ab":
        Image.fromarray(mask).save(Path("my_masks") / f"{name}.png")
    Path("my_sounds").mkdir()
    time = np.arange(8192) / 8000
    for i in range(4):
        tone = np.sin(2 * np.pi * 220 * (i + 1) * time)
        wavfile.write(Path("my_sounds") / f"{i}.wav", 8000, np.int16(20_000 * tone))


@pytest.fixture
def environment(tmp_path):
    """Variables of a user's shell: this checkout, one device, and programs that are cached."""
    env = {name: text for name, text in os.environ.items() if name != "XLA_FLAGS"}
    path = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    return env | {
        "PATH": path,
        "PYTHONPATH": str(REPOSITORY),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(REPOSITORY / ".cache" / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
        "GAN_JAX_CACHE": str(tmp_path / "cache"),
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }


def run(program, text, environment):
    """Run a script given on standard input."""
    done = subprocess.run(
        program, input=text, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


PAGES_THAT_RUN = [page for page in PAGES if any(not block.no_run for block in blocks(page))]


@pytest.mark.timeout(900)  # a busy machine, and nothing compiled yet
@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("page", PAGES_THAT_RUN, ids=page_id)
def test_the_blocks_of_a_page_run(page, environment):
    for block in blocks(page):
        if block.no_run:
            continue
        if block.language == "python":
            run([sys.executable, "-"], block.text, environment)
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.strip():
                run(["bash", "-e"], cheap(line) + "\n", environment)

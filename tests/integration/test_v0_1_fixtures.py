"""What version 0.1 wrote is read, sampled, resumed and reproduced.

`tests/fixtures/v0_1/COMMANDS.md` has the commands that made the files. Numbers that are computed
anew have the same bits where versions and processor are those of the fixtures, and are close
elsewhere.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax.cli import app
from gan_jax.config import ImageData
from gan_jax.data import sources
from gan_jax.inference import load
from gan_jax.runs import folder as run_folder
from gan_jax.runs import restore
from tests.helpers.paths import REPOSITORY

FIXTURES = Path("tests/fixtures/v0_1")  # relative to the root of the repository
RUNS = {"images": ".png", "population": ".png", "audio": ".wav", "text": ".txt"}


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    """The run on a text names it relative to the root of the repository."""
    monkeypatch.chdir(REPOSITORY)


def same_machine():
    """Whether this machine computes the bits of the one that made the fixtures."""
    there = run_folder.load_versions(FIXTURES / "images")
    here = run_folder.environment(jax.local_devices()[:1])
    device = ("platform", "kind", "machine", "processor")
    if not jax.config.values["jax_disable_most_optimizations"]:
        return False
    return all(there[name] == here[name] for name in ("packages", "flags")) and all(
        there["device"][name] == here["device"][name] for name in device
    )


def leaf_digests(workdir):
    """The newest step of a run folder, and dtype, shape and digest of its leaves by path."""

    def describe(leaf):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
        digest = hashlib.sha256(array.tobytes()).hexdigest()[:32]
        return f"{array.dtype} {list(array.shape)} {digest}"

    step, _, state = restore.restore(workdir)
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return step, {jax.tree_util.keystr(path): describe(leaf) for path, leaf in leaves}


def recorded_leaves(name, step):
    return json.loads((FIXTURES / f"{name}_leaves.json").read_text())[str(step)]


def assert_close_pixels(a, b):
    ours, theirs = (np.asarray(Image.open(path)).astype(int) for path in (a, b))
    assert ours.shape == theirs.shape
    assert abs(ours - theirs).max() <= (0 if same_machine() else 1)


@pytest.mark.parametrize("name", RUNS)
def test_read(name):
    assert leaf_digests(FIXTURES / name) == (2, recorded_leaves(name, 2))


@pytest.mark.parametrize(("name", "suffix"), RUNS.items())
def test_sample(command, tmp_path, name, suffix):
    expected, out = FIXTURES / f"{name}_samples{suffix}", tmp_path / f"samples{suffix}"
    num = {"population": "10 --member 1", "audio": "12"}.get(name, "4")
    assert command(app.main, f"sample {FIXTURES / name} --num-samples {num} --out {out}")[0] == 0
    if suffix == ".png":
        assert_close_pixels(out, expected)
    elif same_machine():
        assert out.read_bytes() == expected.read_bytes()
    else:
        assert len(out.read_bytes()) == len(expected.read_bytes())


@pytest.mark.parametrize("name", RUNS)
def test_resume(command, tmp_path, name):
    shutil.copytree(FIXTURES / name, tmp_path / "run")
    assert command(app.main, f"resume {tmp_path / 'run'} --steps 4 --devices 1")[0] == 0
    step, leaves = leaf_digests(tmp_path / "run")
    expected = recorded_leaves(name, 4)
    if not same_machine():  # dtypes and shapes remain
        leaves, expected = (
            {path: text.rpartition(" ")[0] for path, text in part.items()}
            for part in (leaves, expected)
        )
    assert (step, leaves) == (4, expected)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["_type"] == "Config"


@pytest.mark.parametrize("name", RUNS)
def test_reproduce(command, tmp_path, name):
    out = tmp_path / "run"
    status, text, _ = command(app.main, f"reproduce {FIXTURES / name} --out {out}")
    if same_machine():
        assert status == 0, text
        assert leaf_digests(out) == (2, recorded_leaves(name, 2))
        return
    ours, theirs = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (out, FIXTURES / name)
    )
    assert len(ours) == len(theirs) == 2
    for row, expected in zip(ours, theirs, strict=True):
        for metric, value in expected.items():
            np.testing.assert_allclose(row[metric], value, rtol=1e-3, atol=1e-5, err_msg=metric)


def test_reproduce_a_record(command):
    path = FIXTURES / "record" / "digits_cgan.json"
    status, text, _ = command(app.main, f"compare {path} {FIXTURES / 'population'}")
    assert (status, "metrics: 2 rows, to six digits" in text) == (0, True)


def test_artifact(command, tmp_path):
    path = FIXTURES / "images.jaxexport"
    assert load.load_generator(path).step == 2
    assert command(app.main, f"sample {path} --num-samples 4 --out {tmp_path / 'a.png'}")[0] == 0
    assert_close_pixels(tmp_path / "a.png", FIXTURES / "images_samples.png")


def test_prepared_set(command, tmp_path):
    folder, again = FIXTURES / "prepared", tmp_path / "again"
    command(app.main, f"prepare {FIXTURES / 'pictures'} --size 4 --out {again}")
    assert (folder / "prepared.json").read_bytes() == (again / "prepared.json").read_bytes()
    ours, theirs = (
        sources.load(ImageData("prepared", path=str(p), labels=True)) for p in (again, folder)
    )
    assert ours.fingerprint == theirs.fingerprint
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_array_equal(*(one.batch.real[np.arange(6)] for one in (ours, theirs)))


def test_fixtures_are_small_and_name_no_machine():
    sizes, roots = {}, [os.fsencode(f"/{name}/") for name in ("home", "root", "tmp", "work")]
    for path in FIXTURES.rglob("*"):
        if path.is_file():
            part = path.relative_to(FIXTURES).parts[0]
            raw = path.read_bytes()
            sizes[part] = sizes.get(part, 0) + len(raw)
            assert not [root for root in roots if root in raw], path
    assert max(sizes.values()) < 200_000

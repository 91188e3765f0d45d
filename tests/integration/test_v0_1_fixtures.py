"""Files of version 0.1 can be read, sampled from, resumed and reproduced.

`tests/fixtures/v0_1/COMMANDS.md` lists the commands that created the files. Recomputed numbers are
bit-identical with the package versions and processor of the fixtures, and close elsewhere.
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
    """Runs tests in the repository root: the text run has a relative path to its data."""
    monkeypatch.chdir(REPOSITORY)


def same_machine():
    """Returns whether this machine reproduces the bits of the fixtures."""
    recorded = run_folder.load_versions(FIXTURES / "images")
    current = run_folder.environment(jax.local_devices()[:1])
    device_fields = ("platform", "kind", "machine", "processor")
    if not jax.config.values["jax_disable_most_optimizations"]:
        return False
    return all(recorded[name] == current[name] for name in ("packages", "flags")) and all(
        recorded["device"][name] == current["device"][name] for name in device_fields
    )


def leaf_digests(workdir):
    """Returns the last step of a run folder and {path: "dtype shape digest"} of its leaves."""

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
    first, second = (np.asarray(Image.open(path)).astype(int) for path in (a, b))
    assert first.shape == second.shape
    assert abs(first - second).max() <= (0 if same_machine() else 1)


@pytest.mark.parametrize("name", RUNS)
def test_checkpoint_is_read(name):
    assert leaf_digests(FIXTURES / name) == (2, recorded_leaves(name, 2))


@pytest.mark.parametrize(("name", "suffix"), RUNS.items())
def test_samples_are_those_of_version_0_1(command, tmp_path, name, suffix):
    expected, out = FIXTURES / f"{name}_samples{suffix}", tmp_path / f"samples{suffix}"
    num_samples = {"population": "10 --member 1", "audio": "12"}.get(name, "4")
    arguments = f"sample {FIXTURES / name} --num-samples {num_samples} --out {out}"
    assert command(app.main, arguments)[0] == 0
    if suffix == ".png":
        assert_close_pixels(out, expected)
    elif same_machine():
        assert out.read_bytes() == expected.read_bytes()
    else:
        assert len(out.read_bytes()) == len(expected.read_bytes())


@pytest.mark.parametrize("name", RUNS)
def test_run_resumes_as_in_version_0_1(command, tmp_path, name):
    shutil.copytree(FIXTURES / name, tmp_path / "run")
    assert command(app.main, f"resume {tmp_path / 'run'} --steps 4 --devices 1")[0] == 0
    step, leaves = leaf_digests(tmp_path / "run")
    expected = recorded_leaves(name, 4)
    if not same_machine():  # compare dtypes and shapes only
        leaves, expected = (
            {path: text.rpartition(" ")[0] for path, text in descriptions.items()}
            for descriptions in (leaves, expected)
        )
    assert (step, leaves) == (4, expected)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["_type"] == "Config"


@pytest.mark.parametrize("name", RUNS)
def test_run_is_reproduced(command, tmp_path, name):
    out = tmp_path / "run"
    status, text, _ = command(app.main, f"reproduce {FIXTURES / name} --out {out}")
    if same_machine():
        assert status == 0, text
        assert leaf_digests(out) == (2, recorded_leaves(name, 2))
        return
    rows, recorded_rows = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (out, FIXTURES / name)
    )
    assert len(rows) == len(recorded_rows) == 2
    for row, expected in zip(rows, recorded_rows, strict=True):
        for metric, value in expected.items():
            np.testing.assert_allclose(row[metric], value, rtol=1e-3, atol=1e-5, err_msg=metric)


def test_record_agrees_with_its_run(command):
    path = FIXTURES / "record" / "digits_cgan.json"
    status, text, _ = command(app.main, f"compare {path} {FIXTURES / 'population'}")
    assert (status, "metrics: 2 rows, to six digits" in text) == (0, True)


def test_exported_file_is_loaded_and_sampled(command, tmp_path):
    path = FIXTURES / "images.jaxexport"
    assert load.load_generator(path).step == 2
    assert command(app.main, f"sample {path} --num-samples 4 --out {tmp_path / 'a.png'}")[0] == 0
    assert_close_pixels(tmp_path / "a.png", FIXTURES / "images_samples.png")


def test_prepared_data_set_is_the_same(command, tmp_path):
    recorded, prepared = FIXTURES / "prepared", tmp_path / "again"
    command(app.main, f"prepare {FIXTURES / 'pictures'} --size 4 --out {prepared}")
    assert (recorded / "prepared.json").read_bytes() == (prepared / "prepared.json").read_bytes()
    actual, expected = (
        sources.load(ImageData("prepared", path=str(folder), labels=True))
        for folder in (prepared, recorded)
    )
    assert actual.fingerprint == expected.fingerprint
    np.testing.assert_array_equal(actual.labels, expected.labels)
    rows = np.arange(6)
    np.testing.assert_array_equal(actual.batch.real[rows], expected.batch.real[rows])


def test_fixtures_are_small_and_contain_no_machine_paths():
    sizes, roots = {}, [os.fsencode(f"/{name}/") for name in ("home", "root", "tmp", "work")]
    for path in FIXTURES.rglob("*"):
        if path.is_file():
            entry = path.relative_to(FIXTURES).parts[0]
            content = path.read_bytes()
            sizes[entry] = sizes.get(entry, 0) + len(content)
            assert not [root for root in roots if root in content], path
    assert max(sizes.values()) < 200_000

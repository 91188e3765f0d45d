"""Runs held against each other: equal ones agree; whatever is changed is named, with its step."""

import json
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from gan_jax import train
from gan_jax.cli import app, reproduce
from gan_jax.config import ImageData, Logging, Runtime, serialization
from gan_jax.data import sources
from gan_jax.reporting import record
from gan_jax.runs import compare
from gan_jax.runs import folder as run_folder
from tests.helpers import small
from tests.helpers.paths import REPOSITORY

pytestmark = pytest.mark.integration

STEPS = 6
LOGGING = Logging(log_every=2, checkpoint_every=3, sample_every=3)
RUNTIME = Runtime(skip_limit=7)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    """The digits as a file of a user's own."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, images=sources.load(ImageData("digits")).batch.real[:200])
    return path


@pytest.fixture(scope="module")
def config(pixels):
    return small.config(data=ImageData("npz", path=str(pixels)), steps=STEPS)


@pytest.fixture(scope="module")
def done(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("done") / "run"
    small.fit(config, folder, logging=LOGGING, runtime=RUNTIME)
    return folder


def test_a_run_is_reproduced(done, tmp_path, command):
    """On one device, as it was trained, of the eight that are here."""
    status, said, _ = command(app.main, f"reproduce {done} --out {tmp_path / 'again'}")
    assert status == 0
    for line in ("metrics: 3 rows", "state: 2 in both", "samples: 2 in both", "the runs agree"):
        assert line in said
    status, said, _ = command(app.main, f"compare {done} {tmp_path / 'again'}")
    assert (status, said.count("the runs agree")) == (0, 1)
    status, said, _ = command(app.main, f"reproduce {done} --steps 3")
    assert status == 0
    assert "metrics: 1 rows" in said


@pytest.mark.parametrize(("device", "count"), [({"count": 2}, 2), ({"count": 99}, 8), ("?", 8)])
def test_it_takes_the_devices_on_record_where_they_are(done, tmp_path, monkeypatch, device, count):
    class AskedError(Exception):
        pass

    def fit(*_, devices, **options):
        assert options == {"logging": LOGGING, "runtime": RUNTIME}
        raise AskedError(len(devices))

    shutil.copytree(done, tmp_path / "run")
    versions = run_folder.load_versions(done) | {"device": device}
    (tmp_path / "run" / "versions.json").write_text(json.dumps(versions))
    monkeypatch.setattr(train, "fit", fit)
    with pytest.raises(AskedError, match=f"^{count}$"):
        reproduce.reproduce(tmp_path / "run", tmp_path / "again", None, None)


def test_another_hyper_parameter_is_named(done, config, tmp_path, command):
    copy = tmp_path / "run"
    shutil.copytree(done, copy)
    other = config.replace(ema_half_life=200.0, gen_opt=config.disc_opt)
    (copy / "config.json").write_text(serialization.dumps(other))
    small.fit(other, tmp_path / "other", logging=LOGGING)
    status, said, _ = command(app.main, f"compare {done} {tmp_path / 'other'}")
    assert status == 1
    assert "config: ema_half_life is 100.0 in the first run, 200.0 in the second" in said
    assert "metrics: step 2, " in said
    assert "state: step 3 differs (2 of 2)" in said
    assert "samples: step_00000003.png differs (2 of 2)" in said
    # A folder whose config was tampered with says one thing and holds another.
    status, said, _ = command(app.main, f"reproduce {copy} --steps 3")
    assert status == 1
    assert "the runs differ, with the same recorded config" in said


def test_another_pixel_is_named(done, pixels, command):
    whole = pixels.read_bytes()
    images = np.load(pixels)["images"].copy()
    images[17, 3, 3] ^= 64
    try:
        np.savez(pixels, images=images)
        status, said, _ = command(app.main, f"reproduce {done}")
    finally:
        pixels.write_bytes(whole)
    assert status == 1
    assert "data: data.fingerprint is" in said
    assert "state: step" in said


def test_another_version_is_named_though_the_numbers_agree(done, tmp_path, command):
    copy = tmp_path / "run"
    shutil.copytree(done, copy)
    versions = json.loads((copy / "versions.json").read_text())
    versions["packages"]["jax"] = "0.0.1"
    (copy / "versions.json").write_text(json.dumps(versions))
    status, said, _ = command(app.main, f"compare {copy} {done}")
    assert status == 0
    assert "versions: packages.jax is '0.0.1' in the first run" in said


def test_a_result_is_compared_to_six_digits(done, tmp_path):
    path = record.write_record([done], [[{"score": 1.0}]], tmp_path)
    there, here = compare.load_run_record(path), compare.load_run_record(done)
    assert there.rounded
    assert not here.rounded
    verdict = compare.compare(there, here)
    assert (verdict.differences, verdict.context) == ([], [])
    text = json.loads(path.read_text())
    text["curve"]["gen_loss"][1] *= 1 + 2e-5
    path.write_text(json.dumps(text))
    (where,) = compare.compare(compare.load_run_record(path), here).differences
    assert where.startswith("metrics: step 4, gen_loss: ")
    assert "relative difference 2.0e-05" in where


def test_a_result_on_record_is_reproduced(tmp_path):
    """In a process as a user has it: one device, and none of the flags of these tests."""
    path = REPOSITORY / "experiments" / "results" / "ring_mlp.json"
    versions = compare.load_run_record(path).versions
    here = run_folder.environment(jax.devices())
    ours, theirs = (
        (one["packages"]["jax"], one["device"].get("processor", "AMD EPYC"), one["device"]["cores"])
        for one in (here, versions)
    )
    if ours != theirs:
        pytest.skip(f"jax, processor and cores are {ours}, those of the result {theirs}")
    words = ["-m", "gan_jax", "reproduce", str(path), "--steps", "200", "--out", "run"]
    environment = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "metrics: 2 rows, to six digits" in done.stdout
    assert "the runs agree" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("reproduce {done} --steps 0", "steps must be at least 1, got 0"),
        ("reproduce {done} --steps 1", "steps must be at least 2, the first recorded row, got 1"),
        ("reproduce {done} --out {done}", "out must be a new folder"),
        ("reproduce {done}/film.png", "is neither a run folder nor a result file"),
        ("compare {done} {done}/samples", "is not a run folder"),
    ],
)
def test_bad_input(done, command, words, said):
    status, _, err = command(app.main, words.format(done=done))
    assert (status, err.count("\n")) == (2, 1)
    assert said in err

"""Comparing and reproducing runs: equal runs agree, and differences are reported by step."""

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
    """Writes the digits to an npz file, as a data set of a user."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, images=sources.load(ImageData("digits")).batch.real[:200])
    return path


@pytest.fixture(scope="module")
def config(pixels):
    return small.config(data=ImageData("npz", path=str(pixels)), steps=STEPS)


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("done") / "run"
    small.fit(config, folder, logging=LOGGING, runtime=RUNTIME)
    return folder


def test_a_run_is_reproduced(finished, tmp_path, command):
    """Reproduces on one of the eight devices, as many as the run was trained on."""
    status, output, _ = command(app.main, f"reproduce {finished} --out {tmp_path / 'again'}")
    assert status == 0
    for line in ("metrics: 3 rows", "state: 2 in both", "samples: 2 in both", "the runs agree"):
        assert line in output
    status, output, _ = command(app.main, f"compare {finished} {tmp_path / 'again'}")
    assert (status, output.count("the runs agree")) == (0, 1)
    status, output, _ = command(app.main, f"reproduce {finished} --steps 3")
    assert status == 0
    assert "metrics: 1 rows" in output


@pytest.mark.parametrize(("device", "count"), [({"count": 2}, 2), ({"count": 99}, 8), ("?", 8)])
def test_reproduce_uses_the_recorded_device_count_if_available(
    finished, tmp_path, monkeypatch, device, count
):
    class FitCalledError(Exception):
        pass

    def fit(*_, devices, **options):
        assert options == {"logging": LOGGING, "runtime": RUNTIME}
        raise FitCalledError(len(devices))

    shutil.copytree(finished, tmp_path / "run")
    versions = run_folder.load_versions(finished) | {"device": device}
    (tmp_path / "run" / "versions.json").write_text(json.dumps(versions))
    monkeypatch.setattr(train, "fit", fit)
    with pytest.raises(FitCalledError, match=f"^{count}$"):
        reproduce.reproduce(tmp_path / "run", tmp_path / "again", None, None)


def test_a_different_hyperparameter_is_reported(finished, config, tmp_path, command):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    other = config.replace(ema_half_life=200.0, gen_opt=config.disc_opt)
    (copy / "config.json").write_text(serialization.dumps(other))
    small.fit(other, tmp_path / "other", logging=LOGGING)
    status, output, _ = command(app.main, f"compare {finished} {tmp_path / 'other'}")
    assert status == 1
    assert "config: ema_half_life is 100.0 in the first run, 200.0 in the second" in output
    assert "metrics: step 2, " in output
    assert "state: step 3 differs (2 of 2)" in output
    assert "samples: step_00000003.png differs (2 of 2)" in output
    # The copy has the config of one run and the results of another.
    status, output, _ = command(app.main, f"reproduce {copy} --steps 3")
    assert status == 1
    assert "the runs differ, with the same recorded config" in output


def test_a_different_pixel_is_reported(finished, pixels, command):
    original = pixels.read_bytes()
    images = np.load(pixels)["images"].copy()
    images[17, 3, 3] ^= 64
    try:
        np.savez(pixels, images=images)
        status, output, _ = command(app.main, f"reproduce {finished}")
    finally:
        pixels.write_bytes(original)
    assert status == 1
    assert "data: data.fingerprint is" in output
    assert "state: step" in output


def test_a_different_version_is_reported_although_the_runs_agree(finished, tmp_path, command):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    versions = json.loads((copy / "versions.json").read_text())
    versions["packages"]["jax"] = "0.0.1"
    (copy / "versions.json").write_text(json.dumps(versions))
    status, output, _ = command(app.main, f"compare {copy} {finished}")
    assert status == 0
    assert "versions: packages.jax is '0.0.1' in the first run" in output


def test_a_record_is_compared_to_six_digits(finished, tmp_path):
    path = record.write_record([finished], [[{"score": 1.0}]], tmp_path)
    recorded, run = compare.load_run_record(path), compare.load_run_record(finished)
    assert recorded.rounded
    assert not run.rounded
    comparison = compare.compare(recorded, run)
    assert (comparison.differences, comparison.context) == ([], [])
    fields = json.loads(path.read_text())
    fields["curve"]["gen_loss"][1] *= 1 + 2e-5
    path.write_text(json.dumps(fields))
    (difference,) = compare.compare(compare.load_run_record(path), run).differences
    assert difference.startswith("metrics: step 4, gen_loss: ")
    assert "relative difference 2.0e-05" in difference


def test_a_published_record_is_reproduced(tmp_path):
    """Runs in a new process with one device and without the compiler flags of the tests."""
    path = REPOSITORY / "experiments" / "results" / "ring_mlp.json"
    versions = compare.load_run_record(path).versions
    environment = run_folder.environment(jax.devices())
    current, recorded = (
        (
            entry["packages"]["jax"],
            entry["device"].get("processor", "AMD EPYC"),
            entry["device"]["cores"],
        )
        for entry in (environment, versions)
    )
    if current != recorded:
        pytest.skip(f"jax, processor and cores are {current}, those of the record {recorded}")
    arguments = ["-m", "gan_jax", "reproduce", str(path), "--steps", "200", "--out", "run"]
    variables = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.run(
        [sys.executable, *arguments],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    assert "metrics: 2 rows, to six digits" in process.stdout
    assert "the runs agree" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("reproduce {run} --steps 0", "steps must be at least 1, got 0"),
        ("reproduce {run} --steps 1", "steps must be at least 2, the first recorded row, got 1"),
        ("reproduce {run} --out {run}", "out must be a new folder"),
        ("reproduce {run}/film.png", "is neither a run folder nor a result file"),
        ("compare {run} {run}/samples", "is not a run folder"),
    ],
)
def test_bad_input_is_one_error_line(finished, command, arguments, message):
    status, _, error = command(app.main, arguments.format(run=finished))
    assert (status, error.count("\n")) == (2, 1)
    assert message in error

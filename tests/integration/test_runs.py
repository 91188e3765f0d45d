"""Runs in separate processes: rerun, stop and resume, kill, and faults of the disk."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from gan_jax import train
from gan_jax.config import Logging, Runtime
from gan_jax.core import locking
from gan_jax.core.errors import UserError
from gan_jax.losses import adversarial
from gan_jax.runs import digest, metrics_log
from gan_jax.runs import folder as run_folder
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.restore import restore
from tests.helpers import small

TRAIN = """
import json, sys
from pathlib import Path
import jax
jax.config.update("jax_compilation_cache_dir", {cache!r})
from gan_jax import train
from gan_jax.config import serialization
from gan_jax.core import command_line
if len(sys.argv) > 4:  # maximum file size in bytes, to simulate a full disk
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
config = serialization.loads(Path(sys.argv[1], "config.json").read_text())
settings = json.loads(Path(sys.argv[1], "settings.json").read_text())
logging, runtime = serialization.load_settings(settings, "settings.json")
with command_line.user_errors():
    config = config.replace(steps=int(sys.argv[3]))
    train.fit(config, sys.argv[2], logging=logging, runtime=runtime)
"""


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Starts a run of small.CONFIG in a new process: launch(workdir, steps, ...) -> Popen."""

    def start(workdir, steps, limit=None, stderr=subprocess.DEVNULL, logging=small.LOGGING):
        folder = tmp_path_factory.mktemp("start")
        run_folder.write_config(folder, small.CONFIG)
        run_folder.write_settings(folder, logging, Runtime())
        code = TRAIN.format(cache=jax.config.jax_compilation_cache_dir)
        arguments = [folder, workdir, steps] + ([] if limit is None else [limit])
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stderr=stderr,
            env={**os.environ, "XLA_FLAGS": ""},  # one device
        )

    return start


def final_state(workdir, step):
    return restore(workdir, step)[2]


def assert_same_run(a, b, step):
    assert (a / "metrics.jsonl").read_bytes() == (b / "metrics.jsonl").read_bytes()
    names = sorted(path.name for path in (a / "samples").iterdir())
    assert f"step_{step:08d}.png" in names
    for name in names:
        assert (a / "samples" / name).read_bytes() == (b / "samples" / name).read_bytes()
    small.assert_same_bits(final_state(a, step), final_state(b, step))


@pytest.fixture(scope="module")
def uninterrupted(launch, tmp_path_factory):
    """Trains 23 steps without interruption. Tests must not modify the folder."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    assert launch(folder, 23).wait() == 0
    return folder


LONG = 3000  # number of steps, enough to interrupt a run before its end
OFTEN = Logging(log_every=100, checkpoint_every=250, sample_every=1000)
RARELY = Logging(log_every=3, checkpoint_every=10**6, sample_every=10**6)


@pytest.fixture(scope="module")
def long_run(launch, tmp_path_factory):
    """Trains LONG steps without interruption. Tests must not modify the folder."""
    folder = tmp_path_factory.mktemp("runs") / "long"
    assert launch(folder, LONG, logging=OFTEN).wait() == 0
    return folder


def test_rerun_in_a_new_process_has_the_same_bits(launch, uninterrupted, tmp_path):
    assert launch(tmp_path / "again", 23).wait() == 0
    assert_same_run(uninterrupted, tmp_path / "again", 23)
    rows = metrics_log.read_metrics(uninterrupted)
    assert rows["step"].tolist() == list(range(3, 24, 3))
    assert np.isfinite(rows["disc_loss"]).all()


def test_run_stopped_at_an_odd_step_resumes_in_a_new_process(launch, uninterrupted, tmp_path):
    assert launch(tmp_path / "cut", 7).wait() == 0
    assert launch(tmp_path / "cut", 23).wait() == 0
    (tmp_path / "cut" / "samples" / "step_00000007.png").unlink()  # every launch ends with a grid
    assert_same_run(uninterrupted, tmp_path / "cut", 23)
    launches = json.loads((tmp_path / "cut" / "timing.json").read_text())
    assert [(entry["from_step"], entry["to_step"]) for entry in launches] == [(0, 7), (7, 23)]


@pytest.mark.nightly
@pytest.mark.parametrize(("signal_number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_killed_run_resumes_to_the_same_bits(launch, long_run, tmp_path, signal_number, status):
    process = launch(tmp_path / "cut", LONG, logging=OFTEN)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list((tmp_path / "cut").glob("checkpoints/[0-9]*")):
        time.sleep(0.02)
    process.send_signal(signal_number)
    assert process.wait() == status
    rows = metrics_log.read_metrics(tmp_path / "cut")["step"]
    assert rows[-1] < LONG  # it was interrupted before its end
    assert launch(tmp_path / "cut", LONG, logging=OFTEN).wait() == 0
    assert_same_run(tmp_path / "cut", long_run, LONG)


def test_run_resumes_on_other_devices(tmp_path):
    config = small.config(steps=5)
    small.fit(config, tmp_path / "run")
    state = small.fit(small.config(steps=8), tmp_path / "run", devices=4)
    single, _ = small.train_state(small.config(steps=8))
    # Sums in another order, amplified by Adam, as in test_contracts.
    small.assert_trees_close(state, single, rtol=1e-3, atol=2e-4)


# When a read fails, orbax closes the event loop of the other reads or never awaits them.
ignore_orbax_warnings = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning",
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)


@ignore_orbax_warnings
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(tmp_path, caplog):
    folder = tmp_path / "run"
    small.fit(small.config(steps=10), folder)
    for path in (folder / "checkpoints" / "10").rglob("d/*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    state = small.fit(small.config(steps=10), folder)
    assert "checkpoint 10 is damaged and skipped" in caplog.text
    expected, _ = small.train_state(small.config(steps=10))
    small.assert_same_bits(state, expected)
    small.assert_same_bits(final_state(folder, 10), expected)  # checkpoint 10 was rewritten
    assert metrics_log.read_metrics(folder)["step"].tolist() == [3, 6, 9]


@ignore_orbax_warnings
def test_a_flipped_bit_is_detected(tmp_path, caplog):
    """Digests detect a flipped bit in any array file, even where orbax does not."""
    folder = tmp_path / "run"
    expected = small.leaves(small.fit(small.config(steps=10), folder))
    files = sorted((folder / "checkpoints" / "10").rglob("d/*"))
    assert files
    random = np.random.default_rng(0)
    for path in files:
        content = bytearray(path.read_bytes())
        content[random.integers(len(content))] ^= 1 << random.integers(8)
        path.write_bytes(content)
    state = small.fit(small.config(steps=10), folder)
    assert "checkpoint 10 is damaged and skipped" in caplog.text
    for name, leaf in small.leaves(state).items():
        assert leaf.tobytes() == expected[name].tobytes(), name


def test_digests_depend_on_every_bit_and_survive_torn_files(tmp_path):
    state, _ = small.train_state(small.config(steps=1))
    state_digest = digest.digest(state)
    assert state_digest == digest.digest(jax.device_get(state.replace(key=state.key)))
    copy = jax.tree.map(lambda leaf: leaf, state)
    kernel = np.array(copy.gen.params["Dense_0"]["kernel"])
    kernel.view(np.uint32)[3, 1] ^= 1
    params = {**copy.gen.params, "Dense_0": {**copy.gen.params["Dense_0"], "kernel": kernel}}
    assert digest.digest(state.replace(gen=state.gen.replace(params=params))) != state_digest
    for step, text in ((5, "a"), (10, "b"), (5, "c")):
        digest.write_digest(tmp_path, step, text)
    with (tmp_path / digest.FILE_NAME).open("a") as file:
        file.write('{"step": 15, "sha')  # truncated
    assert digest.read_digests(tmp_path) == {5: "c", 10: "b"}
    assert digest.read_digests(tmp_path / "nowhere") == {}


def test_a_full_disk_is_one_error_line_and_the_run_can_be_resumed(launch, uninterrupted, tmp_path):
    """A failed write of metrics or a checkpoint ends with status 2 and names the file.

    Complete files stay intact. Once there is space again, the run resumes to the bits of an
    uninterrupted one.
    """
    folder = tmp_path / "full"
    assert launch(folder, 7).wait() == 0
    for limit, cause in ((1200, "json"), (14_000, "checkpoint")):
        process = launch(folder, 23, limit=limit, stderr=subprocess.PIPE)
        stderr = process.communicate()[1].decode()
        assert process.returncode == 2
        (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
        assert "cannot be written: " in line
        assert cause in line
    assert launch(folder, 23).wait() == 0
    (folder / "samples" / "step_00000007.png").unlink()
    assert_same_run(uninterrupted, folder, 23)


def test_a_run_folder_is_locked_by_one_process_at_a_time(launch, tmp_path):
    """The error names the owner of the lock. Killing the owner releases it."""
    process = launch(tmp_path / "run", 10**6, logging=RARELY)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (tmp_path / "run" / "metrics.jsonl").exists():
        time.sleep(0.02)
    process_id = process.pid
    with pytest.raises(UserError, match=rf"is in use by process {process_id} on .*, since"):
        small.fit(small.config(steps=10**6), tmp_path / "run")
    process.kill()
    process.wait()
    with locking.lock_folder(tmp_path / "run"):
        second = locking.lock_folder(tmp_path / "run")
        with pytest.raises(UserError, match=f"process {os.getpid()} on"), second:
            pass
    with locking.lock_folder(tmp_path / "run"):
        pass


def test_a_launch_without_the_lock_writes_nothing(tmp_path):
    with (
        locking.lock_folder(tmp_path),
        pytest.raises(UserError, match=f"in use by process {os.getpid()} on"),
    ):
        small.fit(small.config(steps=3), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.lock"]


def test_a_lock_file_that_cannot_be_opened_is_one_error_line(tmp_path):
    (tmp_path / "run.lock").mkdir()
    with (
        pytest.raises(UserError, match=r"run.lock cannot be written: Is a directory"),
        locking.lock_folder(tmp_path),
    ):
        pass


def test_reading_a_run_keeps_a_checkpoint_that_is_being_written(tmp_path):
    small.fit(small.config(steps=3), tmp_path / "run")
    unfinished = tmp_path / "run" / "checkpoints" / "9.orbax-checkpoint-tmp"
    unfinished.mkdir()
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=None) as checkpoints:
        assert checkpoints.steps() == [3]
    assert unfinished.is_dir()


def test_a_run_killed_during_setup_is_restarted(tmp_path):
    (tmp_path / "versions.json").write_text("{")
    (tmp_path / "config.json.part").write_text("{")
    (tmp_path / "run.lock").touch()
    small.fit(small.config(steps=3), tmp_path)
    assert run_folder.load_config(tmp_path) == small.config(steps=3)


def test_a_run_killed_after_its_last_checkpoint_is_completed(tmp_path):
    small.fit(small.config(steps=3), tmp_path)
    (tmp_path / "film.png").unlink()
    small.fit(small.config(steps=3), tmp_path)
    assert (tmp_path / "film.png").exists()
    assert [entry["to_step"] for entry in json.loads((tmp_path / "timing.json").read_text())] == [3]


def test_nonfinite_updates_stop_the_run_with_the_last_good_checkpoint(tmp_path, monkeypatch):
    folder, runtime = tmp_path / "run", Runtime(skip_limit=20)
    small.fit(small.config(steps=5), folder)
    nan_loss = adversarial.GanLoss(
        lambda real, fake: (real * jax.numpy.nan).mean(), adversarial.relativistic_gen
    )
    monkeypatch.setattr(adversarial, "gan_loss", lambda name, smoothing: nan_loss)
    # Not `small.fit`, which may reuse a program compiled with the original loss.
    config, devices = small.config(steps=400), jax.local_devices()[:1]
    with (
        jax.debug_nans(False),
        pytest.raises(UserError, match=r"20 steps in a row .* checkpoint is of step 5"),
    ):
        train.fit(
            config, folder, devices=devices, runtime=runtime, logging=small.LOGGING, quiet=True
        )
    with Checkpoints(folder / "checkpoints", 3) as checkpoints:
        assert checkpoints.steps() == [5]

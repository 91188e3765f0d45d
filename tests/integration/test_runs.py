"""Runs on the disk, in processes of their own: rerun, stop and resume, kill; and their faults."""

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
if len(sys.argv) > 4:  # no file may grow beyond so many bytes: as on a full disk
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
        given = tmp_path_factory.mktemp("start")
        run_folder.write_config(given, small.CONFIG)
        run_folder.write_settings(given, logging, Runtime())
        code = TRAIN.format(cache=jax.config.jax_compilation_cache_dir)
        words = [given, workdir, steps] + ([] if limit is None else [limit])
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
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
def unbroken(launch, tmp_path_factory):
    """A run of 23 steps that nothing stops. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    assert launch(folder, 23).wait() == 0
    return folder


LONG = 3000  # steps, enough to be stopped among them
OFTEN = Logging(log_every=100, checkpoint_every=250, sample_every=1000)
RARELY = Logging(log_every=3, checkpoint_every=10**6, sample_every=10**6)


@pytest.fixture(scope="module")
def long_run(launch, tmp_path_factory):
    """A run of LONG steps that nothing stops. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "long"
    assert launch(folder, LONG, logging=OFTEN).wait() == 0
    return folder


def test_rerun_in_a_new_process(launch, unbroken, tmp_path):
    assert launch(tmp_path / "again", 23).wait() == 0
    assert_same_run(unbroken, tmp_path / "again", 23)
    rows = metrics_log.read_metrics(unbroken)
    assert rows["step"].tolist() == list(range(3, 24, 3))
    assert np.isfinite(rows["disc_loss"]).all()


def test_stop_at_an_odd_step_and_resume_in_a_new_process(launch, unbroken, tmp_path):
    assert launch(tmp_path / "cut", 7).wait() == 0
    assert launch(tmp_path / "cut", 23).wait() == 0
    (tmp_path / "cut" / "samples" / "step_00000007.png").unlink()  # an end is a reason for a grid
    assert_same_run(unbroken, tmp_path / "cut", 23)
    launches = json.loads((tmp_path / "cut" / "timing.json").read_text())
    assert [(entry["from_step"], entry["to_step"]) for entry in launches] == [(0, 7), (7, 23)]


@pytest.mark.nightly
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_kill_and_resume(launch, long_run, tmp_path, number, status):
    process = launch(tmp_path / "cut", LONG, logging=OFTEN)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list((tmp_path / "cut").glob("checkpoints/[0-9]*")):
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait() == status
    rows = metrics_log.read_metrics(tmp_path / "cut")["step"]
    assert rows[-1] < LONG  # it was stopped in the middle
    assert launch(tmp_path / "cut", LONG, logging=OFTEN).wait() == 0
    assert_same_run(tmp_path / "cut", long_run, LONG)


def test_resume_on_other_devices(tmp_path):
    config = small.config(steps=5)
    small.fit(config, tmp_path / "run")
    state = small.fit(small.config(steps=8), tmp_path / "run", devices=4)
    one, _ = small.train_state(small.config(steps=8))
    # As in test_contracts: the order of sums, through Adam.
    small.assert_trees_close(state, one, rtol=1e-3, atol=2e-4)


# After a read fails, orbax closes the event loop of the other reads, or never awaits them.
FAILED_READS = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning",
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)


@FAILED_READS
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(tmp_path, caplog):
    folder = tmp_path / "run"
    small.fit(small.config(steps=10), folder)
    for path in (folder / "checkpoints" / "10").rglob("d/*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    state = small.fit(small.config(steps=10), folder)
    assert "checkpoint 10 is damaged and skipped" in caplog.text
    whole, _ = small.train_state(small.config(steps=10))
    small.assert_same_bits(state, whole)
    small.assert_same_bits(final_state(folder, 10), whole)  # written again
    assert metrics_log.read_metrics(folder)["step"].tolist() == [3, 6, 9]


@FAILED_READS
def test_a_flipped_bit_is_found(tmp_path, caplog):
    """Anywhere in any file of the arrays' bytes: orbax may not notice, the digest does."""
    folder = tmp_path / "run"
    whole = small.leaves(small.fit(small.config(steps=10), folder))
    files = sorted((folder / "checkpoints" / "10").rglob("d/*"))
    assert files
    random = np.random.default_rng(0)
    for path in files:
        body = bytearray(path.read_bytes())
        body[random.integers(len(body))] ^= 1 << random.integers(8)
        path.write_bytes(body)
    state = small.fit(small.config(steps=10), folder)
    assert "checkpoint 10 is damaged and skipped" in caplog.text
    for name, leaf in small.leaves(state).items():
        assert leaf.tobytes() == whole[name].tobytes(), name


def test_digests(tmp_path):
    state, _ = small.train_state(small.config(steps=1))
    found = digest.digest(state)
    assert found == digest.digest(jax.device_get(state.replace(key=state.key)))
    flat = jax.tree.map(lambda leaf: leaf, state)
    weight = np.array(flat.gen.params["Dense_0"]["kernel"])
    weight.view(np.uint32)[3, 1] ^= 1
    params = {**flat.gen.params, "Dense_0": {**flat.gen.params["Dense_0"], "kernel": weight}}
    assert digest.digest(state.replace(gen=state.gen.replace(params=params))) != found
    for step, text in ((5, "a"), (10, "b"), (5, "c")):
        digest.write_digest(tmp_path, step, text)
    with (tmp_path / digest.FILE_NAME).open("a") as file:
        file.write('{"step": 15, "sha')  # cut short
    assert digest.read_digests(tmp_path) == {5: "c", 10: "b"}
    assert digest.read_digests(tmp_path / "nowhere") == {}


def test_a_full_disk(launch, unbroken, tmp_path):
    """Metrics, or a checkpoint, cannot be written: one line that names the file, status 2; what was
    whole stays whole, and with room again the run goes on to the bits of one that never stopped."""
    folder = tmp_path / "full"
    assert launch(folder, 7).wait() == 0
    for limit, cause in ((1200, "json"), (14_000, "checkpoint")):
        process = launch(folder, 23, limit=limit, stderr=subprocess.PIPE)
        said = process.communicate()[1].decode()
        assert process.returncode == 2
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        assert "cannot be written: " in line
        assert cause in line
    assert launch(folder, 23).wait() == 0
    (folder / "samples" / "step_00000007.png").unlink()
    assert_same_run(unbroken, folder, 23)


def test_a_folder_is_trained_in_once_at_a_time(launch, tmp_path):
    """A second process is refused and told who holds it; a killed one holds nothing."""
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
        again = locking.lock_folder(tmp_path / "run")
        with pytest.raises(UserError, match=f"process {os.getpid()} on"), again:
            pass
    with locking.lock_folder(tmp_path / "run"):
        pass


def test_of_two_that_begin_at_once_the_second_writes_nothing(tmp_path):
    with (
        locking.lock_folder(tmp_path),
        pytest.raises(UserError, match=f"in use by process {os.getpid()} on"),
    ):
        small.fit(small.config(steps=3), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.lock"]


def test_a_lock_that_cannot_be_opened_is_said_in_one_line(tmp_path):
    (tmp_path / "run.lock").mkdir()
    with (
        pytest.raises(UserError, match=r"run.lock cannot be written: Is a directory"),
        locking.lock_folder(tmp_path),
    ):
        pass


def test_reading_a_run_leaves_what_is_being_written(tmp_path):
    small.fit(small.config(steps=3), tmp_path / "run")
    being_written = tmp_path / "run" / "checkpoints" / "9.orbax-checkpoint-tmp"
    being_written.mkdir()
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=None) as checkpoints:
        assert checkpoints.steps() == [3]
    assert being_written.is_dir()


def test_a_run_killed_before_it_was_ready_is_started_over(tmp_path):
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
    broken = adversarial.GanLoss(
        lambda real, fake: (real * jax.numpy.nan).mean(), adversarial.relativistic_gen
    )
    monkeypatch.setattr(adversarial, "gan_loss", lambda name, smoothing: broken)
    # Not a shared program, which would hold the good loss.
    config, one = small.config(steps=400), jax.local_devices()[:1]
    with (
        jax.debug_nans(False),
        pytest.raises(UserError, match=r"20 steps in a row .* checkpoint is of step 5"),
    ):
        train.fit(config, folder, devices=one, runtime=runtime, logging=small.LOGGING, quiet=True)
    with Checkpoints(folder / "checkpoints", 3) as checkpoints:
        assert checkpoints.steps() == [5]

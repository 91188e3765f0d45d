"""Faults injected into a run: signals, lost files, NaN and clock jumps.

Faults of processes and of the disk are in test_runs.py, of several processes in
test_distributed.py.
"""

import dataclasses
import itertools
import os
import signal
import types

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax import train
from gan_jax.config import ImageData, Runtime
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import order, sources
from gan_jax.runs import folder, metrics_log
from gan_jax.runs.checkpoint import Checkpoints
from tests.helpers import small

pytestmark = pytest.mark.integration

DEVICES = jax.local_devices()[:1]


@pytest.fixture
def call_at_step(monkeypatch):
    """Returns call_at_step(step, action): a run calls action() once, when it reaches the step."""

    def schedule(step, action):
        original, pending = train.iterate, [action]

        def iterate(*args, **options):
            for item in original(*args, **options):
                if item[0] >= step and pending:
                    pending.pop()()
                yield item

        monkeypatch.setattr(train, "iterate", iterate)

    return schedule


@pytest.mark.parametrize(("signal_number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_run_with_a_checkpoint_and_its_status(
    tmp_path, call_at_step, signal_number, status, capfd
):
    call_at_step(4, lambda: os.kill(os.getpid(), signal_number))
    with pytest.raises(SystemExit) as system_exit:
        small.fit(small.config(), tmp_path / "run")
    assert system_exit.value.code == status
    stderr = capfd.readouterr().err
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=None) as checkpoints:
        stop_step = checkpoints.steps()[-1]
    assert 4 <= stop_step < small.CONFIG.steps
    name = signal.Signals(signal_number).name
    assert f"{name}: stopped at step {stop_step}; run it again" in stderr
    state = small.fit(small.config(), tmp_path / "run")
    small.assert_same_bits(state, small.train_state(small.CONFIG)[0])
    assert metrics_log.read_metrics(tmp_path / "run")["step"].tolist() == [3, 6, 9, 12]


def test_an_image_that_is_deleted_during_a_run(tmp_path, call_at_step):
    """The current launch is unaffected, since it has read the image.

    The next launch reports different data and changes no file. Once the image is restored, the run
    can be resumed.
    """
    random, folder = np.random.default_rng(0), tmp_path / "pictures"
    folder.mkdir()
    for i in range(20):
        pixels = random.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    config = small.config(data=ImageData("folder", path=str(folder), channels=1))
    path = folder / "07.png"
    expected = small.fit(config, tmp_path / "whole")
    content = path.read_bytes()
    call_at_step(4, lambda: path.unlink())
    state = small.fit(config, tmp_path / "run")
    assert not path.exists()
    small.assert_same_bits(state, expected)
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    longer = config.replace(steps=14)
    with pytest.raises(
        UserError, match=r"holds a run on other data: fingerprint must be \w+, got \w+"
    ):
        small.fit(longer, tmp_path / "run")
    assert before == {file: file.read_bytes() for file in before}
    path.write_bytes(content)
    state = small.fit(longer, tmp_path / "run")
    assert int(state.step) == 14


def test_steps_with_nan_gradients_are_skipped_and_counted(tmp_path, monkeypatch):
    """Only the steps with the NaN example are skipped, and the state stays finite."""
    config = small.config(steps=20)
    logging = dataclasses.replace(small.LOGGING, log_every=1)
    dataset = sources.load(config.data)
    real = dataset.batch.real.astype(np.float32) / 255
    images, nan_index = real[:100].copy(), 90
    images[nan_index] = np.nan
    nan_dataset = dataclasses.replace(dataset, batch=dataset.batch.replace(real=images))
    monkeypatch.setattr(sources, "load", lambda _: nan_dataset)
    with jax.debug_nans(False):
        state = small.fit(config, tmp_path / "run", logging=logging, runtime=Runtime(skip_limit=10))
    root = keys.root_key(config.seed)
    batches = [order.indices(root, step, 2, config.batch_size, 100) for step in range(20)]
    has_nan = [bool((np.asarray(indices) == nan_index).any()) for indices in batches]
    assert 3 < sum(has_nan) < 17
    assert metrics_log.read_metrics(tmp_path / "run")["skipped"].tolist() == has_nan
    assert int(state.skipped) == sum(has_nan)
    for name, leaf in small.leaves(state).items():
        assert np.isfinite(leaf).all(), name
    assert folder.load_config(tmp_path / "run") == config


@pytest.mark.parametrize("jump", [-1e9, 0.0, 1e9], ids=["backward", "frozen", "forward"])
def test_clock_jumps_do_not_change_a_run(tmp_path, monkeypatch, jump):
    """The clock jumps whenever it is read. State and rows equal those of any other run."""
    reads = itertools.count()
    clock = types.SimpleNamespace(
        monotonic=lambda: jump * next(reads),
        time=lambda: jump * next(reads),
        strftime=lambda _: "1970-01-01 00:00:00",
    )
    for name in ("train", "core.progress", "core.locking", "runs.timing", "training.loop"):
        monkeypatch.setattr(f"gan_jax.{name}.time", clock)
    state = train.fit(small.config(), tmp_path / "run", devices=DEVICES, logging=small.LOGGING)
    small.assert_same_bits(state, small.train_state(small.CONFIG)[0])
    assert metrics_log.read_metrics(tmp_path / "run")["step"].tolist() == [3, 6, 9, 12]
    resumed = train.fit(small.config(), tmp_path / "run", devices=DEVICES, logging=small.LOGGING)
    small.assert_same_bits(state, resumed)

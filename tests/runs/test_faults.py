"""Faults inside a run, injected for real. Those of processes and of the disk are in test_runs.py,
of several processes in test_distributed.py."""

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

ONE = jax.local_devices()[:1]


@pytest.fixture
def at(monkeypatch):
    """at(step, act): calls act(), once, when a run has done so many steps."""

    def plan(step, act):
        real, left = train.iterate, [act]

        def watched(*args, **options):
            for item in real(*args, **options):
                if item[0] >= step and left:
                    left.pop()()
                yield item

        monkeypatch.setattr(train, "iterate", watched)

    return plan


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_a_checkpoint_and_its_status(tmp_path, at, number, status, capfd):
    at(4, lambda: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as left:
        small.fit(small.config(), tmp_path / "run")
    assert left.value.code == status
    said = capfd.readouterr().err
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=None) as checkpoints:
        stopped = checkpoints.steps()[-1]
    assert 4 <= stopped < small.CONFIG.steps
    assert f"{signal.Signals(number).name}: stopped at step {stopped}; run it again" in said
    state = small.fit(small.config(), tmp_path / "run")
    small.assert_same_bits(state, small.train_state(small.CONFIG)[0])
    assert metrics_log.read_metrics(tmp_path / "run")["step"].tolist() == [3, 6, 9, 12]


def test_a_picture_that_vanishes_during_a_run(tmp_path, at):
    """The run at hand has read it. The next launch has other data, says so, and touches nothing;
    with the picture back it goes on."""
    random, pictures = np.random.default_rng(0), tmp_path / "pictures"
    pictures.mkdir()
    for i in range(20):
        pixels = random.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(pictures / f"{i:02d}.png")
    config = small.config(data=ImageData("folder", path=str(pictures), channels=1))
    lost = pictures / "07.png"
    whole = small.fit(config, tmp_path / "whole")
    kept = lost.read_bytes()
    at(4, lambda: lost.unlink())
    state = small.fit(config, tmp_path / "run")
    assert not lost.exists()
    small.assert_same_bits(state, whole)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    longer = config.replace(steps=14)
    with pytest.raises(
        UserError, match=r"holds a run on other data: fingerprint must be \w+, got \w+"
    ):
        small.fit(longer, tmp_path / "run")
    assert before == {path: path.read_bytes() for path in before}
    lost.write_bytes(kept)
    state = small.fit(longer, tmp_path / "run")
    assert int(state.step) == 14


def test_nan_in_some_gradients(tmp_path, monkeypatch):
    """One example of NaNs: the steps that see it are skipped and counted, no other, and nothing
    that is kept is touched by it."""
    config = small.config(steps=20)
    logging = dataclasses.replace(small.LOGGING, log_every=1)
    dataset = sources.load(config.data)
    real = dataset.batch.real.astype(np.float32) / 255
    few, bad = real[:100].copy(), 90
    few[bad] = np.nan
    broken = dataclasses.replace(dataset, batch=dataset.batch.replace(real=few))
    monkeypatch.setattr(sources, "load", lambda _: broken)
    with jax.debug_nans(False):
        state = small.fit(config, tmp_path / "run", logging=logging, runtime=Runtime(skip_limit=10))
    root = keys.root_key(config.seed)
    seen = [
        bool((np.asarray(order.indices(root, step, 2, config.batch_size, 100)) == bad).any())
        for step in range(20)
    ]
    assert 3 < sum(seen) < 17
    assert metrics_log.read_metrics(tmp_path / "run")["skipped"].tolist() == seen
    assert int(state.skipped) == sum(seen)
    for name, leaf in small.leaves(state).items():
        assert np.isfinite(leaf).all(), name
    assert folder.load_config(tmp_path / "run") == config


@pytest.mark.parametrize("jump", [-1e9, 0.0, 1e9], ids=["back", "stands", "ahead"])
def test_a_clock_that_jumps(tmp_path, monkeypatch, jump):
    """At each look at it. The bits and rows are those of any other run."""
    looks = itertools.count()
    jumping = types.SimpleNamespace(
        monotonic=lambda: jump * next(looks),
        time=lambda: jump * next(looks),
        strftime=lambda _: "1970-01-01 00:00:00",
    )
    for name in ("train", "core.progress", "core.locking", "runs.timing", "training.loop"):
        monkeypatch.setattr(f"gan_jax.{name}.time", jumping)
    state = train.fit(small.config(), tmp_path / "run", devices=ONE, logging=small.LOGGING)
    small.assert_same_bits(state, small.train_state(small.CONFIG)[0])
    assert metrics_log.read_metrics(tmp_path / "run")["step"].tolist() == [3, 6, 9, 12]
    again = train.fit(small.config(), tmp_path / "run", devices=ONE, logging=small.LOGGING)
    small.assert_same_bits(state, again)

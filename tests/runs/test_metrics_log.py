"""metrics.jsonl and timing.json stay consistent over stops, kills and disk faults."""

import json
import os
import types
from pathlib import Path

import numpy as np
import pytest

from gan_jax.core import files
from gan_jax.core.errors import UserError
from gan_jax.runs import metrics_log
from gan_jax.runs import timing as runs_timing


def row(step):
    return json.dumps({"step": step, "loss": step / 4}) + "\n"


def rows(*steps):
    return "".join(map(row, steps))


def losses(first, count):
    return {"loss": np.arange(first, first + count, dtype=np.float32) / 4}


@pytest.mark.parametrize("old_text", [None, "old"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "fsync"), (Path, "replace"), (None, "unencodable text after encodable text")],
)
def test_a_failing_write_atomically_keeps_the_old_text(
    tmp_path, monkeypatch, owner, name, old_text
):
    path = tmp_path / "file"
    if old_text is not None:
        path.write_text(old_text)

    def fail(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        if owner is not None:
            patch.setattr(owner, name, fail)
        with pytest.raises((UserError, UnicodeEncodeError)):
            files.write_atomically(path, "new" * 10_000 + ("" if owner else "\ud800"))
    assert (path.read_text() if path.exists() else None) == old_text
    files.write_atomically(path, "new")  # leftovers of the failure do not matter
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "step", "expected"),
    [
        (None, 0, ""),
        ("", 5, ""),
        (rows(3, 6), 6, rows(3, 6)),
        (rows(3, 6), 7, rows(3, 6)),
        (rows(3, 6, 9, 12), 7, rows(3, 6)),  # rows after the checkpoint are written again
        (rows(3, 6, 9, 9, 9), 7, rows(3, 6)),
        (rows(3, 6), 0, ""),
        (rows(3, 6) + row(9)[:-8], 9, rows(3, 6)),  # truncated
        (rows(3, 6) + row(9)[:-1], 9, rows(3, 6)),  # truncated before the line end
        (rows(3) + row(6)[:-8] + "\n" + rows(9), 9, rows(3, 9)),
        (rows(3) + "\0\0\0\0", 9, rows(3)),  # as some file systems leave a file after a power cut
        (rows(3) + '12\nnull\n{}\n{"step": null}\n[]\n', 99, rows(3)),  # valid JSON, but not rows
    ],
)
def test_the_log_continues_after_the_step(tmp_path, text, step, expected):
    path = tmp_path / "metrics.jsonl"
    if text is not None:
        path.write_text(text)
    log = metrics_log.MetricsLog(path, 3, step)
    assert path.read_text() == expected
    log.write(100, losses(100, 3))
    assert path.read_text() == expected + row(102)


@pytest.mark.parametrize("checkpoint_step", [1, 5, 8, 10])
def test_resumed_run_has_the_rows_of_an_uninterrupted_one(tmp_path, checkpoint_step):
    """The run was killed after logging step 10, at or after its last checkpoint."""
    path, uninterrupted = tmp_path / "metrics.jsonl", tmp_path / "whole.jsonl"
    for first, count in ((1, 4), (5, 2), (7, 10)):
        metrics_log.MetricsLog(uninterrupted, 2, first - 1).write(first, losses(first, count))
    metrics_log.MetricsLog(path, 2, 0).write(1, losses(1, 10))
    with path.open("a") as file:
        file.write(row(12)[:9])
    first = checkpoint_step + 1
    log = metrics_log.MetricsLog(path, 2, checkpoint_step)
    log.write(first, losses(first, 16 - checkpoint_step))
    assert path.read_bytes() == uninterrupted.read_bytes()
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps == list(range(2, 17, 2))


@pytest.mark.parametrize(
    ("every", "first", "count", "logged"),
    [(1, 1, 3, [1, 2, 3]), (4, 1, 9, [4, 8]), (4, 4, 1, [4]), (4, 5, 3, []), (10, 11, 9, [])],
)
def test_rows_are_multiples_of_the_logging_interval(tmp_path, every, first, count, logged):
    path = tmp_path / "metrics.jsonl"
    metrics_log.MetricsLog(path, every, first - 1).write(first, losses(first, count))
    assert path.read_text() == rows(*logged)


def test_every_finite_float32_is_read_with_the_same_bits(tmp_path):
    bits = np.random.default_rng(0).integers(2**32, size=2000, dtype=np.uint64).astype(np.uint32)
    smallest, info = np.float32(1e-45), np.finfo(np.float32)
    extremes = np.float32(
        [0.0, -0.0, smallest, -smallest, info.tiny, info.max, info.min, 0.1, 1 / 3]
    )
    values = np.concatenate([bits.view(np.float32), extremes])
    values = values[np.isfinite(values)]
    metrics_log.MetricsLog(tmp_path / "metrics.jsonl", 1, 0).write(1, {"loss": values})
    loss = metrics_log.read_metrics(tmp_path)["loss"]
    assert loss.dtype == np.float64
    assert loss.astype(np.float32).tobytes() == values.tobytes()
    # Numbers are written as the shortest decimal of the float32, not of the float64.
    assert '"loss": 0.1}' in (tmp_path / "metrics.jsonl").read_text()


def test_nonfinite_values_are_null_and_read_as_nan(tmp_path):
    values = np.float32([np.nan, np.inf, -np.inf, 1.5])
    metrics_log.MetricsLog(tmp_path / "metrics.jsonl", 1, 0).write(1, {"loss": values})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert lines[:3] == [f'{{"step": {step}, "loss": null}}' for step in (1, 2, 3)]
    metrics = metrics_log.read_metrics(tmp_path)
    assert list(metrics) == ["step", "loss"]
    assert metrics["step"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(metrics["loss"], [np.nan, np.nan, np.nan, 1.5])


def test_a_log_without_rows_is_read_as_no_steps(tmp_path):
    metrics_log.MetricsLog(tmp_path / "metrics.jsonl", 1, 0)
    metrics = metrics_log.read_metrics(tmp_path)
    assert {name: values.tolist() for name, values in metrics.items()} == {"step": []}


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Returns launch(step) -> (a Timing, its clock). Tests advance the clock by `clock.now`."""
    monkeypatch.setattr(runs_timing, "launch_command", lambda: "python -m it")

    def start(step):
        clock = types.SimpleNamespace(now=100.0)
        monkeypatch.setattr(runs_timing, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
        return runs_timing.Timing(tmp_path / "timing.json", [7], step, {"jax": f"of {step}"}), clock

    return start


def entry(first, last, seconds):
    """Returns the entry of a launch that took 1.5 s to be ready and 2 s for its first step."""
    return {
        "command": "python -m it",
        "seeds": [7],
        "from_step": first,
        "ready_seconds": 1.5,
        "to_step": last,
        "train_seconds": seconds,
        "first_step_seconds": 2.0,
        "versions": {"jax": f"of {first}"},
    }


def train(timing, clock, first, last):
    """Simulates a launch up to a checkpoint at step `last`, 10 s after its first step."""
    clock.now += 1.5
    timing.ready(1.5)
    clock.now += 2
    timing.on_chunk(types.SimpleNamespace(step=first + 1))
    clock.now += 10
    timing.on_chunk(types.SimpleNamespace(step=last))
    timing.write()


@pytest.mark.parametrize("resume_step", [10, 8])  # 8: killed before checkpoint 10 was complete
def test_timing_has_an_entry_per_launch(launch, tmp_path, resume_step):
    def read_entries():
        return json.loads((tmp_path / "timing.json").read_text())

    timing, clock = launch(0)
    train(timing, clock, 0, 10)
    assert read_entries() == [entry(0, 10, 12.0)]
    timing, clock = launch(resume_step)
    assert read_entries() == [entry(0, 10, 12.0)]  # no step is done yet
    timing.on_end(None, stopped=False)
    assert read_entries() == [entry(0, 10, 12.0)]  # the launch ended without a step
    train(timing, clock, resume_step, 20)
    clock.now += 3  # writing the last checkpoint
    timing.on_end(None, stopped=False)
    first = entry(0, resume_step, 12.0) | ({} if resume_step == 10 else {"undone": True})
    assert read_entries() == [first, entry(resume_step, 20, 15.0)]


@pytest.mark.parametrize(
    "text", ["", "{", "5", "[1]", '"text"', "[{}]", '[{"to_step": null}]', "\0", b"\xff"]
)
def test_a_damaged_timing_file_is_one_error_line(launch, tmp_path, text):
    path = tmp_path / "timing.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        launch(3)
    assert str(error.value).startswith(f"{path} is damaged: ")
    assert "\n" not in str(error.value)

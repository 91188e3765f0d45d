"""metrics.jsonl and timing.json: what is kept over stops, kills and faults of the disk."""

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


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "fsync"), (Path, "replace"), (None, "text that cannot be encoded, after some that can")],
)
def test_write_atomically_leaves_the_old_text_if_it_fails(tmp_path, monkeypatch, owner, name, old):
    path = tmp_path / "file"
    if old is not None:
        path.write_text(old)

    def refuse(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        if owner is not None:
            patch.setattr(owner, name, refuse)
        with pytest.raises((UserError, UnicodeEncodeError)):
            files.write_atomically(path, "new" * 10_000 + ("" if owner else "\ud800"))
    assert (path.read_text() if path.exists() else None) == old
    files.write_atomically(path, "new")  # what the fault left is no hindrance
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "step", "kept"),
    [
        (None, 0, ""),
        ("", 5, ""),
        (rows(3, 6), 6, rows(3, 6)),
        (rows(3, 6), 7, rows(3, 6)),
        (rows(3, 6, 9, 12), 7, rows(3, 6)),  # rows after the checkpoint: they come again
        (rows(3, 6, 9, 9, 9), 7, rows(3, 6)),
        (rows(3, 6), 0, ""),
        (rows(3, 6) + row(9)[:-8], 9, rows(3, 6)),  # torn
        (rows(3, 6) + row(9)[:-1], 9, rows(3, 6)),  # torn before its line end
        (rows(3) + row(6)[:-8] + "\n" + rows(9), 9, rows(3, 9)),
        (rows(3) + "\0\0\0\0", 9, rows(3)),  # as some file systems leave a file at a power cut
        (rows(3) + '12\nnull\n{}\n{"step": null}\n[]\n', 99, rows(3)),  # JSON, but no rows
    ],
)
def test_the_log_goes_on_after_the_step(tmp_path, text, step, kept):
    path = tmp_path / "metrics.jsonl"
    if text is not None:
        path.write_text(text)
    log = metrics_log.MetricsLog(path, 3, step)
    assert path.read_text() == kept
    log.write(100, losses(100, 3))
    assert path.read_text() == kept + row(102)


@pytest.mark.parametrize("cut", [1, 5, 8, 10])
def test_a_run_cut_anywhere_and_resumed_has_the_rows_of_an_unbroken_one(tmp_path, cut):
    """Steps up to 10 were logged when it died; the checkpoint is of step `cut`."""
    path, whole = tmp_path / "metrics.jsonl", tmp_path / "whole.jsonl"
    for first, count in ((1, 4), (5, 2), (7, 10)):
        metrics_log.MetricsLog(whole, 2, first - 1).write(first, losses(first, count))
    metrics_log.MetricsLog(path, 2, 0).write(1, losses(1, 10))
    with path.open("a") as file:
        file.write(row(12)[:9])
    metrics_log.MetricsLog(path, 2, cut).write(cut + 1, losses(cut + 1, 16 - cut))
    assert path.read_bytes() == whole.read_bytes()
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps == list(range(2, 17, 2))


@pytest.mark.parametrize(
    ("every", "first", "count", "due"),
    [(1, 1, 3, [1, 2, 3]), (4, 1, 9, [4, 8]), (4, 4, 1, [4]), (4, 5, 3, []), (10, 11, 9, [])],
)
def test_rows_are_of_the_steps_that_are_due(tmp_path, every, first, count, due):
    path = tmp_path / "metrics.jsonl"
    metrics_log.MetricsLog(path, every, first - 1).write(first, losses(first, count))
    assert path.read_text() == rows(*due)


def test_every_float32_comes_back_bit_by_bit(tmp_path):
    bits = np.random.default_rng(0).integers(2**32, size=2000, dtype=np.uint64).astype(np.uint32)
    least, info = np.float32(1e-45), np.finfo(np.float32)
    extremes = np.float32([0.0, -0.0, least, -least, info.tiny, info.max, info.min, 0.1, 1 / 3])
    values = np.concatenate([bits.view(np.float32), extremes])
    values = values[np.isfinite(values)]
    metrics_log.MetricsLog(tmp_path / "metrics.jsonl", 1, 0).write(1, {"loss": values})
    found = metrics_log.read_metrics(tmp_path)["loss"]
    assert found.dtype == np.float64
    assert found.astype(np.float32).tobytes() == values.tobytes()
    # The shortest decimal, not all digits of the double.
    assert '"loss": 0.1}' in (tmp_path / "metrics.jsonl").read_text()


def test_nonfinite_values_are_null_and_read_as_nan(tmp_path):
    values = np.float32([np.nan, np.inf, -np.inf, 1.5])
    metrics_log.MetricsLog(tmp_path / "metrics.jsonl", 1, 0).write(1, {"loss": values})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert lines[:3] == [f'{{"step": {step}, "loss": null}}' for step in (1, 2, 3)]
    found = metrics_log.read_metrics(tmp_path)
    assert list(found) == ["step", "loss"]
    assert found["step"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(found["loss"], [np.nan, np.nan, np.nan, 1.5])


def test_a_log_without_rows_is_read_as_no_steps(tmp_path):
    metrics_log.MetricsLog(tmp_path / "metrics.jsonl", 1, 0)
    found = metrics_log.read_metrics(tmp_path)
    assert {name: values.tolist() for name, values in found.items()} == {"step": []}


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """launch(step) -> (a Timing, its clock): the clock is set by hand."""
    monkeypatch.setattr(runs_timing, "launch_command", lambda: "python -m it")

    def start(step):
        clock = types.SimpleNamespace(now=100.0)
        monkeypatch.setattr(runs_timing, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
        return runs_timing.Timing(tmp_path / "timing.json", [7], step, {"jax": f"of {step}"}), clock

    return start


def entry(first, last, seconds):
    """What is on record of a launch whose first step took 2 s, and that was ready after 1.5."""
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
    """A launch that came to a checkpoint at `last`, 10 s after its first step."""
    clock.now += 1.5
    timing.ready(1.5)
    clock.now += 2
    timing.on_chunk(types.SimpleNamespace(step=first + 1))
    clock.now += 10
    timing.on_chunk(types.SimpleNamespace(step=last))
    timing.write()


@pytest.mark.parametrize("resumed", [10, 8])  # 8: killed before the checkpoint was whole
def test_timing_over_an_end_and_a_resume(launch, tmp_path, resumed):
    def on_record():
        return json.loads((tmp_path / "timing.json").read_text())

    timing, clock = launch(0)
    train(timing, clock, 0, 10)
    assert on_record() == [entry(0, 10, 12.0)]
    timing, clock = launch(resumed)
    assert on_record() == [entry(0, 10, 12.0)]  # nothing is done yet
    timing.on_end(None, stopped=False)
    assert on_record() == [entry(0, 10, 12.0)]  # nor was anything
    train(timing, clock, resumed, 20)
    clock.now += 3  # the last checkpoint
    timing.on_end(None, stopped=False)
    first = entry(0, resumed, 12.0) | ({} if resumed == 10 else {"undone": True})
    assert on_record() == [first, entry(resumed, 20, 15.0)]


@pytest.mark.parametrize(
    "text", ["", "{", "5", "[1]", '"text"', "[{}]", '[{"to_step": null}]', "\0", b"\xff"]
)
def test_a_damaged_timing_is_an_error_of_one_line(launch, tmp_path, text):
    path = tmp_path / "timing.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        launch(3)
    assert str(caught.value).startswith(f"{path} is damaged: ")
    assert "\n" not in str(caught.value)

"""Progress reports: lines without a terminal, a bar on a terminal, or nothing."""

import io
import sys
import types

import pytest

from gan_jax.core import progress


class Stream(io.StringIO):
    """Substitute for stderr; `flushed` is the text written before the last flush."""

    terminal = False
    flushed = ""

    def isatty(self):
        return self.terminal

    def flush(self):
        self.flushed = self.getvalue()


@pytest.fixture
def follow(monkeypatch):
    """Function of update calls, [(time, steps)], to the stream they write to."""

    def report(calls, *, done=0, total=10, quiet=False, terminal=False):
        stream, clock = Stream(), types.SimpleNamespace(now=0.0)
        stream.terminal = terminal
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
        monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
        bar = progress.Progress(done, total, 16, quiet=quiet)
        for now, steps in calls:
            clock.now = now
            bar.update(steps, {"disc_loss": 1.25, "gen_loss": -0.5})
        bar.close()
        return stream

    return report


def test_rate_excludes_the_first_call(follow):
    # The first step compiles for 900 s. Then 11 steps in 20 s: 0.55 per second, of 16 examples.
    output = follow([(900, 1), (910, 1), (920, 10)], total=100)
    assert output.getvalue().splitlines() == [
        "step 1/100, compiled, disc_loss 1.250 gen_loss -0.500",
        "step 2/100, 2 examples/s, 980 s left, disc_loss 1.250 gen_loss -0.500",
        "step 12/100, 9 examples/s, 160 s left, disc_loss 1.250 gen_loss -0.500",
    ]


def test_resumed_run_counts_from_its_checkpoint(follow):
    # Steps before the checkpoint do not count for the rate: 20 steps in 10 s, 30 left.
    output = follow([(1000, 10), (1010, 20)], done=40, total=100)
    lines = [line.split(", disc_loss")[0] for line in output.getvalue().splitlines()]
    assert lines == ["step 50/100, compiled", "step 70/100, 32 examples/s, 15 s left"]


@pytest.mark.parametrize(
    ("calls", "steps"),
    [
        # At the first call, then at least ten seconds after the previous line.
        ([(0, 1), (9, 1), (10, 1), (19, 1), (20.5, 1), (30, 1), (31, 1)], [1, 3, 5, 7]),
        ([(0, 10)], [10]),  # the only call
        ([(0, 1), (1, 5), (2, 4)], [1, 10]),  # the last step, soon after the first line
        ([(0, 1), (15, 8), (16, 1)], [1, 9, 10]),  # ... and soon after another line
    ],
)
def test_line_every_ten_seconds_and_for_the_last_step(follow, calls, steps):
    lines = follow([(5000 + now, count) for now, count in calls]).getvalue().splitlines()
    assert [line.split("/")[0] for line in lines] == [f"step {step}" for step in steps]


def test_two_calls_at_the_same_time_do_not_divide_by_zero(follow):
    assert ", 0 s left" in follow([(5, 1), (5, 9)]).getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_prints_nothing(follow, capsys, terminal):
    output = follow([(1000, 1), (1020, 1), (1040, 8)], quiet=True, terminal=terminal)
    assert output.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_terminal_shows_a_bar_and_no_lines(follow):
    output = follow([(1000, 1), (1010, 5)], done=4, terminal=True).getvalue()
    first, *_, last = output.split("\r")[1:]
    assert "4/10" in first
    assert "10/10" in last
    assert "8 examples/s, 0 s left, disc_loss 1.250 gen_loss -0.500" in last
    assert "step 10/10" not in output


def test_lines_are_flushed_and_do_not_touch_stdout(follow, capsys):
    output = follow([(1000, 1)])
    assert output.flushed.startswith("step 1/10")
    assert capsys.readouterr().out == ""

"""Consecutive skipped steps: when runs stop, and which members are reported."""

import itertools
import logging
import types

import numpy as np
import pytest

from gan_jax.config.sweeps import Sweep
from gan_jax.core.errors import UserError
from gan_jax.training.hooks import Chunk
from gan_jax.training.nonfinite import NonFiniteGuard
from tests.helpers import small


def make_guard(row, seeds=(), limit=3, saved=0):
    """Return the guard of a run or population that resumes with `row` skipped steps in a row."""
    state = types.SimpleNamespace(skipped_in_row=np.int32(row), step=saved)
    return NonFiniteGuard(small.config(seeds=seeds), state, limit)


def pass_chunk(guard, step, skipped):
    """Pass the guard a chunk that ends at `step`, with these skipped updates."""
    first = step - len(skipped) + 1
    guard.on_chunk(Chunk(first, step, None, {"skipped": skipped}, last=False))


def skipped_steps(text):
    """Parse skipped steps: `..x` is a run that skipped its third step; `.x x.` two members."""
    members = [[float(step == "x") for step in member] for member in text.split()]
    return np.float32(members[0] if len(members) == 1 else np.transpose(members))


def outcome(guard, text, ends, caplog):
    """Return the members reported, whether the run stopped, and whether it is pending."""
    caplog.clear()
    rows, stopped = skipped_steps(text), False
    ends = [0, *ends, len(rows)]
    for first, last in itertools.pairwise(ends):
        try:
            pass_chunk(guard, last, rows[first:last])
        except UserError:
            stopped = True
            break
    reported = [record.getMessage().split(":")[0] for record in caplog.records]
    return reported, stopped, None if stopped else guard.pending


@pytest.mark.parametrize(
    ("text", "stops", "pending"),
    [
        ("......", False, False),
        ("xx.xx.", False, False),
        ("xx.xx", False, True),
        ("..x", False, True),
        (".xxx", True, None),
        ("xxx...", True, None),  # a later finite step in the same chunk does not undo it
        ("xxxxxx", True, None),
    ],
)
def test_run_stops_at_the_limit(text, stops, pending, caplog):
    for end in range(1, len(text)):
        assert outcome(make_guard(0), text, [end], caplog) == ([], stops, pending)


def test_error_states_the_steps_and_the_last_checkpoint(caplog):
    guard = make_guard(0, saved=5)
    pass_chunk(guard, 7, skipped_steps("xx"))
    guard.saved = 6
    with pytest.raises(UserError) as error:
        pass_chunk(guard, 8, skipped_steps("x"))
    assert "3 steps in a row had non-finite updates, by step 8" in str(error.value)
    assert "the last checkpoint is of step 6" in str(error.value)
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "reported", "stops", "pending"),
    [
        ("...... ......", [], False, False),
        ("xx.xx. .x.x.x", [], False, True),
        ("xxx... ......", ["member 0 (seed 7)"], False, False),
        ("...xxx ......", ["member 0 (seed 7)"], False, False),  # diverged: not pending
        ("...xxx .....x", ["member 0 (seed 7)"], False, True),
        ("xxxxxx xx.xxx", ["member 0 (seed 7)"], True, None),
        ("xxx... ...xxx", ["member 0 (seed 7)", "member 1 (seed 4)"], False, False),
        ("xxx... ..xxx.", ["member 0 (seed 7)", "member 1 (seed 4)"], False, False),
        ("xxx... xxx...", [], True, None),
        ("xxxx.. .xxx..", ["member 0 (seed 7)"], True, None),
        ("xxxx.xxx .xxxxxx.", ["member 0 (seed 7)"], True, None),
        ("xxx.xxx .......", ["member 0 (seed 7)"] * 2, False, False),  # recovers, diverges again
    ],
)
def test_population_continues_while_a_member_does(text, reported, stops, pending, caplog):
    length = len(text.split()[0])
    every_step = list(range(1, length))
    for ends in ([], every_step, *([end] for end in every_step)):
        assert outcome(make_guard([0, 0], (7, 4)), text, ends, caplog) == (reported, stops, pending)


def test_diverged_member_is_reported_once_with_its_number_and_seed(caplog):
    guard = make_guard([0, 0, 0], (7, 4, 9))
    pass_chunk(guard, 10, skipped_steps("..... .xxxx ....."))
    pass_chunk(guard, 15, skipped_steps("..... xxxxx ....."))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    text = "member 1 (seed 4): 3 steps in a row had non-finite updates, by step 10"
    assert record.getMessage() == text


def test_seeds_of_a_sweep_are_reported(caplog):
    state = types.SimpleNamespace(skipped_in_row=np.zeros(4, np.int32), step=0)
    sweep = (Sweep("gen_opt.lr", (1e-3, 2e-3)),)
    guard = NonFiniteGuard(small.config(seeds=(7, 4), sweep=sweep), state, 2)
    pass_chunk(guard, 2, skipped_steps(".. .. .. xx"))
    assert "member 3 (seed 4): 2 steps" in caplog.text


def test_guard_resumes_from_the_count_in_the_state(caplog):
    assert make_guard(2).pending
    assert outcome(make_guard(2), "x", [], caplog) == ([], True, None)
    assert outcome(make_guard(2), ".xx", [], caplog) == ([], False, True)
    assert not make_guard([3, 0], (7, 4)).pending
    assert make_guard([3, 2], (7, 4)).pending
    # Member 0 was reported before.
    assert outcome(make_guard([3, 2], (7, 4)), "x .", [], caplog) == ([], False, False)
    assert outcome(make_guard([3, 2], (7, 4)), "x x", [], caplog) == ([], True, None)
    assert outcome(make_guard([3, 2], (7, 4)), ". x", [], caplog) == (
        ["member 1 (seed 4)"],
        False,
        False,
    )


@pytest.mark.parametrize("seed", range(20))
def test_resuming_at_any_step_does_not_change_the_outcome(seed, caplog):
    """The run is split at a random step and resumed from the count in the state."""
    rng = np.random.default_rng(seed)
    rows = np.float32(rng.random((30, 3)) < 0.75)
    text = " ".join("".join("x" if step else "." for step in member) for member in rows.T)
    uninterrupted = outcome(make_guard([0, 0, 0], (7, 4, 9)), text, [], caplog)
    cut = int(rng.integers(1, 29))
    reported, stopped, pending = outcome(
        make_guard([0, 0, 0], (7, 4, 9)),
        " ".join(member[:cut] for member in text.split()),
        [],
        caplog,
    )
    if not stopped:
        skipped_in_row = [
            len(member[:cut]) - len(member[:cut].rstrip("x")) for member in text.split()
        ]
        rest = " ".join(member[cut:] for member in text.split())
        reported_later, stopped, pending = outcome(
            make_guard(skipped_in_row, (7, 4, 9)), rest, [], caplog
        )
        reported += reported_later
    assert (reported, stopped, pending) == uninterrupted

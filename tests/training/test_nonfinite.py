"""Counting skipped steps in a row: when a run stops, whom it names, when it may be kept."""

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


def skips(row, seeds=(), limit=3, saved=0):
    """The guard of a run, or of the members with these seeds, that go on from `row`."""
    state = types.SimpleNamespace(skipped_in_row=np.int32(row), step=saved)
    return NonFiniteGuard(small.config(seeds=seeds), state, limit)


def count(guard, step, skipped):
    """A chunk ends at the step with these skipped updates."""
    first = step - len(skipped) + 1
    guard.on_chunk(Chunk(first, step, None, {"skipped": skipped}, last=False))


def steps(text):
    """`..x` is a run of which the third step was skipped; `.x x.` two members."""
    members = [[float(step == "x") for step in one] for one in text.split()]
    return np.float32(members[0] if len(members) == 1 else np.transpose(members))


def outcome(counter, text, cuts, capture):
    """(who was named, whether it stopped, whether it is pending) of the chunks between the cuts."""
    capture.clear()
    rows, stopped = steps(text), False
    cuts = [0, *cuts, len(rows)]
    for first, last in itertools.pairwise(cuts):
        try:
            count(counter, last, rows[first:last])
        except UserError:
            stopped = True
            break
    named = [record.getMessage().split(":")[0] for record in capture.records]
    return named, stopped, None if stopped else counter.pending


@pytest.mark.parametrize(
    ("text", "stops", "pending"),
    [
        ("......", False, False),
        ("xx.xx.", False, False),
        ("xx.xx", False, True),
        ("..x", False, True),
        (".xxx", True, None),
        ("xxx...", True, None),  # a good step after it, in the same chunk, does not undo it
        ("xxxxxx", True, None),
    ],
)
def test_a_run_stops_at_the_limit(text, stops, pending, caplog):
    for cut in range(1, len(text)):
        assert outcome(skips(0), text, [cut], caplog) == ([], stops, pending)


def test_it_says_how_many_steps_when_and_what_there_is(caplog):
    counter = skips(0, saved=5)
    count(counter, 7, steps("xx"))
    counter.saved = 6
    with pytest.raises(UserError) as error:
        count(counter, 8, steps("x"))
    assert "3 steps in a row had non-finite updates, by step 8" in str(error.value)
    assert "the last checkpoint is of step 6" in str(error.value)
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "named", "stops", "pending"),
    [
        ("...... ......", [], False, False),
        ("xx.xx. .x.x.x", [], False, True),
        ("xxx... ......", ["member 0 (seed 7)"], False, False),
        ("...xxx ......", ["member 0 (seed 7)"], False, False),  # lost: no reason to wait
        ("...xxx .....x", ["member 0 (seed 7)"], False, True),
        ("xxxxxx xx.xxx", ["member 0 (seed 7)"], True, None),
        ("xxx... ...xxx", ["member 0 (seed 7)", "member 1 (seed 4)"], False, False),
        ("xxx... ..xxx.", ["member 0 (seed 7)", "member 1 (seed 4)"], False, False),
        ("xxx... xxx...", [], True, None),
        ("xxxx.. .xxx..", ["member 0 (seed 7)"], True, None),
        ("xxxx.xxx .xxxxxx.", ["member 0 (seed 7)"], True, None),
        (
            "xxx.xxx .......",
            ["member 0 (seed 7)"] * 2,
            False,
            False,
        ),  # it was found, and lost again
    ],
)
def test_a_population_goes_on_while_a_member_does(text, named, stops, pending, caplog):
    length = len(text.split()[0])
    every_step = list(range(1, length))
    for cuts in ([], every_step, *([cut] for cut in every_step)):
        assert outcome(skips([0, 0], (7, 4)), text, cuts, caplog) == (named, stops, pending)


def test_a_lost_member_is_named_with_its_number_and_seed_once(caplog):
    counter = skips([0, 0, 0], (7, 4, 9))
    count(counter, 10, steps("..... .xxxx ....."))
    count(counter, 15, steps("..... xxxxx ....."))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    text = "member 1 (seed 4): 3 steps in a row had non-finite updates, by step 10"
    assert record.getMessage() == text


def test_seeds_of_a_sweep_are_named(caplog):
    state = types.SimpleNamespace(skipped_in_row=np.zeros(4, np.int32), step=0)
    sweep = (Sweep("gen_opt.lr", (1e-3, 2e-3)),)
    counter = NonFiniteGuard(small.config(seeds=(7, 4), sweep=sweep), state, 2)
    count(counter, 2, steps(".. .. .. xx"))
    assert "member 3 (seed 4): 2 steps" in caplog.text


def test_it_goes_on_from_what_the_state_has_counted(caplog):
    assert skips(2).pending
    assert outcome(skips(2), "x", [], caplog) == ([], True, None)
    assert outcome(skips(2), ".xx", [], caplog) == ([], False, True)
    assert not skips([3, 0], (7, 4)).pending
    assert skips([3, 2], (7, 4)).pending
    assert outcome(skips([3, 2], (7, 4)), "x .", [], caplog) == ([], False, False)  # named before
    assert outcome(skips([3, 2], (7, 4)), "x x", [], caplog) == ([], True, None)
    assert outcome(skips([3, 2], (7, 4)), ". x", [], caplog) == (
        ["member 1 (seed 4)"],
        False,
        False,
    )


@pytest.mark.parametrize("seed", range(20))
def test_stops_and_resumes_change_nothing(seed, caplog):
    """Cut anywhere, and begun again from the count in the state, it comes to the same end."""
    random = np.random.default_rng(seed)
    rows = np.float32(random.random((30, 3)) < 0.75)
    text = " ".join("".join("x" if step else "." for step in one) for one in rows.T)
    whole = outcome(skips([0, 0, 0], (7, 4, 9)), text, [], caplog)
    cut = int(random.integers(1, 29))
    named, stopped, pending = outcome(
        skips([0, 0, 0], (7, 4, 9)), " ".join(one[:cut] for one in text.split()), [], caplog
    )
    if not stopped:
        row = [len(one[:cut]) - len(one[:cut].rstrip("x")) for one in text.split()]
        rest = " ".join(one[cut:] for one in text.split())
        more, stopped, pending = outcome(skips(row, (7, 4, 9)), rest, [], caplog)
        named += more
    assert (named, stopped, pending) == whole

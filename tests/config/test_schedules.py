"""Schedules: parsing, values at and between the ends, and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.config import Optimizer, schedules
from gan_jax.config.schedules import Schedule
from gan_jax.core.errors import UserError
from tests.helpers import small

# Magnitudes of rates and weights. Beyond them float32 loses the relation between the ends.
ENDS = st.floats(-1e6, 1e6, width=32)
SCHEDULES = st.builds(
    *(Schedule, ENDS, ENDS, st.integers(1, 2**31 - 1)),
    st.sampled_from(["linear", "cosine"]),
    st.sampled_from(["steps", "images"]),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("0", 0.0),
        ("-1.5", -1.5),
        ("2e-4:5e-5:20000", Schedule(2e-4, 5e-5, 20000)),
        ("2e-4:5e-5:20000:linear", Schedule(2e-4, 5e-5, 20000)),
        ("0:1:1:cosine", Schedule(0.0, 1.0, 1, "cosine")),
    ],
)
def test_parse(text, value):
    assert schedules.parse(text) == value


@given(SCHEDULES)
def test_parse_inverts_str(schedule):
    assert schedules.parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, repr(text)) for text in ("", "fast", "0x10", "1:2", "1:2:x", "1:2:1.5", ":::")),
        (
            "1:2:3:linear:5",
            "value must be a number or START:END:STEPS[:linear|cosine], got '1:2:3:linear:5'",
        ),
        ("1:2:0", "steps must be at least 1, got 0"),
        ("1:2:-3", "steps must be at least 1, got -3"),
        ("1:2:3:square", "shape must be one of linear, cosine, got 'square'"),
        ("1:2:3:", "shape must be one of linear, cosine, got ''"),
        ("nan:1:5", "finite, got nan and 1.0"),
        ("0:inf:5", "finite, got 0.0 and inf"),
        ("1:-inf:5:cosine", "finite, got 1.0 and -inf"),
    ],
)
def test_parse_errors_are_one_line(text, message):
    with pytest.raises(UserError) as error:
        schedules.parse(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_schedule_that_ends_at_nan_is_rejected():
    # min and max of (1, nan) are both 1, so validating the bounds would not detect it.
    with pytest.raises(UserError, match=r"finite, got 1\.0 and nan$"):
        Schedule(1.0, float("nan"), 10)


@pytest.mark.parametrize(
    ("shape", "step", "value"),
    [
        ("linear", 0, 3.0),
        ("linear", 5, 2.5),
        ("linear", 10, 2.0),
        ("linear", 20, 1.0),
        ("linear", 2**31 - 1, 1.0),
        ("cosine", 0, 3.0),
        ("cosine", 5, 2 + np.cos(np.pi / 4)),
        ("cosine", 10, 2.0),
        ("cosine", 15, 2 - np.cos(np.pi / 4)),
        ("cosine", 20, 1.0),
        ("cosine", 21, 1.0),
    ],
)
def test_value_at(shape, step, value):
    result = schedules.value_at(Schedule(3.0, 1.0, 20, shape), jnp.int32(step))
    assert result.dtype == jnp.float32
    # Four float32 rounding errors of numbers up to 3.
    np.testing.assert_allclose(result, value, rtol=0, atol=1e-6)


@given(SCHEDULES)
def test_values_at_the_ends_are_exact(schedule):
    # Even for distant ends: start + (end - start) would be 0 for 1 -> 1e-8.
    for step, end in ((0, schedule.start), (schedule.steps, schedule.end)):
        assert schedules.value_at(schedule, jnp.int32(step)) == np.float32(end)


@given(SCHEDULES, st.floats(0, 1.5))
def test_bounds_hold_at_every_step(schedule, fraction):
    step = jnp.int32(min(int(fraction * schedule.steps), 2**31 - 1))
    low, high = schedules.bounds(schedule)
    tolerance = 2 * np.spacing(np.float32(max(abs(low), abs(high))))  # two rounding errors
    assert low - tolerance <= schedules.value_at(schedule, step) <= high + tolerance


def test_a_number_is_a_constant_schedule():
    assert schedules.value_at(2e-4, jnp.int32(7)) == 2e-4  # exact: not rounded to float32
    assert schedules.bounds(2e-4) == (2e-4, 2e-4)


def test_value_at_is_traceable():
    schedule, steps = Schedule(1.0, 0.0, 8), jnp.arange(10)
    values = jax.jit(jax.vmap(lambda step: schedules.value_at(schedule, step)))(steps)
    # Eighths are exact in float32.
    np.testing.assert_array_equal(values, np.clip(1 - np.arange(10) / 8, 0, 1))


def test_resolve_replaces_every_schedule_and_nothing_else():
    config = small.config(disc_opt=Optimizer(b2=Schedule(0.9, 0.5, 4)))
    resolved = schedules.resolve(config, jnp.int32(2))
    assert resolved.disc_opt.b2 == np.float32(0.7)
    assert resolved.objective.penalties.r2 == schedules.value_at(config.objective.penalties.r2, 2)
    assert resolved.gen_opt.lr == schedules.value_at(config.gen_opt.lr, 2)
    assert resolved.objective.penalties.r1 is config.objective.penalties.r1
    assert resolved.gen is config.gen
    assert schedules.resolve(config.data, 2) is config.data


def test_a_resolved_schedule_is_never_off():
    assert schedules.is_off(schedules.resolve(0.0, 3))
    assert not schedules.is_off(schedules.resolve(Schedule(0.0, 0.0, 1), 3))


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_a_schedule_over_images_counts_one_batch_per_step(shape):
    images = Schedule(1.0, 0.25, 640, shape, "images")
    steps = Schedule(1.0, 0.25, 10, shape)
    for step in (0, 3, 10, 20):
        assert schedules.value_at(images, step, 64) == schedules.value_at(steps, step)
    config = small.config(batch_size=64, gen_opt=Optimizer(lr=images))
    assert schedules.resolve(config, 3, config.batch_size).gen_opt.lr == schedules.value_at(
        steps, 3
    )
    assert schedules.parse(str(images)) == images
    assert schedules.parse(f"1:0.25:640img:{shape}") == images


def test_an_unknown_unit_is_rejected():
    with pytest.raises(UserError, match="schedule unit must be one of steps, images, got 'epochs'"):
        Schedule(1.0, 0.0, 10, "linear", "epochs")

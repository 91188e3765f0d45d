"""Hyper-parameters that may change over a run: a number, or a Schedule over train steps."""

import dataclasses
import math
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import jax
import jax.numpy as jnp
import tyro

from gan_jax.core.errors import UserError

Shape = Literal["linear", "cosine"]
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """From `start` at step 0 to `end` at step `steps`, and `end` from there on.

    Raises UserError if an end is not finite, or there is no step or no such shape.
    """

    start: float
    end: float
    steps: int
    shape: Shape = "linear"

    def __post_init__(self):
        ends = [end for end in (self.start, self.end) if isinstance(end, float | int)]  # or traced
        if not all(map(math.isfinite, ends)):
            raise UserError(f"a schedule must be finite, got {self.start} to {self.end}")
        if self.steps < 1:
            raise UserError(f"a schedule needs at least 1 step, got {self.steps}")
        if self.shape not in get_args(Shape):
            raise UserError(
                f"schedule shape {self.shape!r}: allowed are {', '.join(get_args(Shape))}"
            )

    def __str__(self):
        return f"{self.start}:{self.end}:{self.steps}:{self.shape}"


def parse(text: str) -> float | Schedule:
    """`2e-4`, or `START:END:STEPS[:linear|cosine]`. Raises UserError on anything else."""
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return float(text)
        start, end, steps, shape = parts if len(parts) == 4 else (*parts, "linear")
        numbers = float(start), float(end), int(steps)
    except ValueError:
        allowed = f"START:END:STEPS[:{'|'.join(get_args(Shape))}]"
        raise UserError(f"{text!r} is neither a number nor {allowed}") from None
    return Schedule(*numbers, cast(Shape, shape))


# What tyro makes of a Value: one flag that takes `2e-4` or `2e-4:5e-5:20000:cosine`.
Value = Annotated[
    float | Schedule,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="FLOAT|START:END:STEPS[:SHAPE]",
        instance_from_str=lambda args: parse(args[0]),
        is_instance=lambda value: isinstance(value, (int, float, Schedule)),
        str_from_instance=lambda value: [str(value)],
    ),
]


def is_off(value: Any) -> bool:
    """Whether it is the number 0, so that what it scales is left out of the program. A schedule, or
    a traced value of a sweep, never is."""
    return isinstance(value, float | int) and value == 0


def at(value: float | Schedule, step: jax.Array | int) -> float | jax.Array:
    """The value at a train step: itself, or the schedule's point (a float32 scalar).

    Both ends are met exactly, however far apart they are.
    """
    if not isinstance(value, Schedule):
        return value
    done = jnp.clip(jnp.asarray(step, jnp.float32) / value.steps, 0.0, 1.0)
    if value.shape == "cosine":
        done = 0.5 - 0.5 * jnp.cos(jnp.pi * done)
    return value.start * (1 - done) + value.end * done


def resolve(config: T, step: jax.Array | int) -> T:
    """Replace every Schedule in a dataclass, at any depth, by its value at a train step.

    The values are arrays, so `is_off` gives the same answers before and after.
    """
    if isinstance(config, Schedule):
        return cast(T, at(config, step))
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return config
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    resolved = {name: resolve(value, step) for name, value in values.items()}
    changes = {name: value for name, value in resolved.items() if value is not values[name]}
    return dataclasses.replace(config, **changes) if changes else config


def bounds(value: float | Schedule) -> tuple[float, float]:
    """The smallest and the largest value that it takes."""
    ends = (value.start, value.end) if isinstance(value, Schedule) else (value, value)
    return min(ends), max(ends)

"""Hyper-parameters that may change over a run: a number, or a Schedule over steps or images."""

import dataclasses
import math
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import jax
import jax.numpy as jnp
import tyro

from gan_jax.core.errors import UserError

Shape = Literal["linear", "cosine"]
Unit = Literal["steps", "images"]
IMAGES_SUFFIX = "img"
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A value that goes from `start` to `end`, and then stays there.

    Raises UserError if an end is not finite, the length is below 1, or there is no such shape or
    unit.
    """

    start: float
    """Value at step 0."""
    end: float
    """Value from the end of the schedule on."""
    steps: int
    """Length of the schedule."""
    shape: Shape = "linear"
    """Form of the curve."""
    unit: Unit = "steps"
    """Unit of the length: train steps, or real images, of which a step counts `batch_size`."""

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
        if self.unit not in get_args(Unit):
            raise UserError(f"schedule unit {self.unit!r}: allowed are {', '.join(get_args(Unit))}")

    def __str__(self):
        unit = IMAGES_SUFFIX if self.unit == "images" else ""
        return f"{self.start}:{self.end}:{self.steps}{unit}:{self.shape}"


def parse(text: str) -> float | Schedule:
    """Parses `2e-4`, or `START:END:STEPS[:linear|cosine]`. `20000000img` is a length in images.

    Raises UserError on anything else.
    """
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return float(text)
        start, end, steps, shape = parts if len(parts) == 4 else (*parts, "linear")
        unit: Unit = "images" if steps.endswith(IMAGES_SUFFIX) else "steps"
        numbers = float(start), float(end), int(steps.removesuffix(IMAGES_SUFFIX))
    except ValueError:
        allowed = f"START:END:STEPS[:{'|'.join(get_args(Shape))}]"
        raise UserError(f"{text!r} is neither a number nor {allowed}") from None
    return Schedule(*numbers, cast(Shape, shape), unit)


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


def value_at(
    value: float | Schedule, step: jax.Array | int, batch_size: int = 1
) -> float | jax.Array:
    """Evaluates a value at a train step. Both ends of a schedule are met exactly.

    Args:
        value: A number, or a schedule.
        step: Train steps done.
        batch_size: Images of a step, for schedules whose unit is images.

    Returns:
        The number itself, or the schedule's point as a float32 scalar.
    """
    if not isinstance(value, Schedule):
        return value
    length = value.steps / batch_size if value.unit == "images" else value.steps
    done = jnp.clip(jnp.asarray(step, jnp.float32) / length, 0.0, 1.0)
    if value.shape == "cosine":
        done = 0.5 - 0.5 * jnp.cos(jnp.pi * done)
    return value.start * (1 - done) + value.end * done


def resolve(config: T, step: jax.Array | int, batch_size: int = 1) -> T:
    """Replaces every Schedule in a dataclass, at any depth, by its value at a train step.

    The values are arrays, so `is_off` gives the same answers before and after.

    Args:
        config: The dataclass.
        step: Train steps done.
        batch_size: Images of a step.

    Returns:
        The dataclass without schedules.
    """
    if isinstance(config, Schedule):
        return cast(T, value_at(config, step, batch_size))
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return config
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    resolved = {name: resolve(value, step, batch_size) for name, value in values.items()}
    changes = {name: value for name, value in resolved.items() if value is not values[name]}
    return dataclasses.replace(config, **changes) if changes else config


def bounds(value: float | Schedule) -> tuple[float, float]:
    """The smallest and the largest value that it takes."""
    ends = (value.start, value.end) if isinstance(value, Schedule) else (value, value)
    return min(ends), max(ends)

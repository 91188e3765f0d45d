"""Hyperparameter schedules over train steps or images."""

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
    """A value that changes from `start` to `end` and stays there.

    Raises UserError if a field is not allowed.

    Example:
        >>> value_at(Schedule(1.0, 0.0, steps=10), 5)
        Array(0.5, dtype=float32)
    """

    start: float
    """Value at step 0."""
    end: float
    """Value at the end of the schedule and after it."""
    steps: int
    """Length of the schedule."""
    shape: Shape = "linear"
    """Shape of the curve: linear or cosine."""
    unit: Unit = "steps"
    """Unit of the length: train steps, or real images, `batch_size` per step."""

    def __post_init__(self):
        """Check the fields."""
        ends = [end for end in (self.start, self.end) if isinstance(end, float | int)]  # or traced
        if not all(map(math.isfinite, ends)):
            raise UserError(f"schedule ends must be finite, got {self.start} and {self.end}")
        if self.steps < 1:
            raise UserError(f"schedule steps must be at least 1, got {self.steps}")
        if self.shape not in get_args(Shape):
            allowed = ", ".join(get_args(Shape))
            raise UserError(f"schedule shape must be one of {allowed}, got {self.shape!r}")
        if self.unit not in get_args(Unit):
            allowed = ", ".join(get_args(Unit))
            raise UserError(f"schedule unit must be one of {allowed}, got {self.unit!r}")

    def __str__(self):
        """Return the text that `parse` reads."""
        unit = IMAGES_SUFFIX if self.unit == "images" else ""
        return f"{self.start}:{self.end}:{self.steps}{unit}:{self.shape}"


def parse(text: str) -> float | Schedule:
    """Parse a number or a schedule.

    Args:
        text: A number, or START:END:STEPS[:linear|cosine]. A length that ends in img is in images.

    Returns:
        The number or the schedule.

    Raises:
        UserError: If the text is neither.

    Example:
        >>> parse("2e-4")
        0.0002
        >>> str(parse("2e-4:0:20000000img:cosine"))
        '0.0002:0.0:20000000img:cosine'
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
        raise UserError(f"value must be a number or {allowed}, got {text!r}") from None
    return Schedule(*numbers, cast(Shape, shape), unit)


# One flag, which takes `2e-4` or `2e-4:5e-5:20000:cosine`.
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
    """Return whether a weight is the number 0, so that its term is left out of the program.

    A schedule or a traced value of a sweep is never off.
    """
    return isinstance(value, float | int) and value == 0


def value_at(
    value: float | Schedule, step: jax.Array | int, batch_size: int = 1
) -> float | jax.Array:
    """Evaluate a value at a train step. Both ends of a schedule are exact.

    Args:
        value: A number or a schedule.
        step: Number of finished train steps.
        batch_size: Number of real images per step, for schedules in images.

    Returns:
        The number itself, or the value of the schedule as a float32 scalar.
    """
    if not isinstance(value, Schedule):
        return value
    length = value.steps / batch_size if value.unit == "images" else value.steps
    progress = jnp.clip(jnp.asarray(step, jnp.float32) / length, 0.0, 1.0)
    if value.shape == "cosine":
        progress = 0.5 - 0.5 * jnp.cos(jnp.pi * progress)
    return value.start * (1 - progress) + value.end * progress


def resolve(config: T, step: jax.Array | int, batch_size: int = 1) -> T:
    """Replace all schedules in a dataclass, at any depth, by their values at a train step.

    The values are arrays, so `is_off` returns the same before and after.

    Args:
        config: A dataclass.
        step: Number of finished train steps.
        batch_size: Number of real images per step, for schedules in images.

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
    """Return the minimum and the maximum of a number or a schedule."""
    ends = (value.start, value.end) if isinstance(value, Schedule) else (value, value)
    return min(ends), max(ends)

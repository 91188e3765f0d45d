"""Input validation shared by the metrics."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer, Shaped

from gan_jax.core.errors import UserError

AnyArray = np.ndarray | jax.Array


def check_matrix(name: str, values: Any, min_rows: int = 1) -> Shaped[np.ndarray, "n d"]:
    """Return a matrix of finite numbers as a numpy array of its own dtype.

    Args:
        name: Name of the matrix in error messages.
        values: Floats or integers [n, d], a numpy or jax array.
        min_rows: Smallest allowed n.

    Returns:
        The matrix [n, d].

    Raises:
        UserError: If a value is not finite, the dtype is neither floating nor integer, n is below
            `min_rows`, or d is 0.
    """
    array = np.asarray(values)
    floating = jnp.issubdtype(array.dtype, jnp.floating)  # np.issubdtype rejects bfloat16
    if not (floating or np.issubdtype(array.dtype, np.integer)):
        raise UserError(f"{name} must be floats or integers, got dtype {array.dtype}")
    if array.ndim != 2 or len(array) < min_rows or not array.shape[1]:
        raise UserError(
            f"{name} must be [n, d] with n >= {min_rows} and d >= 1, got shape {array.shape}"
        )
    if floating and not (finite := np.isfinite(array)).all():
        row, column = np.argwhere(~finite)[0]
        raise UserError(f"{name} must be finite, got {array[row, column]} at [{row}, {column}]")
    return array


def check_pair(real: Any, fake: Any) -> tuple[Shaped[np.ndarray, "n d"], Shaped[np.ndarray, "m d"]]:
    """Return the features [n, d] and [m, d] of two sets as numpy arrays.

    Raises UserError as `check_matrix` does, if n or m is below 2, or if the widths d differ.
    """
    real, fake = check_matrix("real features", real, 2), check_matrix("fake features", fake, 2)
    check_same_width(real.shape[1], fake.shape[1])
    return real, fake


def check_same_width(real: int, fake: int) -> None:
    """Raise UserError unless both sets have the same number of features per example."""
    if real != fake:
        raise UserError(f"real and fake features must have the same width, got {real} and {fake}")


def check_labels(name: str, values: Any, classes: int) -> Integer[np.ndarray, " n"]:
    """Return class labels as a numpy array of integers.

    Args:
        name: Name of the labels in error messages.
        values: Labels [n], n >= 1.
        classes: Number of classes.

    Returns:
        The labels [n].

    Raises:
        UserError: If the labels are not integers from 0 to `classes` - 1, or there are none.
    """
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"{name} must be integers, got dtype {array.dtype}")
    if array.ndim != 1 or not len(array):
        raise UserError(f"{name} must be [n] with n >= 1, got shape {array.shape}")
    invalid = array[(array < 0) | (array >= classes)]
    if len(invalid):
        raise UserError(f"{name} must be from 0 to {classes - 1}, got {invalid[0]}")
    return array


def check_between(name: str, value: int, low: int, high: int) -> None:
    """Raise UserError unless a value is an integer in a closed interval.

    Args:
        name: Name of the value in the error message.
        value: Value to check.
        low: Smallest allowed value.
        high: Largest allowed value.

    Raises:
        UserError: If `value` is not an integer from `low` to `high`.
    """
    if not (isinstance(value, int | np.integer) and low <= value <= high):
        raise UserError(f"{name} must be an integer from {low} to {high}, got {value}")

"""What metrics are given: enough finite numbers of the right shape, or a UserError tells."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gan_jax.core.errors import UserError


def check_matrix(what: str, values: Any, least: int = 1) -> np.ndarray:
    """`values`, a numpy or jax array [n, d], as a numpy array of their own dtype.

    Raises UserError unless they are finite floats or integers with n >= least and d >= 1.
    """
    array = np.asarray(values)
    floating = jnp.issubdtype(array.dtype, jnp.floating)  # numpy's own does not know bfloat16
    if not (floating or np.issubdtype(array.dtype, np.integer)):
        raise UserError(f"{what}: dtype {array.dtype} given, floats or integers allowed")
    if array.ndim != 2 or len(array) < least or not array.shape[1]:
        raise UserError(f"{what}: shape {array.shape} given, [n, d] with n >= {least} allowed")
    if floating and not (finite := np.isfinite(array)).all():
        row, column = np.argwhere(~finite)[0]
        value = array[row, column]
        raise UserError(f"{what}: {value} at [{row}, {column}] given, only finite values allowed")
    return array


def check_pair(real: Any, fake: Any) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, d] and [m, d] of two sets as numpy arrays.

    Raises UserError as `matrix` does, if n or m is below 2, and if they differ in d.
    """
    real, fake = check_matrix("real features", real, 2), check_matrix("fake features", fake, 2)
    check_same_width(real.shape[1], fake.shape[1])
    return real, fake


def check_same_width(real: int, fake: int) -> None:
    """Raises UserError unless both sets have as many features."""
    if real != fake:
        raise UserError(f"{real} real and {fake} fake features given: as many of both allowed")


def check_labels(what: str, values: Any, classes: int) -> np.ndarray:
    """`values`, class labels [n], as a numpy array of integers.

    Raises UserError unless they are integers from 0 to classes - 1 and n >= 1.
    """
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"{what}: dtype {array.dtype} given, integers allowed")
    if array.ndim != 1 or not len(array):
        raise UserError(f"{what}: shape {array.shape} given, [n] with n >= 1 allowed")
    outside = array[(array < 0) | (array >= classes)]
    if len(outside):
        raise UserError(f"{what}: {outside[0]} given, 0 to {classes - 1} allowed")
    return array


def check_between(what: str, value: int, low: int, high: int) -> None:
    """Raises UserError unless `value` is an integer from low to high."""
    if not (isinstance(value, int | np.integer) and low <= value <= high):
        raise UserError(f"{what}: {value} given, {low} to {high} allowed")

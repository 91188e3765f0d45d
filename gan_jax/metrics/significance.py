"""Statistics of repeated runs: confidence intervals of means and of paired differences."""

from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

LEVEL = 0.95


class Interval(NamedTuple):
    """Confidence interval from mean - half to mean + half."""

    mean: float
    """Mean of the values."""
    half: float
    """Half of the width of the interval."""
    p: float | None
    """Two-sided p-value of a mean of 0; None if all values are equal."""


def confidence_interval(values: ArrayLike) -> Interval:
    """Compute the 95 % confidence interval of a mean by Student's t (Student 1908).

    Applied to differences of paired values, this is the paired t test.

    Args:
        values: At least two independent, normally distributed values [n]. The test has n - 1
            degrees of freedom.

    Returns:
        The mean, half of the width of the interval, and the two-sided p-value of a mean of 0.

    Example:
        >>> interval = confidence_interval([1.0, 2.0, 3.0])
        >>> round(interval.mean, 4), round(interval.half, 4), round(interval.p, 4)
        (2.0, 2.4841, 0.0742)
    """
    values = np.asarray(values, np.float64)
    n, mean = len(values), float(np.mean(values))
    error = float(np.std(values, ddof=1)) / n**0.5
    half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    p = 2 * float(scipy.stats.t.sf(abs(mean) / error, n - 1)) if error else None
    return Interval(mean, half, p)

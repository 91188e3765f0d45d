"""What a few repeats allow to say: confidence intervals of means, and of paired differences."""

from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

LEVEL = 0.95


class Interval(NamedTuple):
    """mean - half to mean + half; p of a mean of 0, None where all values are the same."""

    mean: float
    half: float
    p: float | None


def confidence_interval(values: ArrayLike) -> Interval:
    """Of the mean of n >= 2 independent normal values [n], by Student's t at n - 1 degrees of
    freedom (Student 1908); p is two-sided. Of differences it is the paired t test."""
    values = np.asarray(values, np.float64)
    n, mean = len(values), float(np.mean(values))
    error = float(np.std(values, ddof=1)) / n**0.5
    half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    p = 2 * float(scipy.stats.t.sf(abs(mean) / error, n - 1)) if error else None
    return Interval(mean, half, p)

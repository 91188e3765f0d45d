"""Confidence intervals and paired differences against SciPy and published tables."""

import statistics

import numpy as np
import pytest
from scipy import stats

from gan_jax.metrics.significance import confidence_interval

A, B = [0.83, 0.82, 0.83, 0.84, 0.79], [0.81, 0.79, 0.84, 0.80, 0.78]


def test_the_interval_is_students():
    interval = confidence_interval(A)
    # 2.776445 is the 97.5 % quantile of Student's t with 4 degrees of freedom, from tables.
    half = 2.776445 * statistics.stdev(A) / 5**0.5
    assert interval[:2] == pytest.approx((statistics.fmean(A), half), rel=1e-6)
    low, high = stats.t.interval(0.95, 4, np.mean(A), stats.sem(A))
    assert (interval.mean - interval.half, interval.mean + interval.half) == pytest.approx(
        (low, high)
    )


def test_the_interval_of_differences_is_the_paired_t_test():
    interval = confidence_interval(np.subtract(A, B))
    assert interval.p == pytest.approx(stats.ttest_rel(A, B).pvalue)
    assert interval.p is not None
    assert (interval.p < 0.05) == (abs(interval.mean) > interval.half)


def test_95_percent_of_intervals_contain_the_mean():
    samples = np.random.default_rng(0).normal(3, 2, (2000, 4))
    intervals = [confidence_interval(row) for row in samples]
    coverage = np.mean([abs(interval.mean - 3) <= interval.half for interval in intervals])
    assert abs(coverage - 0.95) < 4 * (0.95 * 0.05 / 2000) ** 0.5  # four standard errors


def test_identical_values_have_no_p_value():
    assert confidence_interval([0.5, 0.5, 0.5]) == (0.5, 0.0, None)

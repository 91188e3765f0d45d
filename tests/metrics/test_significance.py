"""Intervals and paired differences against scipy's own, and printed tables."""

import statistics

import numpy as np
import pytest
from scipy import stats

from gan_jax.metrics.significance import confidence_interval

A, B = [0.83, 0.82, 0.83, 0.84, 0.79], [0.81, 0.79, 0.84, 0.80, 0.78]


def test_an_interval_is_students():
    found = confidence_interval(A)
    # 2.776445 is t of 4 degrees of freedom at 97.5 %, from printed tables.
    half = 2.776445 * statistics.stdev(A) / 5**0.5
    assert found[:2] == pytest.approx((statistics.fmean(A), half), rel=1e-6)
    low, high = stats.t.interval(0.95, 4, np.mean(A), stats.sem(A))
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))


def test_of_differences_it_is_the_paired_t_test():
    found = confidence_interval(np.subtract(A, B))
    assert found.p == pytest.approx(stats.ttest_rel(A, B).pvalue)
    assert found.p is not None
    assert (found.p < 0.05) == (abs(found.mean) > found.half)


def test_an_interval_holds_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3, 2, (2000, 4))
    found = [confidence_interval(row) for row in draws]
    held = np.mean([abs(one.mean - 3) <= one.half for one in found])
    assert abs(held - 0.95) < 4 * (0.95 * 0.05 / 2000) ** 0.5  # four standard errors


def test_no_difference_at_all_has_no_p():
    assert confidence_interval([0.5, 0.5, 0.5]) == (0.5, 0.0, None)

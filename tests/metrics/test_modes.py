"""Mode coverage of 2-D mixtures and of Stacked MNIST: known values."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import sources
from gan_jax.metrics.modes import kl_floor, modes, stacked_modes


@pytest.mark.parametrize("name", sources.MIXTURES)
def test_samples_of_the_mixture_cover_all_modes(name):
    centers, sigma = sources.MIXTURES[name][0](), sources.MIXTURES[name][1]
    random = np.random.default_rng(0)
    n, k = 2500, len(centers)
    scores = []
    for _ in range(40):
        points = centers[random.integers(k, size=n)] + sigma * random.normal(size=(n, 2))
        scores.append(modes(points, centers, sigma))
    assert {score.covered for score in scores} == {k}
    # A share 1 - exp(-9/2) of a Gaussian lies within 3 sigma; std 0.0003 for 100,000 points.
    assert np.mean([s.high_quality for s in scores]) == pytest.approx(1 - np.exp(-4.5), abs=0.0015)
    # Chi-square with K - 1 degrees of freedom over 2n; relative std sqrt(2 / (40 (K - 1))).
    floor = (k - 1) / (2 * n)
    assert np.mean([s.kl for s in scores]) == pytest.approx(
        floor, rel=4 * np.sqrt(2 / (40 * (k - 1)))
    )


def test_collapsed_and_missing_samples():
    centers, sigma = sources.ring_centers(), 0.01
    covered, high_quality, kl = modes(np.tile(centers[:1], (10, 1)), centers, sigma)
    assert (covered, high_quality) == (1, 1.0)
    assert kl == pytest.approx(np.log(8))  # one of eight modes
    covered, high_quality, kl = modes(centers * 1.031, centers, sigma)  # each just outside 3 sigma
    assert (covered, high_quality) == (0, 0.0)
    assert kl == pytest.approx(0, abs=1e-12)


def test_samples_must_be_finite():
    with pytest.raises(ValueError, match="finite"):
        modes(np.full((3, 2), np.nan), sources.ring_centers(), 0.01)


def test_stacked_modes_by_hand():
    # Three classes occur twice, once and never: 2/3 log 2 + 1/3 log 1.
    covered, kl, excess = stacked_modes([0, 2, 0], classes=3)
    assert covered == 2
    assert kl == pytest.approx(2 / 3 * np.log(2))
    assert excess == pytest.approx(kl - 2 / 6)
    uniform = stacked_modes(np.arange(26_000) % 1000)
    assert (uniform.covered, uniform.kl) == (1000, pytest.approx(0, abs=1e-12))
    assert uniform.excess_kl == pytest.approx(-0.01921, abs=5e-6)  # more even than random samples
    collapsed = stacked_modes(jnp.full(26_000, 123))
    assert (collapsed.covered, collapsed.kl) == (1, pytest.approx(np.log(1000)))


def test_the_excess_of_uniform_labels_is_near_zero():
    random, n, repeats = np.random.default_rng(0), 26_000, 50
    scores = [stacked_modes(random.integers(1000, size=n)) for _ in range(repeats)]
    assert {score.covered for score in scores} == {1000}  # a class is missed once in 2e8 repeats
    # Four standard errors of chi-square with 999 degrees of freedom over 2n, plus a 0.7 % bias.
    error = np.sqrt(2 * 999) / (2 * n) / np.sqrt(repeats)
    excess = np.mean([score.excess_kl for score in scores])
    assert excess == pytest.approx(0.007 * kl_floor(1000, n), abs=4 * error)

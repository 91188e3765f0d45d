"""Frechet distance: closed forms, well-known implementations, and moments of parts."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.metrics import frechet
from tests.helpers import golden_features

GOLDEN = golden_features.golden()["cases"]


def distance(real, fake):
    return frechet.frechet_distance(frechet.moments(real), frechet.moments(fake))


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def with_moments(n, mean, covariance):
    """Features [n, d] that have this mean and this unbiased covariance, n > d."""
    values, vectors = np.linalg.eigh(covariance)
    white = draw(0, n, len(mean))
    white = np.linalg.qr(white - white.mean(0))[0] * np.sqrt(n - 1)
    return mean + white * np.sqrt(np.maximum(values, 0)) @ vectors.T


@pytest.mark.parametrize("name", golden_features.NAMES)
def test_golden(name):
    real, fake = golden_features.features(name)
    # The features are those that the others were asked about: float64 sums in any order.
    assert real.sum() + fake.sum() == pytest.approx(GOLDEN[name]["sum"], rel=1e-10)
    found = distance(real, fake)
    # Of singular covariances both take square roots of rounding errors, of 1e-16 / their largest.
    assert found == pytest.approx(GOLDEN[name]["scipy"]["frechet"], rel=1e-6)
    theirs = GOLDEN[name]["torch-fidelity"]["frechet_inception_distance"]
    assert found == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("a", [(1.0, 4.0, 0.25), (1.0, 4.0, 0.0), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("b", [(9.0, 1.0, 1.0), (0.0, 1.0, 0.0)])
def test_diagonal(a, b):
    # Sum of (root a - root b)^2, also where a variance is zero.
    mean = np.asarray([1.0, -2.0, 3.0])
    real, fake = with_moments(20, 0 * mean, np.diag(a)), with_moments(30, mean, np.diag(b))
    expected = 14 + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    # The features have their covariance to float64; roots of 1e-16 where it is zero.
    assert distance(real, fake) == pytest.approx(expected, rel=1e-7)


def test_isotropic():
    d, s1, s2 = 7, 0.5, 2.0
    real = with_moments(20, np.zeros(d), s1**2 * np.eye(d))
    fake = with_moments(25, np.full(d, 0.1), s2**2 * np.eye(d))
    expected = d * (s1 - s2) ** 2 + d * 0.01
    assert distance(real, fake) == pytest.approx(expected, rel=1e-12)  # float64 sums


def test_two_dimensions_that_do_not_commute():
    # (Tr root(S1 S2))^2 = Tr S1 S2 + 2 root(det S1 det S2).
    one, two = np.asarray([[2.0, 1.0], [1.0, 3.0]]), np.asarray([[1.0, -0.5], [-0.5, 0.5]])
    det = np.linalg.det(one) * np.linalg.det(two)
    root = np.sqrt(np.trace(one @ two) + 2 * np.sqrt(det))
    expected = np.trace(one) + np.trace(two) - 2 * root
    found = distance(with_moments(9, np.zeros(2), one), with_moments(9, np.zeros(2), two))
    assert found == pytest.approx(expected, rel=1e-12)  # float64


def test_one_feature():
    real, fake = draw(0, 50, 1), 2 * draw(1, 40, 1) + 1
    expected = (real.mean() - fake.mean()) ** 2 + (real.std(ddof=1) - fake.std(ddof=1)) ** 2
    assert distance(real, fake) == pytest.approx(expected, rel=1e-12)  # float64


@pytest.mark.parametrize(("n", "m"), [(20, 30), (5, 30), (5, 7), (2, 2)])
def test_fewer_examples_than_features(n, m):
    # From the features themselves: the singular values of X1 X2^T [n, m], X = (x - mean)/root(n-1).
    real, fake = draw(0, n, 40) @ draw(2, 40, 40), draw(1, m, 40)
    centred = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (real, fake)]
    roots = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False)
    expected = np.square(real.mean(0) - fake.mean(0)).sum() - 2 * roots.sum()
    expected += sum(np.square(x).sum() for x in centred)
    assert distance(real, fake) == pytest.approx(expected, rel=1e-12)  # float64


def test_equal_and_constant_sets():
    real = draw(0, 100, 20) @ draw(1, 20, 20)
    trace = np.trace(frechet.covariance(frechet.moments(real)))
    assert 0 <= distance(real, real[::-1]) < 1e-12 * trace  # a difference of such traces
    assert distance(np.ones((5, 3)), np.full((4, 3), 3.0)) == 12.0


def test_symmetry_and_rotation():
    real, fake = draw(0, 100, 6), draw(1, 80, 6) @ draw(2, 6, 6)
    turn = np.linalg.qr(draw(3, 6, 6))[0]
    found = [distance(real, fake), distance(fake, real), distance(real @ turn, fake @ turn)]
    np.testing.assert_allclose(found, found[0], rtol=1e-12)  # float64 sums in other orders


@pytest.mark.parametrize("sizes", [(1,) * 40, (39, 1), (7, 20, 13), (40,)])
def test_moments_of_parts(sizes):
    # Far from the origin: E x^2 - (E x)^2 would lose half of the digits.
    features = draw(0, 40, 5) + 1e4
    parts = np.split(features, np.cumsum(sizes)[:-1])
    found = functools.reduce(frechet.merge, map(frechet.moments, parts))
    assert found.count == 40
    np.testing.assert_allclose(found.mean, features.mean(0), rtol=1e-14)  # float64 sums
    # Float64 of 1e4 has steps of 2e-12, and differences of order one are summed.
    np.testing.assert_allclose(frechet.covariance(found), np.cov(features.T), atol=1e-10)


def test_moments_of_blocks(monkeypatch):
    features = np.float32(draw(0, 50, 4))
    whole = frechet.moments(features)
    monkeypatch.setattr(frechet, "_BLOCK", 7)
    for ours, theirs in zip(frechet.moments(features), whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)  # float64 sums


def test_moments_are_float64():
    # Halves of 1e4 examples: in float32 the sum would be off by 1e-3 of a standard deviation.
    found = frechet.moments(jnp.ones((10_000, 2), jnp.float16) / 3)
    np.testing.assert_array_equal(found.mean, np.float64(np.float16(1) / np.float16(3)))
    assert {found.mean.dtype, found.scatter.dtype} == {np.dtype(np.float64)}

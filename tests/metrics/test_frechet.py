"""Frechet distance: closed forms, reference implementations and merged moments."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.metrics import frechet
from tests.helpers import golden_features

GOLDEN = golden_features.golden()["cases"]


def distance(real, fake):
    return frechet.frechet_distance(frechet.moments(real), frechet.moments(fake))


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def with_moments(n, mean, covariance):
    """Features [n, d], n > d, with exactly this mean and unbiased covariance."""
    values, vectors = np.linalg.eigh(covariance)
    white = normal(0, n, len(mean))
    white = np.linalg.qr(white - white.mean(0))[0] * np.sqrt(n - 1)
    return mean + white * np.sqrt(np.maximum(values, 0)) @ vectors.T


@pytest.mark.parametrize("name", golden_features.NAMES)
def test_reference_implementations_agree(name):
    real, fake = golden_features.features(name)
    # The golden values belong to these features; float64 sums may differ in order.
    assert real.sum() + fake.sum() == pytest.approx(GOLDEN[name]["sum"], rel=1e-10)
    frechet_distance = distance(real, fake)
    # For singular covariances both take square roots of relative rounding errors of 1e-16.
    assert frechet_distance == pytest.approx(GOLDEN[name]["scipy"]["frechet"], rel=1e-6)
    torch_fidelity = GOLDEN[name]["torch-fidelity"]["frechet_inception_distance"]
    assert frechet_distance == pytest.approx(torch_fidelity, rel=1e-6)


@pytest.mark.parametrize("a", [(1.0, 4.0, 0.25), (1.0, 4.0, 0.0), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("b", [(9.0, 1.0, 1.0), (0.0, 1.0, 0.0)])
def test_diagonal_covariances(a, b):
    # Sum of (sqrt(a) - sqrt(b))^2, including zero variances.
    mean = np.asarray([1.0, -2.0, 3.0])
    real, fake = with_moments(20, 0 * mean, np.diag(a)), with_moments(30, mean, np.diag(b))
    expected = 14 + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    # The covariance is exact to float64; where it is zero, sqrt(1e-16) remains.
    assert distance(real, fake) == pytest.approx(expected, rel=1e-7)


def test_isotropic_covariances():
    d, s1, s2 = 7, 0.5, 2.0
    real = with_moments(20, np.zeros(d), s1**2 * np.eye(d))
    fake = with_moments(25, np.full(d, 0.1), s2**2 * np.eye(d))
    expected = d * (s1 - s2) ** 2 + d * 0.01
    assert distance(real, fake) == pytest.approx(expected, rel=1e-12)  # float64 sums


def test_covariances_that_do_not_commute():
    # (Tr sqrt(S1 S2))^2 = Tr S1 S2 + 2 sqrt(det S1 det S2).
    real_covariance, fake_covariance = (
        np.asarray([[2.0, 1.0], [1.0, 3.0]]),
        np.asarray([[1.0, -0.5], [-0.5, 0.5]]),
    )
    det = np.linalg.det(real_covariance) * np.linalg.det(fake_covariance)
    trace_of_root = np.sqrt(np.trace(real_covariance @ fake_covariance) + 2 * np.sqrt(det))
    expected = np.trace(real_covariance) + np.trace(fake_covariance) - 2 * trace_of_root
    frechet_distance = distance(
        with_moments(9, np.zeros(2), real_covariance), with_moments(9, np.zeros(2), fake_covariance)
    )
    assert frechet_distance == pytest.approx(expected, rel=1e-12)  # float64


def test_a_single_feature():
    real, fake = normal(0, 50, 1), 2 * normal(1, 40, 1) + 1
    expected = (real.mean() - fake.mean()) ** 2 + (real.std(ddof=1) - fake.std(ddof=1)) ** 2
    assert distance(real, fake) == pytest.approx(expected, rel=1e-12)  # float64


@pytest.mark.parametrize(("n", "m"), [(20, 30), (5, 30), (5, 7), (2, 2)])
def test_fewer_examples_than_features(n, m):
    # Computed from the singular values of X1 X2^T [n, m], with X = (x - mean) / sqrt(n - 1).
    real, fake = normal(0, n, 40) @ normal(2, 40, 40), normal(1, m, 40)
    centered = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (real, fake)]
    roots = np.linalg.svd(centered[0] @ centered[1].T, compute_uv=False)
    expected = np.square(real.mean(0) - fake.mean(0)).sum() - 2 * roots.sum()
    expected += sum(np.square(x).sum() for x in centered)
    assert distance(real, fake) == pytest.approx(expected, rel=1e-12)  # float64


def test_equal_and_constant_sets():
    real = normal(0, 100, 20) @ normal(1, 20, 20)
    trace = np.trace(frechet.covariance(frechet.moments(real)))
    assert 0 <= distance(real, real[::-1]) < 1e-12 * trace  # a difference of traces of this size
    assert distance(np.ones((5, 3)), np.full((4, 3), 3.0)) == 12.0


def test_the_distance_is_symmetric_and_rotation_invariant():
    real, fake = normal(0, 100, 6), normal(1, 80, 6) @ normal(2, 6, 6)
    rotation = np.linalg.qr(normal(3, 6, 6))[0]
    distances = [
        distance(real, fake),
        distance(fake, real),
        distance(real @ rotation, fake @ rotation),
    ]
    # Float64, different summation order.
    np.testing.assert_allclose(distances, distances[0], rtol=1e-12)


@pytest.mark.parametrize("sizes", [(1,) * 40, (39, 1), (7, 20, 13), (40,)])
def test_merged_moments_equal_those_of_the_whole(sizes):
    # Far from the origin, where E x^2 - (E x)^2 would lose half of the digits.
    features = normal(0, 40, 5) + 1e4
    parts = np.split(features, np.cumsum(sizes)[:-1])
    merged = functools.reduce(frechet.merge, map(frechet.moments, parts))
    assert merged.count == 40
    np.testing.assert_allclose(merged.mean, features.mean(0), rtol=1e-14)  # float64 sums
    # Float64 near 1e4 has a resolution of 2e-12, and differences of order one are summed.
    np.testing.assert_allclose(frechet.covariance(merged), np.cov(features.T), atol=1e-10)


def test_moments_do_not_depend_on_the_block_size(monkeypatch):
    features = np.float32(normal(0, 50, 4))
    whole = frechet.moments(features)
    monkeypatch.setattr(frechet, "_BLOCK", 7)
    for blockwise, expected in zip(frechet.moments(features), whole, strict=True):
        np.testing.assert_allclose(blockwise, expected, rtol=1e-12, atol=1e-13)  # float64 sums


def test_moments_are_float64():
    # 1e4 float16 examples: a float32 sum would be off by 1e-3 of a standard deviation.
    moments = frechet.moments(jnp.ones((10_000, 2), jnp.float16) / 3)
    np.testing.assert_array_equal(moments.mean, np.float64(np.float16(1) / np.float16(3)))
    assert {moments.mean.dtype, moments.scatter.dtype} == {np.dtype(np.float64)}

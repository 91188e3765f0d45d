"""Kernel distance: closed forms, unbiasedness, well-known implementations, subsets."""

import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.metrics import kernel, manifold
from tests.helpers import golden_features

GOLDEN = golden_features.golden()["cases"]
KEY = keys.root_key(5)


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("name", golden_features.NAMES)
def test_golden(name):
    found = kernel.kernel_distance(*golden_features.features(name))
    # Float64 sums in other orders, of a difference of means that are up to 1e3 times as large.
    assert found == pytest.approx(GOLDEN[name]["scikit-learn"]["kernel"], rel=1e-10)
    theirs = GOLDEN[name]["torch-fidelity"].get("kernel_inception_distance_mean")
    assert theirs is None or found == pytest.approx(theirs, rel=1e-10)


def test_by_hand():
    # d = 1: k(0, y) = 1, k(1, 1) = 8, k(1, 2) = 27, k(2, 2) = 125.
    real, fake = np.asarray([[0.0], [1.0]]), np.asarray([[1.0], [2.0]])
    assert kernel.kernel_distance(real, fake) == 1 + 27 - 2 * (1 + 1 + 8 + 27) / 4


@pytest.mark.parametrize("q", [(0.5, 0.3, 0.2), (0.1, 0.1, 0.8)])
def test_unbiased(q):
    # Of unit vectors e_i with probabilities p and q: sum (p_i - q_i)^2 ((1/d + 1)^3 - 1).
    p, d, n, m, draws = np.asarray([0.5, 0.3, 0.2]), 3, 6, 9, 2000
    expected = np.square(p - q).sum() * ((1 / d + 1) ** 3 - 1)
    random, unit = np.random.default_rng(0), np.eye(d)
    found = [
        kernel.kernel_distance(unit[random.choice(d, n, p=p)], unit[random.choice(d, m, p=q)])
        for _ in range(draws)
    ]
    # Four standard errors: one draw in ten thousand is further off.
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / np.sqrt(draws))
    assert np.min(found) < kernel.EXPECTED  # so it may be


def test_blocks_and_order():
    real, fake = np.float32(draw(0, 50, 8)), np.float32(draw(1, 37, 8) + 0.3)
    expected = kernel.kernel_distance(real, fake)
    found = [kernel.kernel_distance(real, fake, block) for block in (1, 7, 37, 50)]
    found += [kernel.kernel_distance(real[::-1], fake[::-1]), kernel.kernel_distance(fake, real)]
    np.testing.assert_allclose(found, expected, rtol=1e-11)  # float64 sums in other orders


def test_whole_subsets():
    real, fake = draw(0, 40, 8), draw(1, 40, 8) + 0.3
    mean, standard_error = kernel.subset_kernel_distance(real, fake, KEY, subsets=3, size=40)
    assert mean == pytest.approx(kernel.kernel_distance(real, fake), rel=1e-11)  # as above
    assert standard_error < 1e-12


def test_subsets():
    real, fake = draw(0, 100, 4), draw(1, 80, 4) + 0.3
    found = kernel.subset_kernel_distance(real, fake, KEY, subsets=400, size=10)
    assert found == kernel.subset_kernel_distance(real, fake, KEY, subsets=400, size=10)
    assert found != kernel.subset_kernel_distance(
        real, fake, keys.root_key(6), subsets=400, size=10
    )
    # Each subset's estimate has the whole estimate as its expectation: four standard errors.
    whole = kernel.kernel_distance(real, fake)
    assert found.mean == pytest.approx(whole, abs=4 * found.standard_error)


def test_standard_error(monkeypatch):
    values = iter([1.0, 2.0, 4.0, 5.0])
    monkeypatch.setattr(kernel, "_estimate", lambda *_, **__: next(values))
    found = kernel.subset_kernel_distance(draw(0, 9, 2), draw(1, 9, 2), KEY, subsets=4, size=3)
    assert found == pytest.approx((3.0, np.sqrt(10 / 3) / 2))


def test_a_subset_has_no_example_twice(monkeypatch):
    seen = []
    monkeypatch.setattr(kernel, "_estimate", lambda *sets, **_: seen.append(sets) or 0.0)
    kernel.subset_kernel_distance(np.arange(20)[:, None], np.arange(30)[:, None], KEY, 50, 15)
    assert all(len(np.unique(one)) == 15 for sets in seen for one in sets)
    assert len(np.unique(np.concatenate([fake for _, fake in seen]))) == 30
    assert any((real != fake).any() for real, fake in seen)  # real and fake are drawn apart


@pytest.mark.parametrize("block", [1024, 40, 7])
def test_sums_on_the_way_of_the_manifold_scores(block):
    real, fake = np.float32(draw(0, 50, 8)), np.float32(draw(1, 40, 8) + 0.3)
    sums = kernel.SubsetSums(50, 40, 8, KEY, subsets=9, size=15)
    beside = manifold.manifold_scores(real, fake, block=block, on_block=sums.add)
    assert beside == manifold.manifold_scores(real, fake)
    expected = kernel.subset_kernel_distance(real, fake, KEY, subsets=9, size=15)
    # Float64 sums in another order, of means a hundred times as large as their difference.
    assert sums.distance() == pytest.approx(expected, rel=1e-11)

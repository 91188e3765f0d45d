"""Kernel distance: closed forms, unbiasedness, reference implementations and subsets."""

import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.metrics import kernel, manifold
from tests.helpers import golden_features

GOLDEN = golden_features.golden()["cases"]
KEY = keys.root_key(5)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("name", golden_features.NAMES)
def test_reference_implementations_agree(name):
    kernel_distance = kernel.kernel_distance(*golden_features.features(name))
    # Float64 in another summation order; the means are up to 1e3 times their difference.
    assert kernel_distance == pytest.approx(GOLDEN[name]["scikit-learn"]["kernel"], rel=1e-10)
    torch_fidelity = GOLDEN[name]["torch-fidelity"].get("kernel_inception_distance_mean")
    assert torch_fidelity is None or kernel_distance == pytest.approx(torch_fidelity, rel=1e-10)


def test_kernel_distance_by_hand():
    # d = 1: k(0, y) = 1, k(1, 1) = 8, k(1, 2) = 27, k(2, 2) = 125.
    real, fake = np.asarray([[0.0], [1.0]]), np.asarray([[1.0], [2.0]])
    assert kernel.kernel_distance(real, fake) == 1 + 27 - 2 * (1 + 1 + 8 + 27) / 4


@pytest.mark.parametrize("q", [(0.5, 0.3, 0.2), (0.1, 0.1, 0.8)])
def test_the_estimate_is_unbiased(q):
    # For unit vectors e_i with probabilities p and q: sum (p_i - q_i)^2 ((1/d + 1)^3 - 1).
    p, d, n, m, repeats = np.asarray([0.5, 0.3, 0.2]), 3, 6, 9, 2000
    expected = np.square(p - q).sum() * ((1 / d + 1) ** 3 - 1)
    random, unit = np.random.default_rng(0), np.eye(d)
    distances = [
        kernel.kernel_distance(unit[random.choice(d, n, p=p)], unit[random.choice(d, m, p=q)])
        for _ in range(repeats)
    ]
    # Four standard errors, exceeded by about one seed in ten thousand.
    assert np.mean(distances) == pytest.approx(
        expected, abs=4 * np.std(distances) / np.sqrt(repeats)
    )
    assert np.min(distances) < kernel.EXPECTED  # an unbiased estimate may be below zero


def test_blocks_and_order_do_not_change_the_distance():
    real, fake = np.float32(normal(0, 50, 8)), np.float32(normal(1, 37, 8) + 0.3)
    expected = kernel.kernel_distance(real, fake)
    distances = [kernel.kernel_distance(real, fake, block) for block in (1, 7, 37, 50)]
    distances += [
        kernel.kernel_distance(real[::-1], fake[::-1]),
        kernel.kernel_distance(fake, real),
    ]
    # Float64, different summation order.
    np.testing.assert_allclose(distances, expected, rtol=1e-11)


def test_subsets_of_all_examples_give_the_whole_distance():
    real, fake = normal(0, 40, 8), normal(1, 40, 8) + 0.3
    mean, standard_error = kernel.subset_kernel_distance(real, fake, KEY, subsets=3, size=40)
    assert mean == pytest.approx(kernel.kernel_distance(real, fake), rel=1e-11)  # as above
    assert standard_error < 1e-12


def test_the_subset_mean_estimates_the_whole_distance():
    real, fake = normal(0, 100, 4), normal(1, 80, 4) + 0.3
    subset_distance = kernel.subset_kernel_distance(real, fake, KEY, subsets=400, size=10)
    assert subset_distance == kernel.subset_kernel_distance(real, fake, KEY, subsets=400, size=10)
    assert subset_distance != kernel.subset_kernel_distance(
        real, fake, keys.root_key(6), subsets=400, size=10
    )
    # Each subset's estimate has the whole estimate as its expectation.
    whole = kernel.kernel_distance(real, fake)
    assert subset_distance.mean == pytest.approx(whole, abs=4 * subset_distance.standard_error)


def test_the_standard_error_by_hand(monkeypatch):
    estimates = iter([1.0, 2.0, 4.0, 5.0])
    monkeypatch.setattr(kernel, "_estimate", lambda *_, **__: next(estimates))
    subset_distance = kernel.subset_kernel_distance(
        normal(0, 9, 2), normal(1, 9, 2), KEY, subsets=4, size=3
    )
    assert subset_distance == pytest.approx((3.0, np.sqrt(10 / 3) / 2))


def test_a_subset_has_no_example_twice(monkeypatch):
    subset_pairs = []
    monkeypatch.setattr(kernel, "_estimate", lambda *pair, **_: subset_pairs.append(pair) or 0.0)
    kernel.subset_kernel_distance(np.arange(20)[:, None], np.arange(30)[:, None], KEY, 50, 15)
    assert all(len(np.unique(subset)) == 15 for pair in subset_pairs for subset in pair)
    assert len(np.unique(np.concatenate([fake for _, fake in subset_pairs]))) == 30
    # Real and fake subsets are independent.
    assert any((real != fake).any() for real, fake in subset_pairs)


@pytest.mark.parametrize("block", [1024, 40, 7])
def test_subset_sums_can_be_computed_with_the_manifold_scores(block):
    real, fake = np.float32(normal(0, 50, 8)), np.float32(normal(1, 40, 8) + 0.3)
    sums = kernel.SubsetSums(50, 40, 8, KEY, subsets=9, size=15)
    manifold_scores = manifold.manifold_scores(real, fake, block=block, on_block=sums.add)
    assert manifold_scores == manifold.manifold_scores(real, fake)
    expected = kernel.subset_kernel_distance(real, fake, KEY, subsets=9, size=15)
    # Float64 in another summation order; the means are a hundred times their difference.
    assert sums.distance() == pytest.approx(expected, rel=1e-11)

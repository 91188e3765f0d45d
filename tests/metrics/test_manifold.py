"""Precision, recall, density and coverage: reference implementations, expectations, ties."""

import numpy as np
import pytest

from gan_jax.metrics import manifold
from gan_jax.metrics.manifold import expected_coverage, manifold_scores
from tests.helpers import golden_features

GOLDEN = golden_features.golden()["cases"]


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("block", [2048, 250])
@pytest.mark.parametrize("name", golden_features.NAMES)
def test_reference_implementations_agree(name, block):
    real, fake = golden_features.features(name)
    for k, reference in GOLDEN[name]["prdc"].items():
        scores = manifold_scores(real, fake, 3, int(k), block)
        assert scores.coverage == reference["coverage"]
        pairs_in_balls = reference["density"] * int(k) * len(fake)  # an integer up to rounding
        assert scores.density == round(pairs_in_balls) / (int(k) * len(fake))
        assert pairs_in_balls == pytest.approx(round(pairs_in_balls), abs=1e-6)
    reference = GOLDEN[name]["torch-fidelity"]  # takes the mean in float32
    assert scores.precision == pytest.approx(reference["precision"], rel=1e-6)
    assert scores.recall == pytest.approx(reference["recall"], rel=1e-6)


def by_definition(real, fake, precision_k, density_k):
    """Scores computed from their definitions, in loops."""

    def radius(x, others, k):
        return sorted(np.linalg.norm(x - other) for other in others)[k]  # x itself is the first

    def distances(x, others):
        return np.asarray([np.linalg.norm(x - other) for other in others])

    real_radii = np.asarray([radius(x, real, precision_k) for x in real])
    fake_radii = np.asarray([radius(x, fake, precision_k) for x in fake])
    density_radii = np.asarray([radius(x, real, density_k) for x in real])
    return (
        np.mean([(distances(y, real) <= real_radii).any() for y in fake]),
        np.mean([(distances(x, fake) <= fake_radii).any() for x in real]),
        np.mean([(distances(y, real) < density_radii).sum() / density_k for y in fake]),
        np.mean([distances(x, fake).min() < r for x, r in zip(real, density_radii, strict=True)]),
    )


@pytest.mark.parametrize("ks", [(3, 5), (5, 3), (1, 1), (2, 2)])
@pytest.mark.parametrize("block", [2048, 30, 7, 1])
def test_scores_equal_their_definitions(ks, block):
    # Includes blocks smaller than k.
    real, fake = normal(0, 30, 3), normal(1, 22, 3) + 0.5
    expected = by_definition(real, fake, *ks)
    assert manifold_scores(real, fake, *ks, block) == pytest.approx(expected, rel=1e-15)


def test_order_does_not_matter_and_roles_exchange_precision_and_recall():
    real, fake = normal(0, 60, 3), normal(1, 50, 3) + 0.3
    scores = manifold_scores(real, fake)
    assert manifold_scores(real[::-1], fake[::-1]) == scores
    exchanged = manifold_scores(fake, real)
    assert (exchanged.precision, exchanged.recall) == (scores.recall, scores.precision)


def test_equal_and_far_sets():
    real = normal(0, 50, 4)
    equal = manifold_scores(real, real)
    assert (equal.precision, equal.recall, equal.coverage) == (1, 1, 1)
    assert manifold_scores(real, real + 100) == (0, 0, 0, 0)


def test_examples_on_the_edges_of_balls():
    # On a line of integers, balls of k = 2 have radius 1, or 2 at the ends of the line.
    # Closed balls contain a fake on their edge, open balls do not.
    real, fake = np.arange(6)[:, None], np.asarray([[7], [7], [7], [6], [-9]])
    scores = manifold_scores(real, fake, 2, 2)
    # 7 lies on the edge of the ball around 5, of radius 2; 6 lies inside that ball only.
    assert scores.precision == 4 / 5
    assert scores.density == 1 / (2 * 5)
    assert scores.coverage == 1 / 6
    # The radii of the fakes are 0, 0, 0, 1, 15 (from -9 to 6): the last covers all reals.
    assert scores.recall == 1
    assert manifold_scores(real, fake[:4], 2, 2).recall == 1 / 6  # 5 is on the edge of 6's ball


def test_collapsed_fakes():
    # All fakes are one point amid the reals: precise, but with balls of radius zero.
    real = normal(0, 100, 3)
    scores = manifold_scores(real, np.tile(np.round(real[:1]) / 2, (50, 1)))
    assert (scores.precision, scores.recall) == (1, 0)
    assert scores.coverage < 0.2


def test_a_large_offset_does_not_change_the_scores():
    # Squares are near 1e8 and distances of order one: |a|^2 + |b|^2 - 2ab is exact to 1e-8.
    real, fake = normal(0, 80, 3), normal(1, 70, 3)
    assert manifold_scores(real + 1e4, fake + 1e4) == manifold_scores(real, fake)


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (40, 90, 3)])
def test_expectations_for_equal_distributions(n, m, k):
    random, repeats = np.random.default_rng(0), 300
    scores = [
        manifold_scores(random.exponential(1, (n, 2)), random.exponential(1, (m, 2)), 1, k)
        for _ in range(repeats)
    ]
    for values, expected in (
        ([score.coverage for score in scores], expected_coverage(n, m, k)),
        ([score.density for score in scores], manifold.EXPECTED_DENSITY),
    ):
        # Four standard errors, exceeded by about one seed in ten thousand.
        error = np.std(values) / np.sqrt(repeats)
        assert np.mean(values) == pytest.approx(expected, abs=4 * error)


def test_expected_coverage():
    assert expected_coverage(1000, 1000) == pytest.approx(0.96898, abs=5e-6)  # as published
    assert expected_coverage(10**9, 10**9, 3) == pytest.approx(1 - 2**-3, rel=1e-8)  # k/n
    assert expected_coverage(10, 1, 1) == pytest.approx(1 / 10)  # one fake is in one ball of ten

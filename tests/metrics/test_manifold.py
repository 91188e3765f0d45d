"""Precision, recall, density, coverage: well-known implementations, known laws, ties."""

import numpy as np
import pytest

from gan_jax.metrics import manifold
from gan_jax.metrics.manifold import expected_coverage, manifold_scores
from tests.helpers import golden_features

GOLDEN = golden_features.golden()["cases"]


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("block", [2048, 250])
@pytest.mark.parametrize("name", golden_features.NAMES)
def test_golden(name, block):
    real, fake = golden_features.features(name)
    for k, theirs in GOLDEN[name]["prdc"].items():
        found = manifold_scores(real, fake, 3, int(k), block)
        assert found.coverage == theirs["coverage"]
        inside = theirs["density"] * int(k) * len(fake)  # a whole number, but for rounding
        assert found.density == round(inside) / (int(k) * len(fake))
        assert inside == pytest.approx(round(inside), abs=1e-6)
    theirs = GOLDEN[name]["torch-fidelity"]  # which takes the mean in float32
    assert found.precision == pytest.approx(theirs["precision"], rel=1e-6)
    assert found.recall == pytest.approx(theirs["recall"], rel=1e-6)


def by_definition(real, fake, precision_k, density_k):
    """From differences, in loops."""

    def radius(x, others, k):
        return sorted(np.linalg.norm(x - other) for other in others)[k]  # itself is the first

    def distances(x, others):
        return np.asarray([np.linalg.norm(x - other) for other in others])

    closed = np.asarray([radius(x, real, precision_k) for x in real])
    fakes = np.asarray([radius(x, fake, precision_k) for x in fake])
    opened = np.asarray([radius(x, real, density_k) for x in real])
    return (
        np.mean([(distances(y, real) <= closed).any() for y in fake]),
        np.mean([(distances(x, fake) <= fakes).any() for x in real]),
        np.mean([(distances(y, real) < opened).sum() / density_k for y in fake]),
        np.mean([distances(x, fake).min() < r for x, r in zip(real, opened, strict=True)]),
    )


@pytest.mark.parametrize("ks", [(3, 5), (5, 3), (1, 1), (2, 2)])
@pytest.mark.parametrize("block", [2048, 30, 7, 1])
def test_definition(ks, block):
    # Blocks smaller than k, too.
    real, fake = draw(0, 30, 3), draw(1, 22, 3) + 0.5
    expected = by_definition(real, fake, *ks)
    assert manifold_scores(real, fake, *ks, block) == pytest.approx(expected, rel=1e-15)


def test_order_and_roles():
    real, fake = draw(0, 60, 3), draw(1, 50, 3) + 0.3
    found = manifold_scores(real, fake)
    assert manifold_scores(real[::-1], fake[::-1]) == found
    exchanged = manifold_scores(fake, real)
    assert (exchanged.precision, exchanged.recall) == (found.recall, found.precision)


def test_equal_and_far_sets():
    real = draw(0, 50, 4)
    equal = manifold_scores(real, real)
    assert (equal.precision, equal.recall, equal.coverage) == (1, 1, 1)
    assert manifold_scores(real, real + 100) == (0, 0, 0, 0)


def test_ties():
    # On a line of whole numbers: balls of k = 2 reach to the neighbours, at the ends to the second.
    # Closed ones hold a fake on their edge, open ones do not.
    real, fake = np.arange(6)[:, None], np.asarray([[7], [7], [7], [6], [-9]])
    found = manifold_scores(real, fake, 2, 2)
    # 7 is on the edge of the ball around 5, of radius 2, and 6 inside of it alone.
    assert found.precision == 4 / 5
    assert found.density == 1 / (2 * 5)
    assert found.coverage == 1 / 6
    # The radii of the fakes are 0, 0, 0, 1, 15 (from -9 to 6): all reals are in the last.
    assert found.recall == 1
    assert manifold_scores(real, fake[:4], 2, 2).recall == 1 / 6  # 5 is on the edge of 6's ball


def test_collapsed_fakes():
    # All are one point amid the reals: precise, but their balls are of radius zero.
    real = draw(0, 100, 3)
    found = manifold_scores(real, np.tile(np.round(real[:1]) / 2, (50, 1)))
    assert (found.precision, found.recall) == (1, 0)
    assert found.coverage < 0.2


def test_large_offset():
    # Squares of 1e8, and distances of order one: |a|^2 + |b|^2 - 2ab is known to 1e-8 of them.
    real, fake = draw(0, 80, 3), draw(1, 70, 3)
    assert manifold_scores(real + 1e4, fake + 1e4) == manifold_scores(real, fake)


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (40, 90, 3)])
def test_expectations_for_equal_laws(n, m, k):
    random, draws = np.random.default_rng(0), 300
    found = [
        manifold_scores(random.exponential(1, (n, 2)), random.exponential(1, (m, 2)), 1, k)
        for _ in range(draws)
    ]
    for values, expected in (
        ([one.coverage for one in found], expected_coverage(n, m, k)),
        ([one.density for one in found], manifold.EXPECTED_DENSITY),
    ):
        # Four standard errors: one draw in ten thousand is further off.
        error = np.std(values) / np.sqrt(draws)
        assert np.mean(values) == pytest.approx(expected, abs=4 * error)


def test_expected_coverage():
    assert expected_coverage(1000, 1000) == pytest.approx(0.96898, abs=5e-6)  # as it is printed
    assert expected_coverage(10**9, 10**9, 3) == pytest.approx(1 - 2**-3, rel=1e-8)  # k/n
    assert expected_coverage(10, 1, 1) == pytest.approx(1 / 10)  # one fake is in one ball of ten

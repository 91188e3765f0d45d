"""Inception score and accuracy: torch-fidelity, closed forms and classes without examples."""

import numpy as np
import pytest
import scipy.special

from gan_jax.metrics.accuracy import accuracy
from gan_jax.metrics.inception_score import inception_score, inception_score_of_probabilities
from tests.helpers import golden_features

GOLDEN = golden_features.golden()["inception_score"]


@pytest.mark.parametrize("splits", [1, 10])
def test_torch_fidelity_agrees(splits):
    logits, torch_fidelity = golden_features.logits(), GOLDEN[str(splits)]
    for mean, std in (
        inception_score(logits, splits),
        inception_score(logits + 100, splits),  # logits are defined up to a constant
        inception_score_of_probabilities(scipy.special.softmax(logits, 1), splits),
    ):
        # Float64; adding 100 loses two digits.
        assert mean == pytest.approx(torch_fidelity["inception_score_mean"], rel=1e-12)
        assert std == pytest.approx(torch_fidelity["inception_score_std"], abs=1e-12)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_confident_balanced_predictions_score_the_number_of_classes(classes):
    p = np.eye(classes, dtype=np.float32)[np.arange(10 * classes) % classes]
    assert inception_score_of_probabilities(p) == pytest.approx((classes, 0))
    # Logits of a confident classifier: odds e^-50 for each other class.
    assert inception_score(50 * p) == pytest.approx((classes, 0), abs=1e-9)


@pytest.mark.parametrize("p", [(0.2, 0.3, 0.5), (0.0, 1.0, 0.0)])
def test_constant_predictions_score_one(p):
    assert inception_score_of_probabilities(np.tile(p, (20, 1))) == pytest.approx((1, 0))
    assert inception_score(np.tile(p, (20, 1))) == pytest.approx((1, 0))


def test_two_kinds_of_predictions_by_hand():
    # exp(H(mean) - H): classes 0 and 1 with probabilities 3/4 and 1/4, or vice versa.
    p = np.asarray([[0.75, 0.25], [0.25, 0.75]] * 4)
    expected = 2 * np.exp(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert inception_score_of_probabilities(p, 4) == pytest.approx((expected, 0))


def test_splits_are_consecutive_and_nearly_equal():
    # Consecutive splits of nearly equal size, here 3 and 4 of 7 samples; population std.
    p = np.eye(2)[[0, 0, 0, 0, 1, 0, 1]]
    assert inception_score_of_probabilities(p, 2) == pytest.approx((1.5, 0.5))
    logits = golden_features.logits()
    whole = inception_score(logits, 1)
    assert inception_score(logits[::-1], 1) == pytest.approx(whole)
    assert inception_score(logits, 10).mean < whole.mean  # H(mean) of few samples is too small


def test_probabilities_may_be_integers():
    assert inception_score_of_probabilities(np.eye(3, dtype=int), 1).mean == pytest.approx(3)


def test_accuracy_by_hand():
    top_1, per_class = accuracy([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0], 4)
    assert top_1 == pytest.approx(4 / 6)
    np.testing.assert_allclose(per_class, [1 / 2, 1 / 2, 1, np.nan])


def test_accuracy_of_random_guesses():
    random, n = np.random.default_rng(0), 20_000
    guesses = accuracy(random.integers(10, size=n), random.integers(10, size=n), 10)
    # Four standard deviations of n trials of probability 0.1, and five of n / 10 for each class.
    assert guesses.top_1 == pytest.approx(0.1, abs=4 * 0.3 / np.sqrt(n))
    np.testing.assert_allclose(guesses.per_class, 0.1, atol=5 * 0.3 / np.sqrt(n / 10))

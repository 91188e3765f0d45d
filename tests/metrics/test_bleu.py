"""BLEU is NLTK's, to rounding, and self-BLEU is BLEU against the others."""

import numpy as np
import pytest
from nltk.translate import bleu_score

from gan_jax.metrics import bleu

ORDERS = (2, 3, 4, 5)


def corpus(seed, n, words, longest):
    """Sentences of up to `longest` of so many words, some of them empty or of one word."""
    random = np.random.default_rng(seed)
    return [random.integers(words, size=k).tolist() for k in random.integers(0, longest, size=n)]


@pytest.mark.parametrize(
    ("words", "longest"), [(3, 8), (6, 12), (40, 9)], ids=["repeated", "common", "rare"]
)
def test_bleu_is_that_of_nltk(words, longest):
    smooth = bleu_score.SmoothingFunction().method1
    ours, references = corpus(0, 30, words, longest), corpus(1, 20, words, longest)

    def theirs(sentence, against, order):
        return bleu_score.sentence_bleu(against, sentence, (1 / order,) * order, smooth)

    found, among = bleu.bleu(ours, references), bleu.self_bleu(ours)
    for order in ORDERS:
        expected = np.mean([theirs(one, references, order) for one in ours])
        others = [theirs(one, ours[:i] + ours[i + 1 :], order) for i, one in enumerate(ours)]
        # Sums of some thirty numbers below 1, in double precision.
        assert found[order] == pytest.approx(expected, rel=0, abs=1e-12)
        assert among[order] == pytest.approx(np.mean(others), rel=0, abs=1e-12)
    assert 0 < found[5] < found[2] < 1


def test_bleu_by_hand():
    sentence, reference = [*"abcde"], [*"abcdfg"]
    found = bleu.bleu([sentence], [reference])
    brevity = np.exp(1 - 6 / 5)
    precisions = [4 / 5, 3 / 4, 2 / 3, 1 / 2, 0.1]
    for order in ORDERS:
        assert found[order] == pytest.approx(brevity * np.prod(precisions[:order]) ** (1 / order))


def test_extremes():
    sentences = [[*"abcdef"], [*"ghijkl"]]
    assert bleu.bleu(sentences, sentences) == dict.fromkeys(ORDERS, 1.0)
    assert bleu.self_bleu(sentences) == dict.fromkeys(ORDERS, 0.0)
    assert bleu.self_bleu(sentences[:1] * 2) == dict.fromkeys(ORDERS, 1.0)
    assert bleu.bleu([[]], sentences) == dict.fromkeys(ORDERS, 0.0)

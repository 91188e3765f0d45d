"""BLEU equals NLTK's up to rounding; self-BLEU uses the other samples as references."""

import numpy as np
import pytest
from nltk.translate import bleu_score

from gan_jax.metrics import bleu

ORDERS = (2, 3, 4, 5)


def corpus(seed, n, vocabulary_size, length_limit):
    """Random sentences shorter than `length_limit`, some empty or of a single word."""
    random = np.random.default_rng(seed)
    return [
        random.integers(vocabulary_size, size=length).tolist()
        for length in random.integers(0, length_limit, size=n)
    ]


@pytest.mark.parametrize(
    ("vocabulary_size", "length_limit"),
    [(3, 8), (6, 12), (40, 9)],
    ids=["repeated", "common", "rare"],
)
def test_bleu_equals_nltk(vocabulary_size, length_limit):
    smoothing = bleu_score.SmoothingFunction().method1
    candidates, references = (
        corpus(0, 30, vocabulary_size, length_limit),
        corpus(1, 20, vocabulary_size, length_limit),
    )

    def nltk_bleu(sentence, sentence_references, order):
        return bleu_score.sentence_bleu(
            sentence_references, sentence, (1 / order,) * order, smoothing
        )

    scores, self_scores = bleu.bleu(candidates, references), bleu.self_bleu(candidates)
    for order in ORDERS:
        expected = np.mean([nltk_bleu(candidate, references, order) for candidate in candidates])
        expected_self = [
            nltk_bleu(candidate, candidates[:i] + candidates[i + 1 :], order)
            for i, candidate in enumerate(candidates)
        ]
        # Sums of about thirty float64 numbers below 1.
        assert scores[order] == pytest.approx(expected, rel=0, abs=1e-12)
        assert self_scores[order] == pytest.approx(np.mean(expected_self), rel=0, abs=1e-12)
    assert 0 < scores[5] < scores[2] < 1


def test_bleu_of_one_sentence_by_hand():
    sentence, reference = [*"abcde"], [*"abcdfg"]
    scores = bleu.bleu([sentence], [reference])
    brevity_penalty = np.exp(1 - 6 / 5)
    precisions = [4 / 5, 3 / 4, 2 / 3, 1 / 2, 0.1]
    for order in ORDERS:
        assert scores[order] == pytest.approx(
            brevity_penalty * np.prod(precisions[:order]) ** (1 / order)
        )


def test_identical_sentences_score_one_and_disjoint_ones_zero():
    sentences = [[*"abcdef"], [*"ghijkl"]]
    assert bleu.bleu(sentences, sentences) == dict.fromkeys(ORDERS, 1.0)
    assert bleu.self_bleu(sentences) == dict.fromkeys(ORDERS, 0.0)
    assert bleu.self_bleu(sentences[:1] * 2) == dict.fromkeys(ORDERS, 1.0)
    assert bleu.bleu([[]], sentences) == dict.fromkeys(ORDERS, 0.0)

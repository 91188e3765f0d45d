"""BLEU of generated sentences against real ones, and self-BLEU among generated sentences.

Papineni et al. 2002, smoothed by counting 0.1 matches of an order without any (Chen & Cherry 2014,
method 1). As in Texygen (Zhu et al. 2018, 1802.01886), it is the sentence BLEU of each sample
against all references, averaged over samples. High BLEU means quality, high self-BLEU means low
diversity: read them together, over temperatures (Caccia et al. 2020, 1811.02549).

Sentences are sequences of any hashable tokens. The numbers equal those of NLTK's `sentence_bleu`,
which counts the n-grams of the references again for every sentence; this module counts them once.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence

ORDERS = (2, 3, 4, 5)
SMOOTHING = 0.1
Sentence = Sequence[Hashable]
NGram = tuple[Hashable, ...]


def _count_ngrams(sentence: Sentence, order: int) -> Counter[NGram]:
    return Counter(zip(*(sentence[i:] for i in range(order)), strict=False))


class _References:
    """N-gram counts and lengths of a set of references, with one of them optionally left out."""

    def __init__(self, sentences: Sequence[Sentence]):
        # The largest count in a reference, the index of that reference, and the second largest.
        self._largest: dict[NGram, tuple[int, int, int]] = {}
        for index, sentence in enumerate(sentences):
            for order in range(1, max(ORDERS) + 1):
                for ngram, count in _count_ngrams(sentence, order).items():
                    first, owner, second = self._largest.get(ngram, (0, -1, 0))
                    if count > first:
                        self._largest[ngram] = (count, index, first)
                    elif count > second:
                        self._largest[ngram] = (first, owner, count)
        self._length_counts = Counter(map(len, sentences))
        self._lengths = sorted(self._length_counts)

    def max_count(self, ngram: NGram, left_out: int) -> int:
        """Return the largest count of an n-gram in a reference other than number `left_out`."""
        first, owner, second = self._largest.get(ngram, (0, -1, 0))
        return second if owner == left_out else first

    def closest_length(self, length: int, left_out: int | None) -> int:
        """Return the reference length closest to `length`; of two, the shorter.

        One reference of length `left_out` does not count.
        """
        lengths = self._lengths
        if left_out is not None and self._length_counts[left_out] == 1:
            lengths = [candidate for candidate in lengths if candidate != left_out]
        index = bisect_left(lengths, length)
        neighbors = lengths[max(index - 1, 0) : index + 1]
        return min(neighbors, key=lambda candidate: (abs(candidate - length), candidate))


def _sentence_bleu(sentence: Sentence, references: _References, left_out: int = -1) -> list[float]:
    """Compute the sentence BLEU of all ORDERS."""
    length, log_precisions = len(sentence), []
    for order in range(1, max(ORDERS) + 1):
        ngrams = _count_ngrams(sentence, order)
        matches = sum(
            min(count, references.max_count(ngram, left_out)) for ngram, count in ngrams.items()
        )
        if order == 1 and not matches:
            return [0.0] * len(ORDERS)
        log_precisions.append(math.log((matches or SMOOTHING) / max(1, ngrams.total())))
    closest = references.closest_length(length, length if left_out >= 0 else None)
    brevity = min(0.0, 1 - closest / length)
    return [math.exp(brevity + math.fsum(log_precisions[:order]) / order) for order in ORDERS]


def bleu(sentences: Sequence[Sentence], references: Sequence[Sentence]) -> dict[int, float]:
    """Compute the mean BLEU-2 to BLEU-5 of sentences against references.

    Args:
        sentences: Generated sentences, at least one.
        references: Real sentences, at least one.

    Returns:
        Mean BLEU in [0, 1] by order.

    Example:
        >>> scores = bleu(["the cat sat".split()], ["the cat sat down".split()])
        >>> round(scores[2], 4)  # both bigrams match; the brevity penalty is exp(1 - 4/3)
        0.7165
    """
    counted = _References(references)
    return _mean_by_order([_sentence_bleu(sentence, counted) for sentence in sentences])


def self_bleu(sentences: Sequence[Sentence]) -> dict[int, float]:
    """Compute the mean BLEU-2 to BLEU-5 of each sentence against all others.

    Args:
        sentences: Generated sentences, at least two.

    Returns:
        Mean BLEU in [0, 1] by order.

    Example:
        >>> self_bleu(["a b c d e".split()] * 2)[5]
        1.0
    """
    counted = _References(sentences)
    return _mean_by_order(
        [_sentence_bleu(sentence, counted, index) for index, sentence in enumerate(sentences)]
    )


def _mean_by_order(scores: list[list[float]]) -> dict[int, float]:
    columns = zip(*scores, strict=True)
    return {
        order: math.fsum(column) / len(column)
        for order, column in zip(ORDERS, columns, strict=True)
    }

"""BLEU of generated sentences against real ones, and self-BLEU among themselves.

Papineni et al. 2002, with the smoothing that a sentence with no match of an order has 0.1 of one
(Chen & Cherry 2014, method 1): sentence BLEU of each sample against all references, averaged, as
Texygen has it (Zhu et al. 2018, 1802.01886). High BLEU is quality, high self-BLEU is sameness: they
are to be read together, over temperatures (Caccia et al. 2020, 1811.02549).

Sentences are sequences of any hashable tokens. The numbers are those of NLTK's `sentence_bleu`,
which would count the references anew for every sentence; here they are counted once.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence

ORDERS = (2, 3, 4, 5)
SMOOTHING = 0.1
Sentence = Sequence[Hashable]
Grams = Counter[tuple[Hashable, ...]]


def _grams(sentence: Sentence, order: int) -> Grams:
    return Counter(zip(*(sentence[i:] for i in range(order)), strict=False))


class _References:
    """What BLEU asks of a set of references: how often each n-gram occurs in the one that has most
    of it, and which lengths there are. One reference may be left out."""

    def __init__(self, sentences: Sequence[Sentence]):
        self._best: dict[tuple[Hashable, ...], tuple[int, int, int]] = {}
        for number, sentence in enumerate(sentences):
            for order in range(1, max(ORDERS) + 1):
                for gram, count in _grams(sentence, order).items():
                    first, owner, second = self._best.get(gram, (0, -1, 0))
                    if count > first:
                        self._best[gram] = (count, number, first)
                    elif count > second:
                        self._best[gram] = (first, owner, count)
        self._count = Counter(map(len, sentences))
        self._lengths = sorted(self._count)

    def most(self, gram: tuple[Hashable, ...], left_out: int) -> int:
        first, owner, second = self._best.get(gram, (0, -1, 0))
        return second if owner == left_out else first

    def closest(self, length: int, left_out: int | None) -> int:
        """The length closest to `length`, the shorter of two; `left_out` is one that counts once
        less."""
        lengths = self._lengths
        if left_out is not None and self._count[left_out] == 1:
            lengths = [one for one in lengths if one != left_out]
        at = bisect_left(lengths, length)
        return min(lengths[max(at - 1, 0) : at + 1], key=lambda one: (abs(one - length), one))


def _scores(sentence: Sentence, references: _References, left_out: int = -1) -> list[float]:
    """Sentence BLEU of all ORDERS."""
    length, logs = len(sentence), []
    for order in range(1, max(ORDERS) + 1):
        grams = _grams(sentence, order)
        matches = sum(min(n, references.most(gram, left_out)) for gram, n in grams.items())
        if order == 1 and not matches:
            return [0.0] * len(ORDERS)
        logs.append(math.log((matches or SMOOTHING) / max(1, grams.total())))
    closest = references.closest(length, length if left_out >= 0 else None)
    brevity = min(0.0, 1 - closest / length)
    return [math.exp(brevity + math.fsum(logs[:order]) / order) for order in ORDERS]


def bleu(sentences: Sequence[Sentence], references: Sequence[Sentence]) -> dict[int, float]:
    """The mean over one sentence or more of its BLEU-2 to BLEU-5 against one reference or more."""
    known = _References(references)
    each = [_scores(sentence, known) for sentence in sentences]
    return _means(each)


def self_bleu(sentences: Sequence[Sentence]) -> dict[int, float]:
    """The mean over at least two sentences of its BLEU-2 to BLEU-5 against all the others."""
    known = _References(sentences)
    each = [_scores(sentence, known, number) for number, sentence in enumerate(sentences)]
    return _means(each)


def _means(each: list[list[float]]) -> dict[int, float]:
    columns = zip(*each, strict=True)
    return {order: math.fsum(c) / len(c) for order, c in zip(ORDERS, columns, strict=True)}

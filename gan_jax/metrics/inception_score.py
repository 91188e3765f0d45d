"""Inception score: how sure a classifier is of each sample, and how varied over all.

It is in [1, classes], and knows nothing of real data. What a good model scores depends on the
classifier and the data, so there is no floor in closed form: score the real data beside it.
"""

import itertools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.special

from gan_jax.core.errors import UserError
from gan_jax.metrics import checks


class InceptionScore(NamedTuple):
    """Mean and standard deviation (over n, not n - 1) of the scores of the splits."""

    mean: float
    std: float


def inception_score(logits: Any, splits: int = 10) -> InceptionScore:
    """exp E KL(p(y|x) || p(y)) from logits [n, classes], of each of `splits` consecutive parts.

    Salimans et al. 2016 (1606.03498), sec. 4. Samples that are in order, by class for instance, are
    to be shuffled first. Raises UserError if a logit is not finite or splits is not in 1 to n.
    """
    logits = checks.check_matrix("logits", logits).astype(np.float64)
    return _score(scipy.special.softmax(logits, 1), scipy.special.log_softmax(logits, 1), splits)


def inception_score_of_probabilities(probabilities: Any, splits: int = 10) -> InceptionScore:
    """The same from p(y|x) [n, classes], which may hold zeros.

    Raises UserError if one is below zero, or a row's sum is off 1 by more than its dtype's rounding
    allows: sqrt(eps), 3e-4 for float32.
    """
    p = checks.check_matrix("probabilities", probabilities)
    if not jnp.issubdtype(p.dtype, jnp.floating):
        p = p.astype(np.float64)
    allowed = float(jnp.finfo(p.dtype).eps) ** 0.5
    p = p.astype(np.float64)
    if p.min() < 0:
        raise UserError(f"probabilities: {p.min()} given, at least 0 allowed")
    sums = p.sum(1)
    worst = sums[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > allowed:
        raise UserError(f"probabilities: row sum {worst:.6g} given, 1 +- {allowed:.1g} allowed")
    return _score(p, np.log(p, where=p > 0, out=np.zeros_like(p)), splits)


def _score(p: np.ndarray, log_p: np.ndarray, splits: int) -> InceptionScore:
    n = len(p)
    checks.check_between("splits", splits, 1, n)
    edges = [split * n // splits for split in range(splits + 1)]
    scores = []
    for first, last in itertools.pairwise(edges):
        part, marginal = p[first:last], p[first:last].mean(0)
        # A class that no sample has adds 0 log 0 = 0.
        log_marginal = np.log(marginal, where=marginal > 0, out=np.zeros_like(marginal))
        scores.append(np.exp((part * (log_p[first:last] - log_marginal)).sum(1).mean()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))

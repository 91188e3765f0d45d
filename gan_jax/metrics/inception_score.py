"""Inception score: confidence of a classifier on each sample, and diversity over all samples.

The score lies in [1, classes] and does not depend on real data. The score of a good model depends
on the classifier and on the data, so there is no floor in closed form: score the real data too, for
comparison.
"""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Float, Shaped

from gan_jax.core.errors import UserError
from gan_jax.metrics import checks
from gan_jax.metrics.checks import AnyArray


class InceptionScore(NamedTuple):
    """Mean and standard deviation of the scores of the splits."""

    mean: float
    """Mean over the splits."""
    std: float
    """Standard deviation over the splits, with divisor n, not n - 1."""


def inception_score(logits: Shaped[AnyArray, "n classes"], splits: int = 10) -> InceptionScore:
    """Compute the Inception score from logits: exp E KL(p(y|x) || p(y)).

    Salimans et al. 2016 (1606.03498), sec. 4. The score is computed for each of `splits`
    consecutive parts, so shuffle samples that are sorted, for example by class.

    Args:
        logits: Logits of the samples [n, classes].
        splits: Number of consecutive parts, from 1 to n.

    Returns:
        Mean and standard deviation over the splits.

    Raises:
        UserError: If a logit is not finite, or `splits` is not in 1 to n.

    Example:
        >>> score = inception_score(100 * np.eye(4), splits=1)  # four classes, each certain
        >>> round(score.mean, 6)
        4.0
    """
    logits = checks.check_matrix("logits", logits).astype(np.float64)
    return _score(scipy.special.softmax(logits, 1), scipy.special.log_softmax(logits, 1), splits)


def inception_score_of_probabilities(
    probabilities: Shaped[AnyArray, "n classes"], splits: int = 10
) -> InceptionScore:
    """Compute the Inception score from probabilities p(y|x), which may be zero.

    Args:
        probabilities: Probabilities of the samples [n, classes].
        splits: Number of consecutive parts, from 1 to n.

    Returns:
        Mean and standard deviation over the splits.

    Raises:
        UserError: If a probability is below zero, or the sum of a row differs from 1 by more than
            the rounding of its dtype allows: sqrt(eps), 3e-4 for float32.

    Example:
        >>> inception_score_of_probabilities(np.full((4, 2), 0.5), splits=2).mean
        1.0
    """
    p = checks.check_matrix("probabilities", probabilities)
    if not jnp.issubdtype(p.dtype, jnp.floating):
        p = p.astype(np.float64)
    tolerance = float(jnp.finfo(p.dtype).eps) ** 0.5
    p = p.astype(np.float64)
    if p.min() < 0:
        raise UserError(f"probabilities must be at least 0, got {p.min()}")
    sums = p.sum(1)
    worst = sums[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > tolerance:
        raise UserError(
            f"probabilities must sum to 1 +- {tolerance:.1g} in each row, got row sum {worst:.6g}"
        )
    return _score(p, np.log(p, where=p > 0, out=np.zeros_like(p)), splits)


def _score(
    p: Float[np.ndarray, "n classes"], log_p: Float[np.ndarray, "n classes"], splits: int
) -> InceptionScore:
    n = len(p)
    checks.check_between("splits", splits, 1, n)
    edges = [split * n // splits for split in range(splits + 1)]
    scores = []
    for first, last in itertools.pairwise(edges):
        part, marginal = p[first:last], p[first:last].mean(0)
        # A class of probability 0 in all samples adds 0 log 0 = 0.
        log_marginal = np.log(marginal, where=marginal > 0, out=np.zeros_like(marginal))
        scores.append(np.exp((part * (log_p[first:last] - log_marginal)).sum(1).mean()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))

"""Coverage of the modes of a 2-D mixture, or of the 1000 classes of Stacked MNIST.

The protocol is that of VEEGAN and PacGAN: Srivastava et al. 2017 (1705.07761), Lin et al. 2018
(1712.04086, sec. 4.1 and 4.2).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, Shaped

from gan_jax.metrics import checks
from gan_jax.metrics.checks import AnyArray

HIGH_QUALITY = 1 - math.exp(-(3**2) / 2)  # within 3 sigma of a 2-D Gaussian: 0.9889


class Modes(NamedTuple):
    """Coverage of the modes of a mixture."""

    covered: int
    """Number of modes with a sample within 3 sigma."""
    high_quality: float
    """Fraction of samples within 3 sigma of a mode; `HIGH_QUALITY` for the mixture itself."""
    kl: float
    """KL(histogram over nearest modes || uniform) in nats; `kl_floor` for the mixture itself."""


class StackedModes(NamedTuple):
    """Coverage of equally likely classes."""

    covered: int
    """Number of classes with a sample."""
    kl: float
    """KL(histogram || uniform) in nats."""
    excess_kl: float
    """KL minus `kl_floor`, 0 in expectation for evenly distributed samples."""


def kl_floor(modes: int, n: int) -> float:
    """Compute (K-1)/2n: the expected KL(histogram || uniform) of n samples of K equal modes.

    2n KL tends to a chi-square with K-1 degrees of freedom (Wilks 1938). For 1000 modes the exact
    expectation is 0.7 % above this at n = 26,000, 2 % at 10,000 and 12 % at 2500.

    Example:
        >>> round(kl_floor(1000, 26_000), 4)
        0.0192
    """
    return (modes - 1) / (2 * n)


def kl_to_uniform(counts: Integer[np.ndarray, " modes"]) -> float:
    """Compute KL(histogram || uniform) in nats from the number of samples of each mode.

    Example:
        >>> kl_to_uniform(np.array([5, 5]))
        0.0
        >>> round(kl_to_uniform(np.array([10, 0])), 4)  # log 2
        0.6931
    """
    fractions = counts[counts > 0] / counts.sum()
    return float((fractions * np.log(fractions * len(counts))).sum())


def modes(
    samples: Shaped[AnyArray, "n 2"], centers: Float[np.ndarray, "modes 2"], sigma: float
) -> Modes:
    """Compute the coverage of equally likely Gaussians by samples.

    Args:
        samples: Samples [n, 2]; the papers use 2500.
        centers: Centers of the Gaussians [K, 2].
        sigma: Standard deviation of the Gaussians.

    Returns:
        Covered modes, fraction of high-quality samples, and KL to the uniform distribution.

    Raises:
        ValueError: If a sample is not finite.

    Example:
        >>> centers = np.array([[0.0, 0.0], [1.0, 0.0]])
        >>> coverage = modes(np.array([[0.0, 0.01], [0.4, 0.0]]), centers, sigma=0.01)
        >>> coverage.covered, coverage.high_quality
        (1, 0.5)
    """
    samples = np.asarray(samples, np.float64)
    if not np.isfinite(samples).all():
        raise ValueError("samples must be finite")
    distance = np.linalg.norm(samples[:, None, :] - centers[None, :, :], axis=-1)  # [n, K]
    nearest = distance.argmin(1)
    good = distance.min(1) <= 3 * sigma
    return Modes(
        covered=len(np.unique(nearest[good])),
        high_quality=float(good.mean()),
        kl=kl_to_uniform(np.bincount(nearest, minlength=len(centers))),
    )


def stacked_modes(
    labels: Integer[AnyArray, " n"] | Sequence[int], classes: int = 1000
) -> StackedModes:
    """Compute the coverage of equally likely classes by samples with predicted labels.

    The papers use 26,000 samples, for which `kl_floor` is 0.0192.

    Args:
        labels: Predicted labels [n].
        classes: Number of classes.

    Returns:
        Covered classes, KL to the uniform distribution, and its excess over `kl_floor`.

    Raises:
        UserError: If the labels are not integers from 0 to `classes` - 1.

    Example:
        >>> stacked_modes([0, 0, 1, 1], classes=4).covered
        2
    """
    counts = np.bincount(checks.check_labels("labels", labels, classes), minlength=classes)
    kl = kl_to_uniform(counts)
    return StackedModes(int((counts > 0).sum()), kl, kl - kl_floor(classes, int(counts.sum())))

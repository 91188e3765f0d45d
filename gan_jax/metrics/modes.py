"""How well samples cover the modes of a 2-D mixture, by the protocol of VEEGAN and PacGAN."""

from typing import NamedTuple

import numpy as np


class Modes(NamedTuple):
    """covered: modes with a sample within 3 sigma. high_quality: share of samples within 3 sigma of
    a mode (0.989 for the mixture itself, in two dimensions). kl: KL(histogram over the nearest
    modes || uniform) in nats, (K-1)/2n for the mixture itself with K modes and n samples."""

    covered: int
    high_quality: float
    kl: float


def modes(samples: np.ndarray, centres: np.ndarray, sigma: float) -> Modes:
    """Coverage by samples [n, 2] of equally likely Gaussians at `centres` [K, 2].

    Srivastava et al. 2017 (1705.07761, sec. 4.1) and Lin et al. 2018 (1712.04086, sec. 4.1), who
    use 2500 samples. Raises ValueError if a sample is not finite.
    """
    samples = np.asarray(samples, np.float64)
    if not np.isfinite(samples).all():
        raise ValueError("modes: a sample is not finite")
    distance = np.linalg.norm(samples[:, None, :] - centres[None, :, :], axis=-1)  # [n, K]
    nearest = distance.argmin(1)
    good = distance.min(1) <= 3 * sigma
    share = np.bincount(nearest, minlength=len(centres)) / len(samples)
    taken = share[share > 0]
    return Modes(
        covered=len(np.unique(nearest[good])),
        high_quality=float(good.mean()),
        kl=float((taken * np.log(taken * len(centres))).sum()),
    )

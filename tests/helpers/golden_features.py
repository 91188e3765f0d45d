"""Features for which the metrics are compared with well-known implementations."""

import json
from pathlib import Path

import numpy as np
from sklearn import datasets

NAMES = ("correlated", "rectified", "fewer_than_features", "digits")


def features(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return real [n, d] and fake [m, d] features, float64."""
    if name == "digits":  # raw pixels of the bundled data set, 0 to 16: two halves of 898
        pixels = datasets.load_digits().data
        return pixels[:898], pixels[-898:]
    n, m, d = {
        "correlated": (400, 300, 16),
        "rectified": (500, 500, 64),  # nonnegative, like the features of Inception networks
        "fewer_than_features": (60, 45, 128),
    }[name]
    rng = np.random.default_rng(NAMES.index(name))
    mix = rng.standard_normal((d, d)) / np.sqrt(d)
    real = rng.standard_normal((n, d)) @ mix
    fake = 1.2 * rng.standard_normal((m, d)) @ mix + 0.1
    return (np.maximum(real, 0), np.maximum(fake, 0)) if name == "rectified" else (real, fake)


def logits() -> np.ndarray:
    """Return classifier logits, float64 [1003, 10]: some confident, some not."""
    rng = np.random.default_rng(len(NAMES))
    return rng.exponential(2.0, (1003, 1)) * rng.standard_normal((1003, 10))


def golden() -> dict:
    """Load the reference values from golden/make_metrics.py."""
    return json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text())

"""Features that gan_jax's metrics and well-known implementations are asked about alike."""

import json
from pathlib import Path

import numpy as np
from sklearn import datasets

NAMES = ("correlated", "rectified", "fewer_than_features", "digits")


def features(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Real [n, d] and fake [m, d], float64."""
    if name == "digits":  # the bundled ones' raw pixels, 0 to 16: two halves of 898
        pixels = datasets.load_digits().data
        return pixels[:898], pixels[-898:]
    n, m, d = {
        "correlated": (400, 300, 16),
        "rectified": (500, 500, 64),  # at least zero, as an Inception network's are
        "fewer_than_features": (60, 45, 128),
    }[name]
    random = np.random.default_rng(NAMES.index(name))
    mix = random.standard_normal((d, d)) / np.sqrt(d)
    real = random.standard_normal((n, d)) @ mix
    fake = 1.2 * random.standard_normal((m, d)) @ mix + 0.1
    return (np.maximum(real, 0), np.maximum(fake, 0)) if name == "rectified" else (real, fake)


def logits() -> np.ndarray:
    """Of a classifier, float64 [1003, 10]: some samples clear, some not."""
    random = np.random.default_rng(len(NAMES))
    return random.exponential(2.0, (1003, 1)) * random.standard_normal((1003, 10))


def golden() -> dict:
    """What golden/make_metrics.py found."""
    return json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text())

"""Writes metrics.json: what torch-fidelity, prdc, scipy and scikit-learn say of golden_features.py.

Needs packages that the tests do not; in an environment of its own:

    pip install torch==2.13.0 torch-fidelity==0.4.0 prdc==0.2 scikit-learn scipy
    PYTHONPATH=. python tests/golden/make_metrics.py
"""

import contextlib
import importlib.metadata
import io
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import prdc
import scipy.linalg
import torch
from sklearn.metrics import pairwise
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

from tests.helpers import golden_features

PACKAGES = ("torch", "torch-fidelity", "prdc", "scipy", "scikit-learn", "numpy")
PRDC_K = (3, 5)


def frechet(real: np.ndarray, fake: np.ndarray) -> float:
    """With scipy's square root of S1^1/2 S2 S1^1/2, which is symmetric."""
    one, two = (np.cov(features, rowvar=False) for features in (real, fake))
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    product = root @ two @ root
    trace = np.trace(scipy.linalg.sqrtm((product + product.T) / 2).real)
    step = real.mean(0) - fake.mean(0)
    return float(step @ step + np.trace(one) + np.trace(two) - 2 * trace)


def kernel(real: np.ndarray, fake: np.ndarray) -> float:
    """The unbiased estimate from scikit-learn's kernel, whose defaults are KID's."""

    def within(x: np.ndarray) -> float:
        values = pairwise.polynomial_kernel(x)
        return (values.sum() - np.trace(values)) / (len(x) * (len(x) - 1))

    across = pairwise.polynomial_kernel(real, fake).mean()
    return float(within(real) + within(fake) - 2 * across)


def torch_fidelity(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """Its FID, KID (of sets of one size: a subset is all of it), and precision and recall."""
    first, second = torch.from_numpy(fake), torch.from_numpy(real)  # its order
    statistics = [metric_fid.fid_features_to_statistics(one) for one in (first, second)]
    found = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    options = {"verbose": False, "save_cpu_ram": False}
    found |= metric_prc.prc_features_to_metric(first, second, **options)
    if len(real) == len(fake):
        whole = {"kid_subsets": 1, "kid_subset_size": len(real)}
        found |= metric_kid.kid_features_to_metric(first, second, **whole, **options)
    return found


def case(name: str) -> dict[str, Any]:
    """All that is known of one pair of sets."""
    real, fake = golden_features.features(name)
    with contextlib.redirect_stdout(io.StringIO()):  # prdc prints
        by_k = {str(k): prdc.compute_prdc(real, fake, k) for k in PRDC_K}
    return {
        "sum": float(real.sum() + fake.sum()),
        "scipy": {"frechet": frechet(real, fake)},
        "scikit-learn": {"kernel": kernel(real, fake)},
        "torch-fidelity": torch_fidelity(real, fake),
        "prdc": {k: {name: float(value) for name, value in of.items()} for k, of in by_k.items()},
    }


def main() -> None:
    """Writes the file beside this one."""
    logits = torch.from_numpy(golden_features.logits())
    found = {
        "command": "PYTHONPATH=. python tests/golden/make_metrics.py",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "cases": {name: case(name) for name in golden_features.NAMES},
        "inception_score": {
            str(splits): metric_isc.isc_features_to_metric(logits, splits, shuffle=False)
            for splits in (1, 10)
        },
    }
    text = json.dumps(found, indent=1) + "\n"
    Path(__file__).with_name("metrics.json").write_text(text)


if __name__ == "__main__":
    main()

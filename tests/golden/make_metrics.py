"""Write metrics.json: reference values for the features of golden_features.py.

They come from torch-fidelity, prdc, scipy and scikit-learn. The packages below are not dependencies
of the tests; install them in a separate environment:

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
    """Return the Frechet distance, with scipy's square root of S1^1/2 S2 S1^1/2."""
    real_cov, fake_cov = (np.cov(features, rowvar=False) for features in (real, fake))
    values, vectors = np.linalg.eigh(real_cov)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    product = root @ fake_cov @ root
    trace = np.trace(scipy.linalg.sqrtm((product + product.T) / 2).real)
    gap = real.mean(0) - fake.mean(0)
    return float(gap @ gap + np.trace(real_cov) + np.trace(fake_cov) - 2 * trace)


def kernel(real: np.ndarray, fake: np.ndarray) -> float:
    """Return the unbiased KID estimate. KID uses the defaults of scikit-learn's kernel."""

    def within(x: np.ndarray) -> float:
        values = pairwise.polynomial_kernel(x)
        return (values.sum() - np.trace(values)) / (len(x) * (len(x) - 1))

    across = pairwise.polynomial_kernel(real, fake).mean()
    return float(within(real) + within(fake) - 2 * across)


def torch_fidelity(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """Return torch-fidelity's FID, precision and recall, and KID for sets of equal size."""
    first, second = torch.from_numpy(fake), torch.from_numpy(real)  # torch-fidelity's order
    statistics = [metric_fid.fid_features_to_statistics(features) for features in (first, second)]
    scores = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    options = {"verbose": False, "save_cpu_ram": False}
    scores |= metric_prc.prc_features_to_metric(first, second, **options)
    if len(real) == len(fake):
        full_set = {"kid_subsets": 1, "kid_subset_size": len(real)}
        scores |= metric_kid.kid_features_to_metric(first, second, **full_set, **options)
    return scores


def case(name: str) -> dict[str, Any]:
    """Return all reference values of one pair of sets."""
    real, fake = golden_features.features(name)
    with contextlib.redirect_stdout(io.StringIO()):  # prdc prints to stdout
        by_k = {str(k): prdc.compute_prdc(real, fake, k) for k in PRDC_K}
    return {
        "sum": float(real.sum() + fake.sum()),
        "scipy": {"frechet": frechet(real, fake)},
        "scikit-learn": {"kernel": kernel(real, fake)},
        "torch-fidelity": torch_fidelity(real, fake),
        "prdc": {
            k: {name: float(value) for name, value in scores.items()} for k, scores in by_k.items()
        },
    }


def main() -> None:
    """Write the file next to this one."""
    logits = torch.from_numpy(golden_features.logits())
    reference = {
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
    text = json.dumps(reference, indent=1) + "\n"
    Path(__file__).with_name("metrics.json").write_text(text)


if __name__ == "__main__":
    main()

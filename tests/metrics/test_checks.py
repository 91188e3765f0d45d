"""Bad features and labels: every metric names the value and what is allowed, in one line."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.metrics import accuracy, checks, frechet, inception_score, kernel, manifold, modes

GOOD = np.random.default_rng(0).standard_normal((12, 3))


def with_value(value, dtype=np.float64):
    bad = GOOD.astype(dtype)
    bad[7, 2] = value
    return bad


PAIRED = {
    "frechet": lambda a, b: frechet.frechet_distance(frechet.moments(a), frechet.moments(b)),
    "kernel": kernel.kernel_distance,
    "subset_kernel": lambda a, b: kernel.subset_kernel_distance(a, b, keys.root_key(0), 2, 4),
    "manifold": manifold.manifold_scores,
}
SINGLE = {
    "moments": frechet.moments,
    "inception_score": inception_score.inception_score,
    "probabilities": inception_score.inception_score_of_probabilities,
}
BAD = {
    "nan": (with_value(np.nan), "nan at [7, 2]"),
    "inf": (with_value(-np.inf, np.float32), "-inf at [7, 2]"),
    "bfloat16": (jnp.asarray(with_value(np.inf), jnp.bfloat16), "inf at [7, 2]"),
    "text": (np.full((12, 3), "a"), "dtype <U1"),
    "bool": (GOOD > 0, "dtype bool"),
    "complex": (GOOD * 1j, "dtype complex128"),
    "vector": (GOOD[:, 0], "shape (12,)"),
    "image": (GOOD[:, :, None], "shape (12, 3, 1)"),
    "none": (GOOD[:0], "shape (0, 3)"),
    "no_features": (GOOD[:, :0], "shape (12, 0)"),
}


def refused(said, function, *arguments, **named):
    with pytest.raises(UserError) as error:
        function(*arguments, **named)
    assert said in str(error.value)
    assert "must" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("metric", [*PAIRED, *SINGLE])
def test_features(metric, bad):
    values, said = BAD[bad]
    if metric in SINGLE:
        refused(said, SINGLE[metric], values)
    else:
        refused(said, PAIRED[metric], values, GOOD)
        refused(said, PAIRED[metric], GOOD, values)


@pytest.mark.parametrize("metric", PAIRED)
def test_pairs(metric):
    refused("got 3 and 2", PAIRED[metric], GOOD, GOOD[:, :2])
    refused("1", PAIRED[metric], GOOD[:1], GOOD)
    refused("1", PAIRED[metric], GOOD, GOOD[:1])


@pytest.mark.parametrize("metric", PAIRED)
def test_kinds_of_arrays(metric):
    # Small integers are exact in every dtype: all say the same, to the bit.
    real, fake = np.round(3 * GOOD), np.round(3 * GOOD[::-1] + 1)
    expected = PAIRED[metric](real, fake)
    for dtype in (np.float32, np.float16, np.int8, np.int64):
        assert PAIRED[metric](real.astype(dtype), fake) == expected
    for dtype in (jnp.float32, jnp.bfloat16, jnp.int32):
        assert PAIRED[metric](jnp.asarray(real, dtype), jnp.asarray(fake, dtype)) == expected


LABELS = {
    "too_large": ([0, 3], "from 0 to 2, got 3"),
    "negative": ([-1, 0], "got -1"),
    "float": ([0.0, 1.0], "dtype float64"),
    "matrix": ([[0, 1]], "shape (1, 2)"),
    "none": (np.zeros(0, int), "shape (0,)"),
}


@pytest.mark.parametrize("bad", LABELS)
def test_labels(bad):
    values, said = LABELS[bad]
    refused(said, checks.check_labels, "labels", values, 3)
    refused(said, modes.stacked_modes, np.asarray(values), 3)
    refused(said, accuracy.accuracy, np.asarray(values), [0, 1], 3)
    refused(said, accuracy.accuracy, [0, 1], np.asarray(values), 3)


@pytest.mark.parametrize("k", [0, 12, 1.5])
def test_numbers_of_neighbours(k):
    refused(
        f"precision's k must be an integer from 1 to 11, got {k}",
        manifold.manifold_scores,
        GOOD,
        GOOD,
        k,
    )
    refused(
        f"density's k must be an integer from 1 to 11, got {k}",
        manifold.manifold_scores,
        GOOD,
        GOOD,
        3,
        k,
    )
    manifold.manifold_scores(GOOD, GOOD[:4], 3, 11)  # balls of density are around reals only
    refused("1 to 2", manifold.manifold_scores, GOOD, GOOD[:3], 3)


def test_subsets():
    def ask(**named):
        return kernel.subset_kernel_distance(GOOD, GOOD[:10], keys.root_key(0), **named)

    refused("got 1", ask, subsets=1, size=5)
    refused("from 2 to 10, got 1", ask, size=1)
    refused("from 2 to 10, got 1000", ask)
    refused("got 0", kernel.kernel_distance, GOOD, GOOD, block=0)
    refused("got 0", manifold.manifold_scores, GOOD, GOOD, block=0)


def test_splits():
    refused("from 1 to 12, got 13", inception_score.inception_score, GOOD, 13)
    refused("from 1 to 12, got 0", inception_score.inception_score, GOOD, 0)


def test_probabilities():
    score = inception_score.inception_score_of_probabilities
    refused("got -0.5", score, [[0.5, 1.0, -0.5]], 1)
    refused("got row sum 1.01", score, np.float32([[0.5, 0.5], [0.5, 0.51]]), 1)


def test_accuracy_lengths():
    refused("got 2 and 3", accuracy.accuracy, [0, 1], [0, 1, 1], 2)

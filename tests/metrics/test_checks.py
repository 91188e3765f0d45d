"""Every metric rejects bad features and labels with a one-line message naming the value."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.metrics import accuracy, checks, frechet, inception_score, kernel, manifold, modes

GOOD = np.random.default_rng(0).standard_normal((12, 3))


def with_value(value, dtype=np.float64):
    features = GOOD.astype(dtype)
    features[7, 2] = value
    return features


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


def assert_rejected(message, function, *arguments, **keywords):
    with pytest.raises(UserError) as error:
        function(*arguments, **keywords)
    assert message in str(error.value)
    assert "must" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("metric", [*PAIRED, *SINGLE])
def test_bad_features_are_rejected(metric, bad):
    features, message = BAD[bad]
    if metric in SINGLE:
        assert_rejected(message, SINGLE[metric], features)
    else:
        assert_rejected(message, PAIRED[metric], features, GOOD)
        assert_rejected(message, PAIRED[metric], GOOD, features)


@pytest.mark.parametrize("metric", PAIRED)
def test_mismatched_pairs_are_rejected(metric):
    assert_rejected("got 3 and 2", PAIRED[metric], GOOD, GOOD[:, :2])
    assert_rejected("1", PAIRED[metric], GOOD[:1], GOOD)
    assert_rejected("1", PAIRED[metric], GOOD, GOOD[:1])


@pytest.mark.parametrize("metric", PAIRED)
def test_scores_do_not_depend_on_the_dtype_or_array_type(metric):
    # Small integers are exact in every dtype, so the scores are bit-identical.
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
def test_bad_labels_are_rejected(bad):
    labels, message = LABELS[bad]
    assert_rejected(message, checks.check_labels, "labels", labels, 3)
    assert_rejected(message, modes.stacked_modes, np.asarray(labels), 3)
    assert_rejected(message, accuracy.accuracy, np.asarray(labels), [0, 1], 3)
    assert_rejected(message, accuracy.accuracy, [0, 1], np.asarray(labels), 3)


@pytest.mark.parametrize("k", [0, 12, 1.5])
def test_numbers_of_neighbors_out_of_range_are_rejected(k):
    assert_rejected(
        f"precision's k must be an integer from 1 to 11, got {k}",
        manifold.manifold_scores,
        GOOD,
        GOOD,
        k,
    )
    assert_rejected(
        f"density's k must be an integer from 1 to 11, got {k}",
        manifold.manifold_scores,
        GOOD,
        GOOD,
        3,
        k,
    )
    manifold.manifold_scores(GOOD, GOOD[:4], 3, 11)  # density uses balls around real examples only
    assert_rejected("1 to 2", manifold.manifold_scores, GOOD, GOOD[:3], 3)


def test_subset_and_block_sizes_out_of_range_are_rejected():
    def distance(**settings):
        return kernel.subset_kernel_distance(GOOD, GOOD[:10], keys.root_key(0), **settings)

    assert_rejected("got 1", distance, subsets=1, size=5)
    assert_rejected("from 2 to 10, got 1", distance, size=1)
    assert_rejected("from 2 to 10, got 1000", distance)
    assert_rejected("got 0", kernel.kernel_distance, GOOD, GOOD, block=0)
    assert_rejected("got 0", manifold.manifold_scores, GOOD, GOOD, block=0)


def test_numbers_of_splits_out_of_range_are_rejected():
    assert_rejected("from 1 to 12, got 13", inception_score.inception_score, GOOD, 13)
    assert_rejected("from 1 to 12, got 0", inception_score.inception_score, GOOD, 0)


def test_values_that_are_not_probabilities_are_rejected():
    score = inception_score.inception_score_of_probabilities
    assert_rejected("got -0.5", score, [[0.5, 1.0, -0.5]], 1)
    assert_rejected("got row sum 1.01", score, np.float32([[0.5, 0.5], [0.5, 0.51]]), 1)


def test_labels_of_different_lengths_are_rejected():
    assert_rejected("got 2 and 3", accuracy.accuracy, [0, 1], [0, 1, 1], 2)

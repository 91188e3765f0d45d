"""Data sources: digits, mixtures, fingerprints and subsets."""

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from gan_jax.config import ImageData, PointData
from gan_jax.data import sources
from gan_jax.data.images import pixels
from tests.helpers import small

# --- digits ---


@pytest.mark.parametrize(("split", "n"), [("all", 1797), ("train", 1437), ("test", 360)])
def test_digits(split, n):
    dataset = sources.load(ImageData("digits", split, labels=True))
    real, labels = dataset.batch.real, dataset.batch.cond
    assert (real.shape, real.dtype) == ((n, 8, 8, 1), np.uint8)
    assert (labels.shape, labels.dtype) == ((n,), np.int32)
    assert len(dataset) == n
    assert (real.min(), real.max()) == (0, 255)
    assert set(labels) == set(range(10))


def test_digits_equal_those_of_scikit_learn():
    expected, (real, labels) = load_digits(), sources.digits(ImageData(split="all"))
    # 17 gray levels, rounded to 256: steps of 15.9375, so they stay distinct.
    np.testing.assert_array_equal(np.rint(real[..., 0] * (16 / 255)), expected.images)
    np.testing.assert_array_equal(labels, expected.target)


def test_the_splits_of_the_digits_are_disjoint():
    parts = [sources.digits(ImageData(split=split))[0] for split in ("train", "test")]
    np.testing.assert_array_equal(np.concatenate(parts), sources.digits(ImageData(split="all"))[0])


def test_digits_resized_and_colored():
    original = sources.load(ImageData("digits", "test")).batch.real
    resized = sources.load(ImageData("digits", "test", size=28, channels=3)).batch.real
    assert (resized.shape, resized.dtype) == ((360, 28, 28, 3), np.uint8)
    np.testing.assert_array_equal(resized[7, ..., 2], pixels.resize(original[7], 28)[..., 0])


def test_digits_have_no_other_split():
    small.refused(ImageData("digits", "valid"), "got 'valid'", "all, train, test")


# --- mixtures ---


@pytest.mark.parametrize(
    ("name", "modes", "sigma", "radii", "min_distance"),
    [("ring", 8, 0.01, (1, 1), 2 * np.sin(np.pi / 8)), ("grid", 25, 0.05, (0, np.sqrt(32)), 2)],
)
def test_mixtures(name, modes, sigma, radii, min_distance):
    dataset = sources.load(PointData(name, labels=True))
    points, labels = dataset.batch.real.astype(np.float64), dataset.batch.cond
    n = len(points)
    assert dataset.batch.real.dtype == np.float32
    assert (n, set(labels)) == (100_000, set(range(modes)))
    centers, mixture_sigma = sources.MIXTURES[name]
    centers = centers()
    assert mixture_sigma == sigma
    distances = np.linalg.norm(centers[:, None] - centers, axis=-1)
    assert distances[~np.eye(modes, dtype=bool)].min() == pytest.approx(min_distance)
    lengths = np.linalg.norm(centers, axis=1)
    np.testing.assert_allclose((lengths.min(), lengths.max()), radii)
    # Five standard errors of fractions, means and variances.
    fraction = 1 / modes
    counts = np.bincount(labels, minlength=modes) / n
    np.testing.assert_allclose(counts, fraction, atol=5 * np.sqrt(fraction * (1 - fraction) / n))
    noise = (points - centers[labels]) / sigma
    for mode in range(modes):
        mode_noise = noise[labels == mode]
        np.testing.assert_allclose(mode_noise.mean(0), 0, atol=5 / np.sqrt(len(mode_noise)))
        np.testing.assert_allclose(
            (mode_noise**2).mean(0), 1, atol=5 * np.sqrt(2 / len(mode_noise))
        )


@pytest.mark.parametrize("name", sources.MIXTURES)
def test_mixtures_do_not_depend_on_the_default_dtypes(name):
    first = sources.load(PointData(name))
    with jax.enable_x64(True):  # JAX_ENABLE_X64 changes the default dtypes
        assert sources.load(PointData(name)).fingerprint == first.fingerprint


# --- loading ---


def test_labels_are_loaded_only_on_request():
    assert sources.load(ImageData("digits")).batch.cond is None
    assert sources.load(ImageData("digits", labels=True)).batch.cond is not None


def test_dummy_examples_have_the_shapes_of_network_inputs():
    examples = sources.dummy_examples(sources.load(ImageData("digits", labels=True)), 3)
    assert (examples.real.shape, examples.real.dtype) == ((3, 8, 8, 1), np.float32)
    assert (examples.cond.shape, examples.cond.dtype) == ((3,), np.int32)
    assert sources.dummy_examples(sources.load(PointData("ring")), 3).cond is None


def fingerprint(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    labeled = "labels" in arrays
    return sources.load(ImageData("npz", path=str(tmp_path / "a.npz"), labels=labeled)).fingerprint


def test_fingerprints_of_different_data_sets_differ(tmp_path):
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.zeros(4, np.int32)
    other_images, other_labels = images.copy(), labels.copy()
    other_images[3, 1, 1, 0] = other_labels[3] = 1
    fingerprints = [
        fingerprint(tmp_path, images=images),
        fingerprint(tmp_path, images=other_images),  # one byte
        fingerprint(tmp_path, images=images.reshape(4, 4, 1, 1)),  # the same bytes
        fingerprint(tmp_path, images=images[:2]),
        fingerprint(tmp_path, images=np.zeros((4, 1), np.float32)),  # the same bytes
        fingerprint(tmp_path, images=images, labels=labels),
        fingerprint(tmp_path, images=images, labels=other_labels),
    ]
    assert len(set(fingerprints)) == len(fingerprints)
    assert fingerprint(tmp_path, images=images) == fingerprints[0]
    assert len(fingerprints[0]) == 64


# --- subsets of each class ---


def test_a_subset_has_the_same_count_of_each_class_and_grows():
    full = sources.load(ImageData("digits", labels=True)).batch
    position = {real.tobytes(): i for i, real in enumerate(full.real)}
    subsets = {}
    for k in (5, 20):
        subset = sources.load(ImageData("digits", labels=True, per_class=k, subset_seed=3)).batch
        positions = [position[real.tobytes()] for real in subset.real]
        np.testing.assert_array_equal(subset.cond, full.cond[positions])
        assert list(np.bincount(subset.cond)) == [k] * 10
        subsets[k] = set(positions)
        assert positions == sorted(subsets[k])
        assert len(subsets[k]) == 10 * k
    assert subsets[5] < subsets[20]


def test_subsets_differ_only_by_their_seed():
    def subset(seed, labels=True):
        return sources.load(ImageData("digits", labels=labels, per_class=5, subset_seed=seed))

    assert subset(0).fingerprint == subset(0).fingerprint != subset(1).fingerprint
    unlabeled = subset(1, labels=False)  # per class even without labels for the networks
    np.testing.assert_array_equal(unlabeled.batch.real, subset(1).batch.real)
    assert unlabeled.batch.cond is None
    np.testing.assert_array_equal(unlabeled.labels, subset(1).batch.cond)


def test_every_example_is_equally_likely():
    # 400 seeds with 1 of the 6 examples of each class: 67 times each, standard deviation 7.5.
    labels = np.repeat(np.arange(2, dtype=np.int32), 6)
    indices = [
        sources.subsample_indices(labels, ImageData("digits", per_class=1, subset_seed=i))
        for i in range(400)
    ]
    counts = np.bincount(np.concatenate(indices), minlength=12)
    assert list(counts.reshape(2, 6).sum(1)) == [400, 400]
    assert abs(counts - 400 / 6).max() < 4 * 7.5


def test_impossible_subsets_are_rejected(tmp_path):
    counts = np.bincount(sources.load(ImageData("digits", labels=True)).batch.cond)
    first = int(np.flatnonzero(counts < counts.max())[0])
    message = f"has {counts[first]} examples of class {first}"
    small.refused(ImageData("digits", per_class=int(counts.max())), f"got {counts.max()}", message)
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2, 2), np.uint8))
    small.refused(
        ImageData("npz", path=str(tmp_path / "a.npz"), per_class=1), "'npz' has no labels"
    )

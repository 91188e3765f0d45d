"""Data sets: the bundled digits, the mixtures, and what tells two sets apart."""

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


def test_digits_are_those_of_scikit_learn():
    found, (real, labels) = load_digits(), sources.digits(ImageData(split="all"))
    # 17 grey levels, each of the 256 nearest to its share: a step of 15.9375, so no two meet.
    np.testing.assert_array_equal(np.rint(real[..., 0] * (16 / 255)), found.images)
    np.testing.assert_array_equal(labels, found.target)


def test_the_splits_of_the_digits_do_not_meet():
    parts = [sources.digits(ImageData(split=split))[0] for split in ("train", "test")]
    np.testing.assert_array_equal(np.concatenate(parts), sources.digits(ImageData(split="all"))[0])


def test_digits_resized_and_coloured():
    small = sources.load(ImageData("digits", "test")).batch.real
    large = sources.load(ImageData("digits", "test", size=28, channels=3)).batch.real
    assert (large.shape, large.dtype) == ((360, 28, 28, 3), np.uint8)
    np.testing.assert_array_equal(large[7, ..., 2], pixels.resize(small[7], 28)[..., 0])


def test_digits_have_no_other_split():
    small.refused(ImageData("digits", "valid"), "got 'valid'", "all, train, test")


# --- mixtures ---


@pytest.mark.parametrize(
    ("name", "modes", "sigma", "radii", "apart"),
    [("ring", 8, 0.01, (1, 1), 2 * np.sin(np.pi / 8)), ("grid", 25, 0.05, (0, np.sqrt(32)), 2)],
)
def test_mixtures(name, modes, sigma, radii, apart):
    dataset = sources.load(PointData(name, labels=True))
    points, labels = dataset.batch.real.astype(np.float64), dataset.batch.cond
    n = len(points)
    assert dataset.batch.real.dtype == np.float32
    assert (n, set(labels)) == (100_000, set(range(modes)))
    centers, stated = sources.MIXTURES[name]
    centers = centers()
    assert stated == sigma
    between = np.linalg.norm(centers[:, None] - centers, axis=-1)
    assert between[~np.eye(modes, dtype=bool)].min() == pytest.approx(apart)
    lengths = np.linalg.norm(centers, axis=1)
    np.testing.assert_allclose((lengths.min(), lengths.max()), radii)
    # Five standard errors each, of shares, means and variances.
    share = 1 / modes
    counts = np.bincount(labels, minlength=modes) / n
    np.testing.assert_allclose(counts, share, atol=5 * np.sqrt(share * (1 - share) / n))
    noise = (points - centers[labels]) / sigma
    for mode in range(modes):
        here = noise[labels == mode]
        np.testing.assert_allclose(here.mean(0), 0, atol=5 / np.sqrt(len(here)))
        np.testing.assert_allclose((here**2).mean(0), 1, atol=5 * np.sqrt(2 / len(here)))


@pytest.mark.parametrize("name", sources.MIXTURES)
def test_mixtures_are_always_the_same(name):
    first = sources.load(PointData(name))
    with jax.enable_x64(True):  # JAX_ENABLE_X64 makes other default dtypes
        assert sources.load(PointData(name)).fingerprint == first.fingerprint


# --- what load makes of them ---


def test_labels_only_if_asked_for():
    assert sources.load(ImageData("digits")).batch.cond is None
    assert sources.load(ImageData("digits", labels=True)).batch.cond is not None


def test_example_is_what_the_networks_see():
    example = sources.dummy_examples(sources.load(ImageData("digits", labels=True)), 3)
    assert (example.real.shape, example.real.dtype) == ((3, 8, 8, 1), np.float32)
    assert (example.cond.shape, example.cond.dtype) == ((3,), np.int32)
    assert sources.dummy_examples(sources.load(PointData("ring")), 3).cond is None


def fingerprint(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    labeled = "labels" in arrays
    return sources.load(ImageData("npz", path=str(tmp_path / "a.npz"), labels=labeled)).fingerprint


def test_fingerprints_tell_sets_apart(tmp_path):
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.zeros(4, np.int32)
    other, moved = images.copy(), labels.copy()
    other[3, 1, 1, 0] = moved[3] = 1
    found = [
        fingerprint(tmp_path, images=images),
        fingerprint(tmp_path, images=other),  # one byte
        fingerprint(tmp_path, images=images.reshape(4, 4, 1, 1)),  # the same bytes
        fingerprint(tmp_path, images=images[:2]),
        fingerprint(tmp_path, images=np.zeros((4, 1), np.float32)),  # the same bytes
        fingerprint(tmp_path, images=images, labels=labels),
        fingerprint(tmp_path, images=images, labels=moved),
    ]
    assert len(set(found)) == len(found)
    assert fingerprint(tmp_path, images=images) == found[0]
    assert len(found[0]) == 64


# --- a draw of each class ---


def test_a_draw_has_so_many_of_each_class_and_grows():
    whole = sources.load(ImageData("digits", labels=True)).batch
    place = {real.tobytes(): i for i, real in enumerate(whole.real)}
    drawn = {}
    for k in (5, 20):
        found = sources.load(ImageData("digits", labels=True, per_class=k, subset_seed=3)).batch
        places = [place[real.tobytes()] for real in found.real]
        np.testing.assert_array_equal(found.cond, whole.cond[places])
        assert list(np.bincount(found.cond)) == [k] * 10
        drawn[k] = set(places)
        assert places == sorted(drawn[k])
        assert len(drawn[k]) == 10 * k
    assert drawn[5] < drawn[20]


def test_draws_differ_by_their_seed_alone():
    def of(draw, labels=True):
        return sources.load(ImageData("digits", labels=labels, per_class=5, subset_seed=draw))

    assert of(0).fingerprint == of(0).fingerprint != of(1).fingerprint
    unlabeled = of(1, labels=False)  # of each class, whether or not the networks see it
    np.testing.assert_array_equal(unlabeled.batch.real, of(1).batch.real)
    assert unlabeled.batch.cond is None
    np.testing.assert_array_equal(unlabeled.labels, of(1).batch.cond)


def test_every_example_is_drawn_alike():
    # 1 of each class over 400 seeds: of a class of 6, each 67 times, with a deviation of 7.5.
    labels = np.repeat(np.arange(2, dtype=np.int32), 6)
    drawn = [
        sources.subsample_indices(labels, ImageData("digits", per_class=1, subset_seed=i))
        for i in range(400)
    ]
    counts = np.bincount(np.concatenate(drawn), minlength=12)
    assert list(counts.reshape(2, 6).sum(1)) == [400, 400]
    assert abs(counts - 400 / 6).max() < 4 * 7.5


def test_a_draw_of_what_is_not_there_is_refused(tmp_path):
    few = np.bincount(sources.load(ImageData("digits", labels=True)).batch.cond)
    first = int(np.flatnonzero(few < few.max())[0])
    said = f"has {few[first]} examples of class {first}"
    small.refused(ImageData("digits", per_class=int(few.max())), f"got {few.max()}", said)
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2, 2), np.uint8))
    small.refused(
        ImageData("npz", path=str(tmp_path / "a.npz"), per_class=1), "'npz' has no labels"
    )

"""Holes: each kind is what it says, decided by its own key, and never all or nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Masks
from gan_jax.core import keys
from gan_jax.data import masks

N, SIDES = 400, (12, 20)
KEYS = keys.example_keys(jax.random.key(0), N)


def drawn(*kinds):
    return np.asarray(masks.sample_masks(Masks(kinds), KEYS, *SIDES))[..., 0]


@pytest.mark.parametrize("kind", masks.KINDS)
def test_a_hole_leaves_some_and_takes_some(kind):
    hole = drawn(kind)
    assert hole.shape == (N, *SIDES)
    assert hole.dtype == bool
    assert hole.any((1, 2)).all()
    assert not hole.all((1, 2)).any()
    assert len(np.unique(hole, axis=0)) > (3 if kind == "half" else N // 2)


@pytest.mark.parametrize("kind", masks.KINDS)
def test_a_hole_is_of_its_own_key_alone(kind):
    alone = masks.sample_masks(Masks((kind,)), KEYS[7:8], *SIDES)[0, ..., 0]
    np.testing.assert_array_equal(alone, drawn(kind)[7])


def test_boxes_are_rectangles_of_their_sizes_anywhere():
    for hole in drawn("box"):
        rows, columns = hole.any(1), hole.any(0)
        assert hole.sum() == rows.sum() * columns.sum()
        assert round(0.3 * 12) <= rows.sum() <= round(0.6 * 12)
        assert round(0.3 * 20) <= columns.sum() <= round(0.6 * 20)
    assert drawn("box").any(0).all()  # corners too


def test_halves_are_the_four():
    found = {hole.tobytes() for hole in drawn("half")}
    whole = np.zeros(SIDES, bool)
    wanted = set()
    for cut in (np.s_[:6], np.s_[6:], np.s_[:, :10], np.s_[:, 10:]):
        one = whole.copy()
        one[cut] = True
        wanted.add(one.tobytes())
    assert found == wanted


def test_lone_pixels_are_lost_at_a_rate_of_their_picture():
    share = drawn("random").mean((1, 2))
    # Uniform on [0.5, 0.9]: mean 0.7, deviation 0.115; of 400 pictures four standard errors.
    assert abs(share.mean() - 0.7) < 4 * 0.12 / np.sqrt(N)
    assert share.min() < 0.55
    assert share.max() > 0.85


def test_kinds_are_equally_likely():
    """Half-holes among boxes, which never have the area of a half."""
    half = drawn("box", "half").sum((1, 2)) == 120
    assert abs(half.mean() - 0.5) < 4 * 0.5 / np.sqrt(N)


def test_what_is_conditioned_on():
    real = jax.random.uniform(jax.random.key(1), (N, *SIDES, 3), minval=-1.0)
    labels = jnp.arange(N)
    assert masks.apply_masks(Masks(), real, labels, KEYS) is labels
    made = masks.apply_masks(Masks(("strokes",)), real, labels, KEYS)
    hole = drawn("strokes")[..., None]
    np.testing.assert_array_equal(made.hole, hole.astype(np.float32))
    np.testing.assert_array_equal(made.known, np.where(hole, 0, real))
    assert made.cond is labels
    empty = masks.dummy_condition(Masks(("strokes",)), np.zeros((2, 4, 4, 1)), None)
    assert jax.tree.map(np.shape, (empty.known, empty.hole)) == ((2, 4, 4, 1),) * 2

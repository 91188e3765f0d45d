"""Random masks: the shape of each kind, per-image keys, never empty or full."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Masks
from gan_jax.core import keys
from gan_jax.data import masks

N, SIDES = 400, (12, 20)
KEYS = keys.example_keys(jax.random.key(0), N)


def sample(*kinds):
    return np.asarray(masks.sample_masks(Masks(kinds), KEYS, *SIDES))[..., 0]


@pytest.mark.parametrize("kind", masks.KINDS)
def test_a_mask_is_neither_empty_nor_full(kind):
    mask = sample(kind)
    assert mask.shape == (N, *SIDES)
    assert mask.dtype == bool
    assert mask.any((1, 2)).all()
    assert not mask.all((1, 2)).any()
    assert len(np.unique(mask, axis=0)) > (3 if kind == "half" else N // 2)


@pytest.mark.parametrize("kind", masks.KINDS)
def test_a_mask_depends_only_on_its_key(kind):
    alone = masks.sample_masks(Masks((kind,)), KEYS[7:8], *SIDES)[0, ..., 0]
    np.testing.assert_array_equal(alone, sample(kind)[7])


def test_boxes_are_rectangles_of_allowed_sizes_anywhere():
    for mask in sample("box"):
        rows, columns = mask.any(1), mask.any(0)
        assert mask.sum() == rows.sum() * columns.sum()
        assert round(0.3 * 12) <= rows.sum() <= round(0.6 * 12)
        assert round(0.3 * 20) <= columns.sum() <= round(0.6 * 20)
    assert sample("box").any(0).all()  # including the corners


def test_half_masks_are_the_four_halves():
    sampled = {mask.tobytes() for mask in sample("half")}
    empty = np.zeros(SIDES, bool)
    expected = set()
    for region in (np.s_[:6], np.s_[6:], np.s_[:, :10], np.s_[:, 10:]):
        half = empty.copy()
        half[region] = True
        expected.add(half.tobytes())
    assert sampled == expected


def test_random_masks_have_a_rate_per_image():
    rates = sample("random").mean((1, 2))
    # Uniform on [0.5, 0.9]: mean 0.7, standard deviation 0.115; four standard errors of 400 images.
    assert abs(rates.mean() - 0.7) < 4 * 0.12 / np.sqrt(N)
    assert rates.min() < 0.55
    assert rates.max() > 0.85


def test_kinds_are_equally_likely():
    """Count half masks among boxes, which never cover half of the area."""
    half = sample("box", "half").sum((1, 2)) == 120
    assert abs(half.mean() - 0.5) < 4 * 0.5 / np.sqrt(N)


def test_conditions_are_known_pixels_masks_and_labels():
    real = jax.random.uniform(jax.random.key(1), (N, *SIDES, 3), minval=-1.0)
    labels = jnp.arange(N)
    assert masks.apply_masks(Masks(), real, labels, KEYS) is labels
    masked = masks.apply_masks(Masks(("strokes",)), real, labels, KEYS)
    mask = sample("strokes")[..., None]
    np.testing.assert_array_equal(masked.hole, mask.astype(np.float32))
    np.testing.assert_array_equal(masked.known, np.where(mask, 0, real))
    assert masked.cond is labels
    dummy = masks.dummy_condition(Masks(("strokes",)), np.zeros((2, 4, 4, 1)), None)
    assert jax.tree.map(np.shape, (dummy.known, dummy.hole)) == ((2, 4, 4, 1),) * 2

"""Scores of repairs: in the hole alone, and as the libraries have them where the hole is all."""

import numpy as np
import pytest

from gan_jax.core.errors import UserError
from gan_jax.metrics import inpainting

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
MADE = np.clip(TRUTH + RANDOM.normal(0, 20, TRUTH.shape), 0, 255).astype(np.uint8)
HOLE = np.zeros((3, 16, 16, 1), bool)
HOLE[:, 4:9, 3:12] = True
ALL = np.ones_like(HOLE)


@pytest.mark.nightly
def test_psnr_is_the_library_s_where_all_is_hole():
    from skimage import metrics

    one = metrics.peak_signal_noise_ratio(TRUTH[:1], MADE[:1])
    assert inpainting.psnr(TRUTH[:1], MADE[:1], ALL[:1]) == pytest.approx(one, rel=1e-12)


@pytest.mark.nightly
def test_ssim_is_the_library_s_where_all_is_hole():
    from skimage import metrics

    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    windows = metrics.structural_similarity(
        TRUTH[0], MADE[0], channel_axis=-1, data_range=255, full=True, **wang
    )[1]
    made = inpainting.ssim(TRUTH[:1], MADE[:1], ALL[:1])
    assert made == pytest.approx(windows.mean(), rel=1e-12)
    # The library's own mean leaves out a border, where windows reach over the edge.
    assert inpainting.ssim(TRUTH, TRUTH, HOLE) == pytest.approx(1, abs=1e-12)


def test_what_is_known_does_not_count():
    known = np.where(HOLE, MADE, RANDOM.integers(0, 256, TRUTH.shape).astype(np.uint8))
    errors = inpainting.squared_errors(TRUTH, known, HOLE)
    np.testing.assert_array_equal(errors, inpainting.squared_errors(TRUTH, MADE, HOLE))
    flat = np.where(HOLE, TRUTH.astype(int) + 0, 0)
    levels = np.where(HOLE, np.where(flat < 128, flat + 10, flat - 10), 0).astype(np.uint8)
    np.testing.assert_allclose(inpainting.squared_errors(TRUTH, levels, HOLE), 100, rtol=1e-12)
    assert inpainting.psnr(TRUTH, levels, HOLE) == pytest.approx(20 * np.log10(25.5), rel=1e-12)
    assert inpainting.psnr(TRUTH, TRUTH, HOLE) == float("inf")


def test_diversity_is_the_mean_difference_of_pairs_in_the_hole():
    levels = [0, 10, 40]  # differences 10, 30, 40
    made = np.stack([np.where(HOLE, np.uint8(level), MADE) for level in levels])
    assert inpainting.diversity(made, HOLE) == pytest.approx(80 / 3, rel=1e-12)
    assert inpainting.diversity(np.stack([MADE, MADE]), HOLE) == 0
    with pytest.raises(UserError, match="at least two"):
        inpainting.diversity(made[:1], HOLE)

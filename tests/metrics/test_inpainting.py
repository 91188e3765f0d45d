"""Inpainting scores: masked pixels only, equal to scikit-image if everything is masked."""

import numpy as np
import pytest

from gan_jax.core.errors import UserError
from gan_jax.metrics import inpainting

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
INPAINTED = np.clip(TRUTH + RANDOM.normal(0, 20, TRUTH.shape), 0, 255).astype(np.uint8)
MASK = np.zeros((3, 16, 16, 1), bool)
MASK[:, 4:9, 3:12] = True
ALL = np.ones_like(MASK)


@pytest.mark.nightly
def test_psnr_equals_scikit_image_if_all_pixels_are_masked():
    from skimage import metrics

    expected = metrics.peak_signal_noise_ratio(TRUTH[:1], INPAINTED[:1])
    assert inpainting.psnr(TRUTH[:1], INPAINTED[:1], ALL[:1]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.nightly
def test_ssim_equals_scikit_image_if_all_pixels_are_masked():
    from skimage import metrics

    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim_map = metrics.structural_similarity(
        TRUTH[0], INPAINTED[0], channel_axis=-1, data_range=255, full=True, **wang
    )[1]
    ssim = inpainting.ssim(TRUTH[:1], INPAINTED[:1], ALL[:1])
    assert ssim == pytest.approx(ssim_map.mean(), rel=1e-12)
    # scikit-image's mean excludes the border, where windows extend beyond the edge.
    assert inpainting.ssim(TRUTH, TRUTH, MASK) == pytest.approx(1, abs=1e-12)


def test_known_pixels_do_not_count():
    inpainted = np.where(MASK, INPAINTED, RANDOM.integers(0, 256, TRUTH.shape).astype(np.uint8))
    errors = inpainting.squared_errors(TRUTH, inpainted, MASK)
    np.testing.assert_array_equal(errors, inpainting.squared_errors(TRUTH, INPAINTED, MASK))
    masked_truth = np.where(MASK, TRUTH.astype(int) + 0, 0)
    shifted = np.where(
        MASK, np.where(masked_truth < 128, masked_truth + 10, masked_truth - 10), 0
    ).astype(np.uint8)
    np.testing.assert_allclose(inpainting.squared_errors(TRUTH, shifted, MASK), 100, rtol=1e-12)
    assert inpainting.psnr(TRUTH, shifted, MASK) == pytest.approx(20 * np.log10(25.5), rel=1e-12)
    assert inpainting.psnr(TRUTH, TRUTH, MASK) == float("inf")


def test_diversity_is_the_mean_difference_of_pairs_in_the_mask():
    levels = [0, 10, 40]  # differences 10, 30, 40
    inpaintings = np.stack([np.where(MASK, np.uint8(level), INPAINTED) for level in levels])
    assert inpainting.diversity(inpaintings, MASK) == pytest.approx(80 / 3, rel=1e-12)
    assert inpainting.diversity(np.stack([INPAINTED, INPAINTED]), MASK) == 0
    with pytest.raises(UserError, match="at least two"):
        inpainting.diversity(inpaintings[:1], MASK)

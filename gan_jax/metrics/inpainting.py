"""Quality of inpainted images, measured inside the mask: known pixels cannot be wrong.

All functions take images uint8 [n, h, w, c] and masks bool [n, h, w, 1], True where a pixel was
inpainted.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from gan_jax.core.errors import UserError


def squared_errors(
    real: UInt8[np.ndarray, "n h w c"],
    inpainted: UInt8[np.ndarray, "n h w c"],
    mask: Bool[np.ndarray, "n h w 1"],
) -> Float[np.ndarray, " n"]:
    """Compute the mean squared error of each image inside its mask.

    Args:
        real: Real images.
        inpainted: Inpainted images.
        mask: Masks of the inpainted pixels.

    Returns:
        Mean squared errors float64 [n], in units of 255 levels squared.

    Example:
        >>> real, mask = np.zeros((1, 2, 2, 1), np.uint8), np.zeros((1, 2, 2, 1), bool)
        >>> mask[0, 0] = True  # the upper row
        >>> squared_errors(real, real + np.uint8(3), mask).tolist()
        [9.0]
    """
    error = np.square(inpainted.astype(np.float64) - real).mean(-1, keepdims=True)
    axes = (1, 2, 3)
    return (error * mask).sum(axes) / mask.sum(axes)


def psnr(
    real: UInt8[np.ndarray, "n h w c"],
    inpainted: UInt8[np.ndarray, "n h w c"],
    mask: Bool[np.ndarray, "n h w 1"],
) -> float:
    """Compute the peak signal-to-noise ratio of the mean squared error inside the masks.

    The squared errors are averaged over images first. The mean of the ratios of the images would be
    infinite with a single exact image.

    Args:
        real: Real images.
        inpainted: Inpainted images.
        mask: Masks of the inpainted pixels.

    Returns:
        Ratio in dB; infinite if all inpainted pixels are exact.

    Example:
        >>> real, mask = np.zeros((1, 2, 2, 1), np.uint8), np.ones((1, 2, 2, 1), bool)
        >>> round(psnr(real, real + np.uint8(3), mask), 2)
        38.59
    """
    error = squared_errors(real, inpainted, mask).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ssim(
    real: UInt8[np.ndarray, "n h w c"],
    inpainted: UInt8[np.ndarray, "n h w c"],
    mask: Bool[np.ndarray, "n h w 1"],
) -> float:
    """Compute the mean structural similarity of the windows around inpainted pixels.

    Wang et al. 2004, eq. 13, with its Gaussian windows of 11 pixels and standard deviation 1.5. The
    mean is over the mask of each image, then over images.

    Args:
        real: Real images.
        inpainted: Inpainted images.
        mask: Masks of the inpainted pixels.

    Returns:
        The similarity, at most 1.

    Raises:
        UserError: If scikit-image is not installed.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        raise UserError("SSIM needs scikit-image: pip install 'gan-jax[study]'") from None
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    similarities = []
    for target, image, inside in zip(real, inpainted, mask[..., 0], strict=True):
        mean_and_map: Any = structural_similarity(
            target, image, channel_axis=-1, data_range=255, full=True, **wang
        )
        similarities.append(mean_and_map[1][inside].mean())
    return float(np.mean(similarities))


def diversity(
    inpainted: UInt8[np.ndarray, "r n h w c"], mask: Bool[np.ndarray, "n h w 1"]
) -> float:
    """Compute the mean absolute difference between inpainted versions of the same images.

    The mean is over inpainted pixels, images and pairs of versions.

    Args:
        inpainted: Versions of each image, r >= 2.
        mask: Masks of the inpainted pixels.

    Returns:
        Mean difference in units of 255 levels; 0 if all versions of each image are equal.

    Raises:
        UserError: If there is a single version.

    Example:
        >>> versions = np.stack([np.full((1, 2, 2, 1), level, np.uint8) for level in (0, 4)])
        >>> diversity(versions, np.ones((1, 2, 2, 1), bool))
        4.0
    """
    pairs = [(i, j) for i in range(len(inpainted)) for j in range(i)]
    if not pairs:
        raise UserError(f"inpainted must hold at least two versions, got {len(inpainted)}")
    axes, differences = (1, 2, 3), []
    for i, j in pairs:
        error = np.abs(inpainted[i].astype(np.float64) - inpainted[j]).mean(-1, keepdims=True)
        differences.append((error * mask).sum(axes) / mask.sum(axes))
    return float(np.mean(differences))

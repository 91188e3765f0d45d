"""How good repairs of pictures are: in the hole, where alone they can be wrong.

All take pictures uint8 [n, h, w, c] and holes bool [n, h, w, 1].
"""

from typing import Any

import numpy as np

from gan_jax.core.errors import UserError


def squared_errors(real: np.ndarray, inpainted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean squared error of each picture's hole, in levels of 255 squared: float64 [n]."""
    error = np.square(inpainted.astype(np.float64) - real).mean(-1, keepdims=True)
    axes = (1, 2, 3)
    return (error * mask).sum(axes) / mask.sum(axes)


def psnr(real: np.ndarray, inpainted: np.ndarray, mask: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of the mean over pictures of their holes' squared errors.

    Not the mean of the pictures' own ratios, which one exact repair makes infinite.
    """
    error = squared_errors(real, inpainted, mask).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ssim(truth: np.ndarray, made: np.ndarray, hole: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004, eq. 13, its Gaussian windows of 11 pixels, deviation
    1.5): the mean over each picture's hole of the windows around its pixels, then over pictures.

    Raises UserError without scikit-image.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        raise UserError("SSIM needs scikit-image: pip install 'gan-jax[study]'") from None
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    found = []
    for real, fake, where in zip(truth, made, hole[..., 0], strict=True):
        of: Any = structural_similarity(
            real, fake, channel_axis=-1, data_range=255, full=True, **wang
        )
        found.append(of[1][where].mean())  # the windows' own, before their mean over the picture
    return float(np.mean(found))


def diversity(inpainted: np.ndarray, mask: np.ndarray) -> float:
    """Of repairs uint8 [r, n, h, w, c] of each picture: the mean over pictures and pairs of the
    mean absolute difference in the hole, in levels of 255; 0 where they are all the same."""
    pairs = [(i, j) for i in range(len(inpainted)) for j in range(i)]
    if not pairs:
        raise UserError("diversity: one repair of each picture given, at least two needed")
    axes, total = (1, 2, 3), []
    for i, j in pairs:
        gap = np.abs(inpainted[i].astype(np.float64) - inpainted[j]).mean(-1, keepdims=True)
        total.append((gap * mask).sum(axes) / mask.sum(axes))
    return float(np.mean(total))

"""Inpainting by generators that were trained with masks."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import Config, schema
from gan_jax.config.schema import MaskKind
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import feeds, masks
from gan_jax.data.images import pixels
from gan_jax.inference import sampling


def require_inpainting(config: Config) -> None:
    """Raise UserError if the run was not trained to inpaint."""
    if not config.masks.kinds:
        raise UserError(f"{config.name} was trained without masks: it cannot inpaint")
    if config.data.cond:
        raise UserError(f"{config.name} is also conditioned on {config.data.cond}: not supported")


def sample_masks(kind: MaskKind, key: jax.Array, shape: Sequence[int]) -> np.ndarray:
    """Sample one mask for each image.

    The keys are derived with an index that no image has, so `key` may also be the key of `inpaint`.

    Args:
        kind: Kind of the masks.
        key: PRNG key.
        shape: Shape [n, h, w, c] of the images.

    Returns:
        Masks, bool [n, h, w, 1]; true where pixels are missing.

    Example:
        >>> sample_masks("box", jax.random.key(0), (2, 8, 8, 3)).shape
        (2, 8, 8, 1)
    """
    mask_key = jax.random.fold_in(jax.random.fold_in(key, keys.Purpose.MASK), 2**31 - 1)
    mask_keys = keys.example_keys(mask_key, shape[0])
    sampled = jax.jit(masks.sample_masks, static_argnums=(0, 2, 3))(
        schema.Masks((kind,)), mask_keys, *shape[1:3]
    )
    return np.asarray(sampled)


def inpaint(
    config: Config,
    variables: Any,
    key: jax.Array,
    images: np.ndarray,
    mask: np.ndarray,
    count: int = 1,
    labels: np.ndarray | None = None,
    *,
    devices: Sequence[jax.Device] | None = None,
) -> np.ndarray:
    """Fill the masked pixels of images, and leave all other pixels as they are, bit for bit.

    Result r of image i depends only on `key`, r, i and the unmasked pixels.

    Args:
        config: Config of the run.
        variables: Variables of its generator.
        key: PRNG key of the latents.
        images: Images, uint8 [n, h, w, c].
        mask: Pixels to fill, bool [n, h, w, 1].
        count: Number of results for each image, each from another z.
        labels: Class labels [n], for runs that are also conditioned on labels.
        devices: Devices to use; one by default.

    Returns:
        Inpainted images, uint8 [count, n, h, w, c].

    Raises:
        UserError: If the run was not trained to inpaint, or images, mask and labels do not match.
    """
    require_inpainting(config)
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        got = f"{images.dtype} {list(images.shape)}"
        raise UserError(f"images must be uint8 [n, h, w, c], got {got}")
    if mask.dtype != bool or mask.shape != (*images.shape[:3], 1):
        got = f"{mask.dtype} {list(mask.shape)}"
        raise UserError(f"mask must be bool {[*images.shape[:3], 1]}, got {got}")
    if (labels is None) == bool(config.data.labels):
        got = "none" if labels is None else "labels"
        raise UserError(f"labels must match data.labels = {config.data.labels}, got {got}")
    known = jnp.asarray(np.where(mask, np.uint8(0), images))
    real = feeds.to_network_range(known, symmetric=config.data.symmetric)
    cond = jax.device_get(masks.mask_image(real, jnp.asarray(mask), labels))
    samples = [
        sampling.sample(
            config, variables, jax.random.fold_in(key, r), len(images), cond, devices=devices
        )
        for r in range(count)
    ]
    filled = [pixels.to_pixels(x, symmetric=config.data.symmetric) for x in samples]
    return np.where(mask, np.stack(filled), images)


def comparison_rows(images: np.ndarray, mask: np.ndarray, results: np.ndarray) -> np.ndarray:
    """Arrange images for a grid: the masked image in gray, its results, the original.

    Args:
        images: Original images, uint8 [n, h, w, c].
        mask: Masked pixels, bool [n, h, w, 1].
        results: Inpainted images, uint8 [r, n, h, w, c].

    Returns:
        Images, uint8 [n (r + 2), h, w, c].

    Example:
        >>> images = np.zeros((3, 2, 2, 1), np.uint8)
        >>> comparison_rows(images, images > 0, np.stack([images, images])).shape
        (12, 2, 2, 1)
    """
    known = np.where(mask, np.uint8(128), images)
    columns = np.stack([known, *results, images], 1)
    return columns.reshape(-1, *images.shape[1:])

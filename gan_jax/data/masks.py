"""Random inpainting masks, sampled per image from a PRNG key as pure functions.

With `Masks.kinds` the networks are conditioned on a `MaskedImage`: an image where every pixel is
either known or masked. The generator fills the masked pixels. The discriminator is conditioned on
the same masked image, for real and for inpainted images: D(x, y) = f(x, y) - f(x, G(x, z)).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gan_jax.config import Masks
from gan_jax.networks.conditions import MaskedImage

MAX_STROKES, MAX_VERTICES = 4, 6  # of a mask of brush strokes


def box(key: Key[Array, ""], height: int, width: int) -> Bool[Array, "{height} {width}"]:
    """Mask a rectangle at a random position.

    Args:
        key: PRNG key of this mask.
        height: Number of rows of the image.
        width: Number of columns of the image.

    Returns:
        A mask, True inside. Each side is 0.3 to 0.6 of the image's side.
    """
    sides, offsets = jax.random.uniform(key, (2, 2))
    inside = jnp.ones((height, width), bool)
    for axis, length in enumerate((height, width)):
        side = jnp.clip(jnp.round((0.3 + 0.3 * sides[axis]) * length), 1, length - 1)
        first = jnp.floor(offsets[axis] * (length - side + 1))
        position = jnp.arange(length).reshape((-1, 1) if axis == 0 else (1, -1))
        inside &= (position >= first) & (position < first + side)
    return inside


def half(key: Key[Array, ""], height: int, width: int) -> Bool[Array, "{height} {width}"]:
    """Mask the upper, lower, left or right half.

    Args:
        key: PRNG key of this mask.
        height: Number of rows of the image.
        width: Number of columns of the image.

    Returns:
        A mask, True in one of the four halves, which are equally likely.
    """
    side = jax.random.randint(key, (), 0, 4)
    row, column = jnp.arange(height)[:, None], jnp.arange(width)[None, :]
    halves = [row < height // 2, row >= height // 2, column < width // 2, column >= width // 2]
    return jnp.stack([jnp.broadcast_to(mask, (height, width)) for mask in halves])[side]


def strokes(key: Key[Array, ""], height: int, width: int) -> Bool[Array, "{height} {width}"]:
    """Mask one to four free-form brush strokes, each a polyline with up to six bends.

    After Yu et al. 2019 (1806.03589), sec. 3.4, with lengths relative to the shorter side of the
    image: a stroke starts at a random position, continues in segments of length 0.1 to 0.4 with a
    random turn between two of them, and is 0.08 to 0.2 wide.

    Args:
        key: PRNG key of this mask.
        height: Number of rows of the image.
        width: Number of columns of the image.

    Returns:
        A mask, True on the strokes.
    """
    unit = min(height, width)
    stroke_keys = jax.random.split(key, 7)
    strokes, segments = (MAX_STROKES,), (MAX_STROKES, MAX_VERTICES)
    count = jax.random.randint(stroke_keys[0], (), 1, MAX_STROKES + 1)
    bends = jax.random.randint(stroke_keys[1], strokes, 2, MAX_VERTICES + 1)
    radius = unit * jax.random.uniform(stroke_keys[2], strokes, minval=0.04, maxval=0.1)
    start = jax.random.uniform(stroke_keys[3], (*strokes, 1, 2)) * jnp.array([[[height, width]]])
    turn = jax.random.uniform(stroke_keys[4], segments, minval=-2.0, maxval=2.0)
    length = unit * jax.random.uniform(stroke_keys[5], segments, minval=0.1, maxval=0.4)
    angle = jnp.cumsum(turn, 1) + 2 * jnp.pi * jax.random.uniform(stroke_keys[6], (*strokes, 1))
    moves = length[..., None] * jnp.stack([jnp.sin(angle), jnp.cos(angle)], -1)
    edge = jnp.array([[[height, width]]]) - 1e-3
    points = jnp.clip(jnp.concatenate([start, start + jnp.cumsum(moves, 1)], 1), 0.0, edge)
    row, column = jnp.arange(height) + 0.5, jnp.arange(width) + 0.5
    pixel = jnp.stack(jnp.meshgrid(row, column, indexing="ij"), -1)[None, None]
    a, b = points[:, :-1, None, None], points[:, 1:, None, None]  # [strokes, vertices, 1, 1, 2]
    segment = b - a
    share = ((pixel - a) * segment).sum(-1) / jnp.maximum(jnp.square(segment).sum(-1), 1e-6)
    nearest = a + jnp.clip(share, 0.0, 1.0)[..., None] * segment
    distance = jnp.sqrt(jnp.square(pixel - nearest).sum(-1))
    in_use = jnp.arange(MAX_STROKES)[:, None] < count
    in_use &= jnp.arange(MAX_VERTICES)[None] < bends[:, None]
    return ((distance < radius[:, None, None, None]) & in_use[..., None, None]).any((0, 1))


def random(key: Key[Array, ""], height: int, width: int) -> Bool[Array, "{height} {width}"]:
    """Mask each pixel independently, at a rate from 0.5 to 0.9 per image.

    Args:
        key: PRNG key of this mask.
        height: Number of rows of the image.
        width: Number of columns of the image.

    Returns:
        A mask, True at the masked pixels.
    """
    rate_key, pixel_key = jax.random.split(key)
    rate = jax.random.uniform(rate_key, minval=0.5, maxval=0.9)
    return jax.random.uniform(pixel_key, (height, width)) < rate


KINDS = {"box": box, "half": half, "strokes": strokes, "random": random}


def sample_masks(
    masks: Masks, keys: Key[Array, " n"], height: int, width: int
) -> Bool[Array, "n {height} {width} 1"]:
    """Sample a mask for each key.

    Each mask depends on its key only, so it is the same in any batch and on any device.

    Args:
        masks: Kinds of masks, which are equally likely.
        keys: PRNG keys [n], one for each mask.
        height: Number of rows of the images.
        width: Number of columns of the images.

    Returns:
        Masks [n, height, width, 1], True at the pixels to inpaint.

    Example:
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> sample_masks(Masks(("half",)), keys, 4, 6).sum((1, 2, 3)).tolist()
        [12, 12, 12]
    """

    def sample_mask(key: Key[Array, ""]) -> Bool[Array, "{height} {width}"]:
        kind_key, mask_key = jax.random.split(key)
        candidates = jnp.stack([KINDS[kind](mask_key, height, width) for kind in masks.kinds])
        return candidates[jax.random.randint(kind_key, (), 0, len(masks.kinds))]

    return jax.vmap(sample_mask)(keys)[..., None]


def mask_image(
    real: Float[Array, "n h w c"], mask: Bool[Array, "n h w 1"], cond: Any = None
) -> MaskedImage:
    """Set the masked pixels of images to zero.

    Args:
        real: Images [n, h, w, c].
        mask: Pixels to remove, True where masked.
        cond: Further conditions with leaves [n, ...], passed on unchanged.

    Returns:
        The known pixels, the mask as float32, and `cond`.
    """
    return MaskedImage(jnp.where(mask, 0.0, real), mask.astype(jnp.float32), cond)


def apply_masks(masks: Masks, real: Any, cond: Any, keys: Key[Array, " n"]) -> Any:
    """Return the condition of the networks, which includes masked images if there are masks.

    Args:
        masks: Kinds of masks; none disables masking.
        real: Images [n, h, w, c] with masks, else examples of any kind.
        cond: Conditions with leaves [n, ...], or None.
        keys: PRNG keys [n], one for each mask.

    Returns:
        `cond` itself without masks, else a `MaskedImage` that contains it.
    """
    if not masks.kinds:
        return cond
    return mask_image(real, sample_masks(masks, keys, *real.shape[1:3]), cond)


def dummy_condition(masks: Masks, real: Array | np.ndarray, cond: Any) -> Any:
    """Return a condition of the shapes and dtypes of `apply_masks`, without randomness.

    Args:
        masks: Kinds of masks; none disables masking.
        real: Images [n, h, w, c] with masks, else examples of any kind.
        cond: Conditions with leaves [n, ...], or None.

    Returns:
        `cond` itself without masks, else a `MaskedImage` with empty masks.
    """
    if not masks.kinds:
        return cond
    return mask_image(jnp.asarray(real), jnp.zeros((*real.shape[:3], 1), bool), cond)

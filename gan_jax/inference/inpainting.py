"""Repairs of pictures by a generator that was trained with masks; and by others, to compare."""

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
    """Raises UserError if the run does not repair pictures."""
    if not config.masks.kinds:
        raise UserError(f"{config.name} was trained without masks: it cannot repair pictures")
    if config.data.cond:
        raise UserError(f"{config.name} is conditioned on {config.data.cond} too: not supported")


def sample_masks(kind: MaskKind, key: jax.Array, shape: Sequence[int]) -> np.ndarray:
    """Holes of one kind for pictures of `shape` [n, h, w, c], each by its own key: bool [n, h, w,
    1]. Keys of their own, so `key` may also be that of `repair`: no picture has this number."""
    own = jax.random.fold_in(jax.random.fold_in(key, keys.Purpose.MASK), 2**31 - 1)
    own = keys.example_keys(own, shape[0])
    drawn = jax.jit(masks.sample_masks, static_argnums=(0, 2, 3))(
        schema.Masks((kind,)), own, *shape[1:3]
    )
    return np.asarray(drawn)


def inpaint(
    config: Config,
    variables: Any,
    key: jax.Array,
    pictures: np.ndarray,
    hole: np.ndarray,
    count: int = 1,
    labels: np.ndarray | None = None,
    *,
    devices: Sequence[jax.Device] | None = None,
) -> np.ndarray:
    """`count` repairs, each from another z, of pictures uint8 [n, h, w, c] with holes bool [n, h,
    w, 1]: uint8 [count, n, h, w, c], which outside the holes are the pictures, bit for bit.

    `labels` [n] for a run that is conditioned on them too. Repair r of picture i depends on `key`,
    r and i alone, not on what is in the hole. Raises UserError if the run does not repair pictures,
    or pictures and holes do not go together.
    """
    require_inpainting(config)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or not len(pictures):
        given = f"{pictures.dtype} {list(pictures.shape)}"
        raise UserError(f"pictures are {given}: they must be uint8 [n, h, w, c]")
    if hole.dtype != bool or hole.shape != (*pictures.shape[:3], 1):
        wanted = [*pictures.shape[:3], 1]
        raise UserError(f"holes are {hole.dtype} {list(hole.shape)}: they must be bool {wanted}")
    if (labels is None) == bool(config.data.labels):
        given = "none are" if labels is None else "they are"
        raise UserError(f"labels: data.labels is {config.data.labels}, and {given} given")
    known = jnp.asarray(np.where(hole, np.uint8(0), pictures))
    real = feeds.to_network_range(known, symmetric=config.data.symmetric)
    cond = jax.device_get(masks.mask_image(real, jnp.asarray(hole), labels))
    made = [
        sampling.sample(
            config,
            variables,
            jax.random.fold_in(key, number),
            len(pictures),
            cond,
            devices=devices,
        )
        for number in range(count)
    ]
    filled = [pixels.to_pixels(one, symmetric=config.data.symmetric) for one in made]
    return np.where(hole, np.stack(filled), pictures)


def comparison_rows(pictures: np.ndarray, hole: np.ndarray, repairs: np.ndarray) -> np.ndarray:
    """What a grid shows of each picture: what is known, the hole grey; the repairs; the picture.

    uint8 [n, h, w, c], bool [n, h, w, 1], uint8 [r, n, h, w, c] -> uint8 [n (r + 2), h, w, c].
    """
    known = np.where(hole, np.uint8(128), pictures)
    sheets = np.stack([known, *repairs, pictures], 1)
    return sheets.reshape(-1, *pictures.shape[1:])

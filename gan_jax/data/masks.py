"""Holes in pictures: what a generator repairs. Drawn per picture from its key, as pure functions.

With `Masks.kinds` the networks are conditioned on an `Incomplete`: a picture where every pixel is
either known or in the hole. The generator fills the hole; the critic judges whole pictures, real or
repaired, beside the same incomplete one: D(x, y) = f(x, y) - f(x, G(x, z)).
"""

from typing import Any

import jax
import jax.numpy as jnp

from gan_jax.config import Masks
from gan_jax.networks.conditions import MaskedImage

STROKES, VERTICES = 4, 6  # the most of a free-form hole


def box(key: jax.Array, height: int, width: int) -> jax.Array:
    """A rectangle anywhere inside, each side from 0.3 to 0.6 of the picture's: bool [h, w]."""
    sides, places = jax.random.uniform(key, (2, 2))
    inside = jnp.ones((height, width), bool)
    for axis, length in enumerate((height, width)):
        side = jnp.clip(jnp.round((0.3 + 0.3 * sides[axis]) * length), 1, length - 1)
        first = jnp.floor(places[axis] * (length - side + 1))
        place = jnp.arange(length).reshape((-1, 1) if axis == 0 else (1, -1))
        inside &= (place >= first) & (place < first + side)
    return inside


def half(key: jax.Array, height: int, width: int) -> jax.Array:
    """The left, right, upper or lower half: bool [h, w]."""
    side = jax.random.randint(key, (), 0, 4)
    row, column = jnp.arange(height)[:, None], jnp.arange(width)[None, :]
    halves = [row < height // 2, row >= height // 2, column < width // 2, column >= width // 2]
    whole = jnp.stack([jnp.broadcast_to(one, (height, width)) for one in halves])
    return whole[side]


def strokes(key: jax.Array, height: int, width: int) -> jax.Array:
    """One to four brush strokes, each a line with up to six bends: bool [h, w].

    After Yu et al. 2019 (1806.03589), sec. 3.4, with lengths in shares of the shorter side: a
    stroke starts anywhere, turns and runs on for 0.1 to 0.4 at a time, and is 0.08 to 0.2 wide.
    """
    unit = min(height, width)
    own = jax.random.split(key, 7)
    count = jax.random.randint(own[0], (), 1, STROKES + 1)
    bends = jax.random.randint(own[1], (STROKES,), 2, VERTICES + 1)
    radius = unit * jax.random.uniform(own[2], (STROKES,), minval=0.04, maxval=0.1)
    start = jax.random.uniform(own[3], (STROKES, 1, 2)) * jnp.array([[[height, width]]])
    turn = jax.random.uniform(own[4], (STROKES, VERTICES), minval=-2.0, maxval=2.0)
    run = unit * jax.random.uniform(own[5], (STROKES, VERTICES), minval=0.1, maxval=0.4)
    angle = jnp.cumsum(turn, 1) + 2 * jnp.pi * jax.random.uniform(own[6], (STROKES, 1))
    moves = run[..., None] * jnp.stack([jnp.sin(angle), jnp.cos(angle)], -1)
    edge = jnp.array([[[height, width]]]) - 1e-3
    points = jnp.clip(jnp.concatenate([start, start + jnp.cumsum(moves, 1)], 1), 0.0, edge)
    row, column = jnp.arange(height) + 0.5, jnp.arange(width) + 0.5
    pixel = jnp.stack(jnp.meshgrid(row, column, indexing="ij"), -1)[None, None]
    a, b = points[:, :-1, None, None], points[:, 1:, None, None]  # [strokes, vertices, 1, 1, 2]
    along = b - a
    share = ((pixel - a) * along).sum(-1) / jnp.maximum(jnp.square(along).sum(-1), 1e-6)
    nearest = a + jnp.clip(share, 0.0, 1.0)[..., None] * along
    distance = jnp.sqrt(jnp.square(pixel - nearest).sum(-1))
    drawn = (jnp.arange(STROKES)[:, None] < count) & (jnp.arange(VERTICES)[None] < bends[:, None])
    return ((distance < radius[:, None, None, None]) & drawn[..., None, None]).any((0, 1))


def random(key: jax.Array, height: int, width: int) -> jax.Array:
    """Half to nine tenths of all pixels, each by itself: bool [h, w]."""
    share, place = jax.random.split(key)
    lost = jax.random.uniform(share, minval=0.5, maxval=0.9)
    return jax.random.uniform(place, (height, width)) < lost


KINDS = {"box": box, "half": half, "strokes": strokes, "random": random}


def sample_masks(masks: Masks, keys: jax.Array, height: int, width: int) -> jax.Array:
    """A hole for each of `keys` [n], by its key alone: bool [n, h, w, 1], True in the hole."""

    def one(key: jax.Array) -> jax.Array:
        which, own = jax.random.split(key)
        found = jnp.stack([KINDS[kind](own, height, width) for kind in masks.kinds])
        return found[jax.random.randint(which, (), 0, len(masks.kinds))]

    return jax.vmap(one)(keys)[..., None]


def mask_image(real: jax.Array, hole: jax.Array, cond: Any = None) -> MaskedImage:
    """Pictures [n, h, w, c] with holes bool [n, h, w, 1]."""
    return MaskedImage(jnp.where(hole, 0.0, real), hole.astype(jnp.float32), cond)


def apply_masks(masks: Masks, real: jax.Array, cond: Any, keys: jax.Array) -> Any:
    """What the networks are conditioned on: `cond` itself, or with masks the pictures `real`
    [n, h, w, c] with a hole each, drawn from its key of `keys` [n]."""
    if not masks.kinds:
        return cond
    return mask_image(real, sample_masks(masks, keys, *real.shape[1:3]), cond)


def dummy_condition(masks: Masks, real: Any, cond: Any) -> Any:
    """`condition` of examples of which only shapes and dtypes count: nothing is drawn."""
    if not masks.kinds:
        return cond
    return mask_image(jnp.asarray(real), jnp.zeros((*real.shape[:3], 1), bool), cond)

"""Augmentation of what the critic sees, reals and fakes alike, as pure differentiable functions.

ADA (Karras et al. 2020, 2006.06676): each transformation of a group happens with a probability p,
to each example by itself. p is fixed, a schedule, or adaptive: it rises while the critic is surer
of the reals than it should be. DiffAugment (Zhao et al. 2020, 2006.10738) is always on.

Gradients, also those of penalties, go through to the pixels. The transformations themselves are in
gan_jax/training/augment/.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from gan_jax.config import Augment, schedules
from gan_jax.config.schema import ADA_GROUPS
from gan_jax.core.errors import UserError
from gan_jax.training.augment import blit, color, cutout, diffaugment, geometry


class AugmentState(flax.struct.PyTreeNode):
    """What the adaptive rule remembers; scalars."""

    p: jax.Array
    """float32 in [0, 1]."""
    signs: jax.Array
    """Sum of the mean signs since p last changed, float32."""
    count: jax.Array
    """Critic updates since then, int32."""


def init(config: Augment) -> AugmentState | None:
    """The state before the first step; None unless p is adaptive."""
    if not config.adaptive:
        return None
    p = jnp.asarray(schedules.value_at(config.p, 0), jnp.float32)
    return AugmentState(p, jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32))


def probability(config: Augment, state: AugmentState | None) -> Any:
    """p of an augmentation whose schedules are resolved, or as it has adapted."""
    return config.p if state is None else state.p


def adapt(config: Augment, state: AugmentState, sign: jax.Array, batch_size: int) -> AugmentState:
    """After one critic update: `sign` is the mean of sign(f(real)) over its whole batch of `images`
    augmented reals. Every `adapt_every` of them, p moves towards 1 where r_t, the mean since its
    last move, is above the target, towards 0 where below, by the images seen over `adapt_images`.
    2006.06676, sec. 3.1. An update whose sign is not finite does not count."""
    finite = jnp.isfinite(sign)
    signs = state.signs + jnp.where(finite, sign, 0.0)
    count = state.count + finite
    due = count >= config.adapt_every
    r_t = signs / config.adapt_every
    move = jnp.sign(r_t - config.target) * (batch_size * config.adapt_every / config.adapt_images)
    p = jnp.where(due, jnp.clip(state.p + move, 0.0, 1.0), state.p)
    return AugmentState(p, jnp.where(due, 0.0, signs), jnp.where(due, 0, count))


def augment(
    config: Augment, x: jax.Array, keys: jax.Array, p: float | jax.Array, symmetric: bool
) -> jax.Array:
    """Pictures [n, h, w, c] -> augmented ones of the same shape, float32.

    Pixels are in [-1, 1] if `symmetric`, else in [0, 1]; the result may leave that range. `keys`
    [n] are the examples' own: each one's changes depend on its key alone. Raises UserError if x is
    no batch of pictures of at least 2x2 pixels; for colours, of 1 or 3 channels.
    """
    if config.is_off:
        return x
    if x.ndim != 4 or min(x.shape[1:3]) < 2:
        raise UserError(
            f"augment: examples are {list(x.shape)}, they must be pictures [n, h, w, c]"
        )
    if not schedules.is_off(config.colour) and x.shape[-1] not in (1, 3):
        raise UserError(f"augment.colour: pictures have {x.shape[-1]} channels, not 1 or 3")

    def one(x: jax.Array, key: jax.Array) -> jax.Array:
        x = x if symmetric else 2 * x - 1
        x = _apply(config, x, key, p)
        return x if symmetric else (x + 1) / 2

    return jax.vmap(one)(x.astype(jnp.float32), keys)


def _apply(config: Augment, x: jax.Array, key: jax.Array, p: Any) -> jax.Array:
    """One picture [h, w, c], pixels in [-1, 1]. A group's draws do not depend on which are on."""
    own = {group: jax.random.fold_in(key, i) for i, group in enumerate(ADA_GROUPS)}
    on = {
        group: getattr(config, group) * p
        for group in ADA_GROUPS
        if not schedules.is_off(getattr(config, group))
    }
    if schedules.is_off(p):
        on = {}
    shift = None
    if "blit" in on:
        copied = blit.sample_blit(own["blit"], on["blit"], x.shape)
        x, shift = blit.flip_and_rotate(x, copied), copied.shift
    if "geometry" in on:
        inverse = geometry.sample_inverse(own["geometry"], on["geometry"], x.shape)
        x = geometry.resample(
            x, inverse if shift is None else geometry.compose_shift(inverse, shift)
        )
    elif shift is not None:
        x = blit.shift(x, shift, "reflect")
    if "colour" in on:
        x = color.adjust_color(x, color.sample_color(own["colour"], on["colour"]))
    if "cutout" in on:
        x = cutout.apply_cutout(x, cutout.sample_cutout(own["cutout"], on["cutout"]))
    for i, (part, transform) in enumerate(diffaugment.PARTS.items()):
        if part in config.diffaugment:
            x = transform(x, jax.random.fold_in(key, len(ADA_GROUPS) + i))
    return x

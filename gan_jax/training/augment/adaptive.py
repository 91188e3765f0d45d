"""Augmentation of real and fake images before the discriminator, as pure functions.

ADA (Karras et al. 2020, 2006.06676) applies each transformation of a group to each image with
probability p, independently. p is constant, a schedule, or adaptive: it increases while the
discriminator overfits, measured by the mean sign of its logits on real images. The transformations
of DiffAugment (Zhao et al. 2020, 2006.10738) are always applied.

Gradients, including those of the penalties, pass through to the pixels. The other files of this
folder contain the transformations.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int32, Key

from gan_jax.config import Augment, schedules
from gan_jax.config.schema import ADA_GROUPS
from gan_jax.core.errors import UserError
from gan_jax.training.augment import blit, color, cutout, diffaugment, geometry


class AugmentState(flax.struct.PyTreeNode):
    """State of the adaptive probability."""

    p: Float[Array, ""]
    """Probability of each transformation, in [0, 1]."""
    signs: Float[Array, ""]
    """Sum of the mean signs of real logits since the last change of p."""
    count: Int32[Array, ""]
    """Number of discriminator updates since then."""


def init(config: Augment) -> AugmentState | None:
    """Initialize the state before the first step; None if p is not adaptive."""
    if not config.adaptive:
        return None
    p = jnp.asarray(schedules.value_at(config.p, 0), jnp.float32)
    return AugmentState(p, jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32))


def probability(config: Augment, state: AugmentState | None) -> Any:
    """Return p: the adaptive value, or the resolved schedule of the config."""
    return config.p if state is None else state.p


def adapt(
    config: Augment, state: AugmentState, sign: Float[Array, ""], batch_size: int
) -> AugmentState:
    """Update p after a discriminator update (Karras et al. 2020, 2006.06676, sec. 3.1).

    Every `config.adapt_every` updates, p increases if r_t, the mean sign since the last change, is
    above `config.target`, and decreases if it is below. The change is the number of real images in
    these updates divided by `config.adapt_images`. Updates with a non-finite sign are ignored.

    Args:
        config: Settings of the augmentation.
        state: State before the update.
        sign: Mean of sign(D(x)) over the augmented real images x of the whole batch.
        batch_size: Number of real images in the whole batch.

    Returns:
        The state after the update.

    Example:
        >>> config = Augment(adaptive=True, adapt_every=1, adapt_images=1000)
        >>> state = adapt(config, init(config), jnp.float32(1), batch_size=100)
        >>> round(float(state.p), 3)
        0.1
    """
    finite = jnp.isfinite(sign)
    signs = state.signs + jnp.where(finite, sign, 0.0)
    count = state.count + finite
    due = count >= config.adapt_every
    r_t = signs / config.adapt_every
    move = jnp.sign(r_t - config.target) * (batch_size * config.adapt_every / config.adapt_images)
    p = jnp.where(due, jnp.clip(state.p + move, 0.0, 1.0), state.p)
    return AugmentState(p, jnp.where(due, 0.0, signs), jnp.where(due, 0, count))


def augment(
    config: Augment,
    x: Float[Array, "n ..."],
    keys: Key[Array, " n"],
    p: float | Float[Array, ""],
    symmetric: bool,
) -> Float[Array, "n ..."]:
    """Augment a batch of images.

    Args:
        config: Settings of the augmentation; if all are off, `x` may have any shape.
        x: Images [n, h, w, c] of at least 2x2 pixels; 1 or 3 channels for color transformations.
        keys: PRNG keys [n]. The transformation of an image depends on its key alone.
        p: Probability of each ADA transformation.
        symmetric: Pixels are in [-1, 1] if true, else in [0, 1].

    Returns:
        Augmented images of the same shape, float32. Pixels may exceed the range.

    Raises:
        UserError: If the shape of `x` is not allowed.

    Example:
        >>> images = jnp.zeros((4, 8, 8, 3))
        >>> keys = jax.random.split(jax.random.key(0), 4)
        >>> augment(Augment(blit=1.0), images, keys, p=0.5, symmetric=True).shape
        (4, 8, 8, 3)
    """
    if config.is_off:
        return x
    if x.ndim != 4 or min(x.shape[1:3]) < 2:
        raise UserError(
            f"augment: examples must be images [n, h, w, c] of at least 2x2 pixels, "
            f"got {list(x.shape)}"
        )
    if not schedules.is_off(config.color) and x.shape[-1] not in (1, 3):
        raise UserError(f"augment: color needs images of 1 or 3 channels, got {x.shape[-1]}")

    def augment_image(x: Float[Array, "h w c"], key: Key[Array, ""]) -> Float[Array, "h w c"]:
        x = x if symmetric else 2 * x - 1
        x = _apply(config, x, key, p)
        return x if symmetric else (x + 1) / 2

    return jax.vmap(augment_image)(x.astype(jnp.float32), keys)


def _apply(config: Augment, x: jax.Array, key: jax.Array, p: Any) -> jax.Array:
    """Augment one image [h, w, c] with pixels in [-1, 1].

    Each group has its own key, so its transformations do not depend on the other groups.
    """
    group_keys = {group: jax.random.fold_in(key, i) for i, group in enumerate(ADA_GROUPS)}
    strengths = {group: getattr(config, group) for group in ADA_GROUPS}
    probabilities = {
        group: strength * p
        for group, strength in strengths.items()
        if not (schedules.is_off(strength) or schedules.is_off(p))
    }
    shift = None
    if "blit" in probabilities:
        blitting = blit.sample_blit(group_keys["blit"], probabilities["blit"], x.shape)
        x, shift = blit.flip_and_rotate(x, blitting), blitting.shift
    if "geometry" in probabilities:
        inverse = geometry.sample_inverse(
            group_keys["geometry"], probabilities["geometry"], x.shape
        )
        if shift is not None:
            inverse = geometry.compose_shift(inverse, shift)
        x = geometry.resample(x, inverse)
    elif shift is not None:
        x = blit.shift(x, shift, "reflect")
    if "color" in probabilities:
        x = color.adjust_color(x, color.sample_color(group_keys["color"], probabilities["color"]))
    if "cutout" in probabilities:
        rectangle = cutout.sample_cutout(group_keys["cutout"], probabilities["cutout"])
        x = cutout.apply_cutout(x, rectangle)
    for i, (part, transform) in enumerate(diffaugment.PARTS.items()):
        if part in config.diffaugment:
            x = transform(x, jax.random.fold_in(key, len(ADA_GROUPS) + i))
    return x

"""Interpolation between latents, and truncation."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gan_jax.core.errors import UserError
from gan_jax.inference.latent_space import Distribution, LatentSpace


def lerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """(1 - t) a + t b. a, b [..., d]; t [..., 1]."""
    return (1 - t) * a + t * b


def slerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """Along the great circle: (sin((1 - t) w) a + sin(t w) b) / sin w, w the angle between a and b.

    a, b [..., d]; t [..., 1]. White 2016 (1609.04468), sec. 2.1; `lerp` where they are parallel.
    """

    def unit(x: jax.Array) -> jax.Array:
        return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-30)

    # By the half angle, as arccos is inexact for small ones.
    chord, other = unit(a) - unit(b), unit(a) + unit(b)
    w = 2 * jnp.arctan2(
        jnp.linalg.norm(chord, axis=-1, keepdims=True),
        jnp.linalg.norm(other, axis=-1, keepdims=True),
    )
    parallel = jnp.sin(w) < 1e-6
    safe = jnp.where(parallel, 1.0, w)
    along = (jnp.sin((1 - t) * safe) * a + jnp.sin(t * safe) * b) / jnp.sin(safe)
    return jnp.where(parallel, lerp(a, b, t), along)


def interpolate(a: jax.Array, b: jax.Array, count: int, distribution: Distribution) -> jax.Array:
    """`count` latents on each way from a to b [n, d], both among them: [n, count, d]. Normal z move
    along great circles, others on straight lines, on which uniform z do not leave their cube.

    Raises UserError unless count is at least 2.
    """
    if count < 2:
        raise UserError(f"steps is {count}: it must be at least 2")
    t = jnp.linspace(0.0, 1.0, count)[None, :, None]
    a, b = (jnp.repeat(end[:, None], count, 1) for end in (a, b))
    along = slerp if distribution == "normal" else lerp
    return along(a, b, jnp.broadcast_to(t, (len(a), count, 1)))


def truncate(space: LatentSpace, amount: float) -> LatentSpace:
    """The space whose draws are nearer to its middle: more typical pictures, less various.

    In W, w = mean + amount (w - mean) (StyleGAN, 1812.04948, app. B): psi, 0 to 1. Of normal z,
    numbers outside of [-amount, amount] are drawn again (Brock et al. 2019, 1809.11096, sec. 3.1):
    a threshold above 0. Raises UserError for other amounts, and for uniform z, which have no tail.
    """
    if space.distribution == "uniform":
        raise UserError(f"truncation is {amount}: uniform z have no tail, normal z and w have")
    if space.distribution == "w":
        if not 0 <= amount <= 1:
            raise UserError(f"truncation is {amount}: psi must be from 0 to 1")
        return space._replace(
            draw=Partial(functools.partial(_nearer, amount), space.draw, space.mean)
        )
    if not 0 < amount < np.inf:
        raise UserError(f"truncation is {amount}: the threshold must be above 0")
    return space._replace(draw=Partial(functools.partial(_cut, amount), space.draw))


def _nearer(psi: float, draw: Partial, mean: jax.Array, own: jax.Array, cond: Any) -> jax.Array:
    w = draw(own, cond)
    return lerp(jnp.broadcast_to(mean, w.shape), w, jnp.full((len(w), 1), psi))


def _cut(threshold: float, draw: Partial, own: jax.Array, cond: Any) -> jax.Array:
    dim = jax.eval_shape(draw, own, cond).shape[-1]

    def one(key: jax.Array) -> jax.Array:
        return jax.random.truncated_normal(key, -threshold, threshold, (dim,))

    return jax.vmap(one)(own)

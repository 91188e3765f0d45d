"""Interpolation between latents, and truncation."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float

from gan_jax.core.errors import UserError
from gan_jax.inference.latent_space import Distribution, LatentSpace


def lerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """Interpolate linearly: (1 - t) a + t b.

    Args:
        a: Start, float [..., d].
        b: End, float [..., d].
        t: Position, float [..., 1]; 0 at `a`, 1 at `b`.

    Returns:
        Points, float [..., d].

    Example:
        >>> lerp(jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.full((1, 1), 0.25)).tolist()
        [[0.25, 0.25]]
    """
    return (1 - t) * a + t * b


def slerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """Interpolate along the great circle through two points.

    (sin((1 - t) w) a + sin(t w) b) / sin w, with w the angle between a and b (White 2016,
    1609.04468, sec. 2.1). Parallel points are interpolated by `lerp`.

    Args:
        a: Start, float [..., d].
        b: End, float [..., d].
        t: Position, float [..., 1]; 0 at `a`, 1 at `b`.

    Returns:
        Points, float [..., d].

    Example:
        >>> a, b = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
        >>> np.round(np.asarray(slerp(a, b, jnp.full((1, 1), 0.5)), float), 3).tolist()
        [[0.707, 0.707]]
    """

    def normalize(x: jax.Array) -> jax.Array:
        return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-30)

    # arccos is inexact for small angles; the half-angle formula is not.
    difference, total = normalize(a) - normalize(b), normalize(a) + normalize(b)
    w = 2 * jnp.arctan2(
        jnp.linalg.norm(difference, axis=-1, keepdims=True),
        jnp.linalg.norm(total, axis=-1, keepdims=True),
    )
    parallel = jnp.sin(w) < 1e-6
    safe = jnp.where(parallel, 1.0, w)
    on_circle = (jnp.sin((1 - t) * safe) * a + jnp.sin(t * safe) * b) / jnp.sin(safe)
    return jnp.where(parallel, lerp(a, b, t), on_circle)


def interpolate(
    a: Float[Array, "n d"], b: Float[Array, "n d"], count: int, distribution: Distribution
) -> Float[Array, "n count d"]:
    """Interpolate between pairs of latents, both ends included.

    Normal z move along great circles. Uniform z and w move along straight lines, so that uniform z
    stay in their cube.

    Args:
        a: Starts, float32 [n, d].
        b: Ends, float32 [n, d].
        count: Number of points on each path, at least 2.
        distribution: Distribution of the latents.

    Returns:
        Latents, float32 [n, count, d].

    Raises:
        UserError: If `count` is below 2.

    Example:
        >>> path = interpolate(jnp.zeros((1, 2)), jnp.ones((1, 2)), 3, "uniform")
        >>> path[0].tolist()
        [[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]
    """
    if count < 2:
        raise UserError(f"count must be at least 2, got {count}")
    t = jnp.linspace(0.0, 1.0, count)[None, :, None]
    a, b = (jnp.repeat(end[:, None], count, 1) for end in (a, b))
    method = slerp if distribution == "normal" else lerp
    return method(a, b, jnp.broadcast_to(t, (len(a), count, 1)))


def truncate(space: LatentSpace, amount: float) -> LatentSpace:
    """Return a latent space with truncated samples: more typical images, less variety.

    In W, w = mean + amount (w - mean) (StyleGAN, 1812.04948, app. B); `amount` is psi, from 0 to 1.
    Normal z are sampled from the normal distribution truncated to [-amount, amount] (Brock et al.
    2019, 1809.11096, sec. 3.1); `amount` is a positive threshold.

    Raises:
        UserError: If `amount` is out of range, or z is uniform and so has no tail.

    Example:
        >>> from gan_jax.core import keys
        >>> sample = Partial(lambda key, cond: keys.latents(key, 4, "normal"))
        >>> space = LatentSpace(Partial(lambda z, cond: z), sample, "normal")
        >>> z = truncate(space, 0.5).sample(keys.example_keys(jax.random.key(0), 9), None)
        >>> z.shape, bool(abs(z).max() <= 0.5)
        ((9, 4), True)
    """
    if space.distribution == "uniform":
        raise UserError(f"truncation needs normal z or w: uniform z have no tail, got {amount}")
    if space.distribution == "w":
        if not 0 <= amount <= 1:
            raise UserError(f"truncation must be from 0 to 1 (psi), got {amount}")
        sample = functools.partial(_sample_truncated_w, amount)
        return space._replace(sample=Partial(sample, space.sample, space.mean))
    if not 0 < amount < np.inf:
        raise UserError(f"truncation must be above 0 (threshold of normal z), got {amount}")
    sample = functools.partial(_sample_truncated_normal, amount)
    return space._replace(sample=Partial(sample, space.sample))


def _sample_truncated_w(
    psi: float, sample: Partial, mean: jax.Array, example_keys: jax.Array, cond: Any
) -> jax.Array:
    w = sample(example_keys, cond)
    return lerp(jnp.broadcast_to(mean, w.shape), w, jnp.full((len(w), 1), psi))


def _sample_truncated_normal(
    threshold: float, sample: Partial, example_keys: jax.Array, cond: Any
) -> jax.Array:
    dim = jax.eval_shape(sample, example_keys, cond).shape[-1]

    def sample_example(key: jax.Array) -> jax.Array:
        return jax.random.truncated_normal(key, -threshold, threshold, (dim,))

    return jax.vmap(sample_example)(example_keys)

"""Gradient penalties of a critic: pure, per example, norm over all non-batch axes, float32.

`critic(x [n, ...]) -> logits [n]`, or [n, r], of which an example's are summed. All share one
signature, penalty(critic, real, fake, keys, axis, pack), and return the unweighted mean over the
examples at hand (in the step: of this device; the step averages). `keys` [n] are the examples' own.
The gradient is that of the *summed* logits: for a critic whose layers do not mix examples each
example's own gradient; for one with batch or minibatch statistics it also holds what an example
does to the others' logits, as in StyleGAN2.

A critic of packs (gan_jax/networks/pacgan.py) has logits [n/pack], each of `pack` examples that
follow one another: such a pack is one input, so the norm is over all of it, and the mean is over
packs.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jax import Array, lax

Critic = Callable[[Array], Array]


def squared_slope(critic: Critic, x: Array, pack: int = 1) -> Array:
    """|grad_x f(x_i)|^2 [n/pack] float32: squares summed over all axes but the first, and over the
    examples of a pack."""

    chex.assert_is_divisible(len(x), pack)

    def total(x: Array) -> Array:
        logits = critic(x)
        chex.assert_rank(logits, {1, 2})
        chex.assert_axis_dimension(logits, 0, len(x) // pack)
        return logits.astype(jnp.float32).sum()

    slope = jax.grad(total)(x).astype(jnp.float32)
    return jnp.square(slope).reshape(len(x) // pack, -1).sum(1)


def slope_norm(critic: Critic, x: Array, pack: int = 1) -> Array:
    """|grad_x f(x_i)| [n/pack]; its own gradient at slope zero is 0, not NaN."""
    squared = squared_slope(critic, x, pack)
    flat = squared == 0
    return jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, squared)))


def _per_example(factors: Array, x: Array) -> Array:
    return factors.reshape(-1, *[1] * (x.ndim - 1))


def interpolate(real: Array, fake: Array, keys: Array, pack: int = 1) -> Array:
    """x = e real + (1-e) fake with one e ~ U(0, 1) per example, or pack, by the key of its first
    example. 1704.00028, alg. 1."""
    e = jax.vmap(jax.random.uniform)(keys[::pack])
    e = _per_example(jnp.repeat(e, pack), real)
    return e * real + (1 - e) * fake


def r1(
    critic: Critic, real: Array, fake: Array, keys: Array, axis: str | None = None, pack: int = 1
) -> Array:
    """1/2 E_p |grad f|^2. Mescheder et al. 2018 (1801.04406), eq. 9."""
    return 0.5 * squared_slope(critic, real, pack).mean()


def r2(
    critic: Critic, real: Array, fake: Array, keys: Array, axis: str | None = None, pack: int = 1
) -> Array:
    """1/2 E_q |grad f|^2. 1801.04406, eq. 10."""
    return 0.5 * squared_slope(critic, fake, pack).mean()


def gradient_penalty(
    critic: Critic, real: Array, fake: Array, keys: Array, axis: str | None = None, pack: int = 1
) -> Array:
    """E (|grad f(x)| - 1)^2 between reals and fakes. Gulrajani et al. 2017 (1704.00028), eq. 3."""
    return jnp.square(slope_norm(critic, interpolate(real, fake, keys, pack), pack) - 1).mean()


def one_sided(
    critic: Critic, real: Array, fake: Array, keys: Array, axis: str | None = None, pack: int = 1
) -> Array:
    """E max(0, |grad f(x)| - 1)^2: WGAN-LP. Petzka et al. 2018 (1709.08894), eq. 8."""
    slope = slope_norm(critic, interpolate(real, fake, keys, pack), pack)
    return jnp.square(jax.nn.relu(slope - 1)).mean()


def dragan(
    critic: Critic, real: Array, fake: Array, keys: Array, axis: str | None = None, pack: int = 1
) -> Array:
    """E (|grad f(x + d)| - 1)^2, d = std/2 U(0, 1) per pixel. Kodali et al. 2017 (1705.07215).

    std is over all pixels of the whole batch, as in the authors' code; of the variants in use
    (d of either sign, clipped, interpolated) this is the one of the paper's algorithm 1.
    """

    def mean(x: Array) -> Array:
        return lax.pmean(x.mean(), axis) if axis else x.mean()

    std = jnp.sqrt(mean(jnp.square(real - mean(real))))
    noise = jax.vmap(lambda key: jax.random.uniform(key, real.shape[1:]))(keys)
    return jnp.square(slope_norm(critic, real + 0.5 * std * noise, pack) - 1).mean()


PENALTIES = {
    "r1": r1,
    "r2": r2,
    "gradient_penalty": gradient_penalty,
    "one_sided": one_sided,
    "dragan": dragan,
}

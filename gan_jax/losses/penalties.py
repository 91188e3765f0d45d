"""Gradient penalties of a discriminator: pure functions, float32.

All penalties have the signature `penalty(critic, real, fake, keys, axis, pack)` and return the
unweighted mean over the examples of one device; the step averages over devices. Gradient norms are
per example, over all axes but the first.

`critic` maps examples [n, ...] to logits [n], or [n, r], which are summed over r. The gradient is
that of the sum of all logits. If the layers do not mix examples, this is each example's own
gradient. With batch or minibatch statistics it also contains the effect of an example on the logits
of the others, as in StyleGAN2.

A critic of packs (gan_jax/networks/pacgan.py) returns logits [n/pack], each for `pack` consecutive
examples. A pack is one input: the norm is over the whole pack and the mean over packs.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

Critic = Callable[[Float[Array, " n *shape"]], Float[Array, " packs *r"]]


def squared_gradient_norm(
    critic: Critic, x: Float[Array, " n *shape"], pack: int = 1
) -> Float[Array, " packs"]:
    """Compute |grad_x f(x_i)|^2 in float32, summed over all axes but the first.

    Args:
        critic: Function of examples to logits.
        x: Examples.
        pack: Number of consecutive examples per pack, over which the squares are summed too.

    Returns:
        Squared norms [n/pack].

    Example:
        >>> x = jnp.ones((3, 4))
        >>> squared_gradient_norm(lambda x: 2 * x.sum(1), x).tolist()
        [16.0, 16.0, 16.0]
    """
    chex.assert_is_divisible(len(x), pack)

    def total(x: Array) -> Array:
        logits = critic(x)
        chex.assert_rank(logits, {1, 2})
        chex.assert_axis_dimension(logits, 0, len(x) // pack)
        return logits.astype(jnp.float32).sum()

    gradient = jax.grad(total)(x).astype(jnp.float32)
    return jnp.square(gradient).reshape(len(x) // pack, -1).sum(1)


def gradient_norm(
    critic: Critic, x: Float[Array, " n *shape"], pack: int = 1
) -> Float[Array, " packs"]:
    """Compute |grad_x f(x_i)|. Its own gradient is 0, not NaN, where the norm is zero.

    Args:
        critic: Function of examples to logits.
        x: Examples.
        pack: Number of consecutive examples per pack.

    Returns:
        Norms [n/pack].
    """
    squared = squared_gradient_norm(critic, x, pack)
    is_zero = squared == 0
    return jnp.where(is_zero, 0.0, jnp.sqrt(jnp.where(is_zero, 1.0, squared)))


def interpolate(
    real: Float[Array, " n *shape"],
    fake: Float[Array, " n *shape"],
    keys: Key[Array, " n"],
    pack: int = 1,
) -> Float[Array, " n *shape"]:
    """Sample points x = e real + (1-e) fake, e ~ U(0, 1). 1704.00028, alg. 1.

    Args:
        real: Real examples.
        fake: Generated examples.
        keys: One key per example.
        pack: Number of consecutive examples that share e, from the key of the first.

    Returns:
        Interpolated examples.
    """
    e = jax.vmap(jax.random.uniform)(keys[::pack])
    e = jnp.repeat(e, pack).reshape(-1, *[1] * (real.ndim - 1))
    return e * real + (1 - e) * fake


def r1(
    critic: Critic,
    real: Float[Array, " n *shape"],
    fake: Float[Array, " n *shape"],
    keys: Key[Array, " n"],
    axis: str | None = None,
    pack: int = 1,
) -> Float[Array, ""]:
    """Compute 1/2 E_p |grad f|^2 (Mescheder et al. 2018, 1801.04406, eq. 9).

    Args:
        critic: Function of examples to logits.
        real: Real examples.
        fake: Unused.
        keys: Unused.
        axis: Unused.
        pack: Number of consecutive examples per pack.

    Returns:
        The mean penalty.
    """
    return 0.5 * squared_gradient_norm(critic, real, pack).mean()


def r2(
    critic: Critic,
    real: Float[Array, " n *shape"],
    fake: Float[Array, " n *shape"],
    keys: Key[Array, " n"],
    axis: str | None = None,
    pack: int = 1,
) -> Float[Array, ""]:
    """Compute 1/2 E_q |grad f|^2. 1801.04406, eq. 10.

    Args:
        critic: Function of examples to logits.
        real: Unused.
        fake: Generated examples.
        keys: Unused.
        axis: Unused.
        pack: Number of consecutive examples per pack.

    Returns:
        The mean penalty.
    """
    return 0.5 * squared_gradient_norm(critic, fake, pack).mean()


def gradient_penalty(
    critic: Critic,
    real: Float[Array, " n *shape"],
    fake: Float[Array, " n *shape"],
    keys: Key[Array, " n"],
    axis: str | None = None,
    pack: int = 1,
) -> Float[Array, ""]:
    """Compute E (|grad f(x)| - 1)^2 at points between real and generated examples.

    Gulrajani et al. 2017 (1704.00028), eq. 3.

    Args:
        critic: Function of examples to logits.
        real: Real examples.
        fake: Generated examples.
        keys: One key per example.
        axis: Unused.
        pack: Number of consecutive examples per pack.

    Returns:
        The mean penalty.
    """
    return jnp.square(gradient_norm(critic, interpolate(real, fake, keys, pack), pack) - 1).mean()


def one_sided(
    critic: Critic,
    real: Float[Array, " n *shape"],
    fake: Float[Array, " n *shape"],
    keys: Key[Array, " n"],
    axis: str | None = None,
    pack: int = 1,
) -> Float[Array, ""]:
    """Compute E max(0, |grad f(x)| - 1)^2, the penalty of WGAN-LP.

    Petzka et al. 2018 (1709.08894), eq. 8. The points x are those of `gradient_penalty`.

    Args:
        critic: Function of examples to logits.
        real: Real examples.
        fake: Generated examples.
        keys: One key per example.
        axis: Unused.
        pack: Number of consecutive examples per pack.

    Returns:
        The mean penalty.
    """
    norm = gradient_norm(critic, interpolate(real, fake, keys, pack), pack)
    return jnp.square(jax.nn.relu(norm - 1)).mean()


def dragan(
    critic: Critic,
    real: Float[Array, " n *shape"],
    fake: Float[Array, " n *shape"],
    keys: Key[Array, " n"],
    axis: str | None = None,
    pack: int = 1,
) -> Float[Array, ""]:
    """Compute E (|grad f(x + d)| - 1)^2, d = std/2 U(0, 1) per pixel.

    Kodali et al. 2017 (1705.07215). std is over all pixels of the whole batch, as in the authors'
    code. Of the variants in use (d of either sign, clipped, interpolated) this is algorithm 1 of
    the paper.

    Args:
        critic: Function of examples to logits.
        real: Real examples.
        fake: Unused.
        keys: One key per example.
        axis: Mapped device axis over which std is taken.
        pack: Number of consecutive examples per pack.

    Returns:
        The mean penalty.
    """

    def mean(x: Array) -> Array:
        return lax.pmean(x.mean(), axis) if axis else x.mean()

    std = jnp.sqrt(mean(jnp.square(real - mean(real))))
    noise = jax.vmap(lambda key: jax.random.uniform(key, real.shape[1:]))(keys)
    return jnp.square(gradient_norm(critic, real + 0.5 * std * noise, pack) - 1).mean()


PENALTIES = {
    "r1": r1,
    "r2": r2,
    "gradient_penalty": gradient_penalty,
    "one_sided": one_sided,
    "dragan": dragan,
}

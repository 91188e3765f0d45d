"""Path length regularization (Karras et al. 2020, 1912.04958, sec. 3.2)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

DECAY = 0.01  # of the running mean, per call; appendix B


def path_length(
    apply: Callable[[jax.Array], jax.Array],
    zeros: jax.Array,
    keys: jax.Array,
    mean: jax.Array,
    axis: str | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Compute the unweighted penalty E (|J^T y| - a)^2 (eq. 4) and the new running mean a.

    J^T y is the gradient of sum(images * y), y ~ N(0, 1) / sqrt(h w). Its length is the root of the
    mean, over layers, of its squared norm, as in the authors' code. The running mean moves by
    `DECAY` towards the mean length, and the lengths are compared with the moved one.

    Deviation: a is a constant for the gradient; the authors' code differentiates its last 1%.

    Args:
        apply: Function of what is added to w, like `zeros`, to images [n, h, w, c].
        zeros: Zeros [n, layers, d].
        keys: Keys [n] of the examples' noise y.
        mean: Running mean a before this call.
        axis: Mapped device axis over which the mean length is taken.

    Returns:
        The mean penalty of this device's examples, as in gan_jax/losses/penalties.py, and the new
        running mean; both float32 scalars.
    """
    images = jax.eval_shape(apply, zeros)
    _, height, width, _ = images.shape

    def draw(key: jax.Array) -> jax.Array:
        return jax.random.normal(key, images.shape[1:]) / (height * width) ** 0.5

    y = jax.vmap(draw)(keys)
    slope = jax.grad(lambda w: (apply(w).astype(jnp.float32) * y).sum())(zeros)
    squared = jnp.square(slope.astype(jnp.float32)).sum(2).mean(1)
    flat = squared == 0  # there the root's gradient is 0, not NaN
    lengths = jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, squared)))
    now = lax.stop_gradient(lengths.mean())
    now = lax.pmean(now, axis) if axis else now
    mean = mean + DECAY * (now - mean)
    return jnp.square(lengths - mean).mean(), mean

"""Path length regularization (Karras et al. 2020, 1912.04958, sec. 3.2)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

DECAY = 0.01  # of the running mean, per call; appendix B


def path_length(
    apply: Callable[[Float[Array, "n layers d"]], Float[Array, "n h w c"]],
    zeros: Float[Array, "n layers d"],
    keys: Key[Array, " n"],
    mean: Float[Array, ""],
    axis: str | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Compute the unweighted penalty E (|J^T y| - a)^2 (eq. 4) and the new running mean a.

    J^T y is the gradient of sum(images * y), y ~ N(0, 1) / sqrt(h w). Its length is the root of the
    mean, over layers, of its squared norm, as in the authors' code. The running mean moves by
    `DECAY` towards the mean length, and the lengths are compared with the updated mean.

    Deviation: a is a constant for the gradient; the authors' code differentiates its last 1%.

    Args:
        apply: Function of an offset of w, shaped as `zeros`, to images.
        zeros: Offset zero, at which the gradient is taken.
        keys: One key per example, for the noise y.
        mean: Running mean a before this call.
        axis: Mapped device axis over which the mean length is taken.

    Returns:
        The mean penalty of this device's examples, as in gan_jax/losses/penalties.py, and the new
        running mean; both float32 scalars.
    """
    images = jax.eval_shape(apply, zeros)
    _, height, width, _ = images.shape

    def sample_noise(key: Array) -> Array:
        return jax.random.normal(key, images.shape[1:]) / (height * width) ** 0.5

    y = jax.vmap(sample_noise)(keys)
    gradient = jax.grad(lambda w: (apply(w).astype(jnp.float32) * y).sum())(zeros)
    squared = jnp.square(gradient.astype(jnp.float32)).sum(2).mean(1)
    is_zero = squared == 0  # the gradient of the root is then 0, not NaN
    lengths = jnp.where(is_zero, 0.0, jnp.sqrt(jnp.where(is_zero, 1.0, squared)))
    mean_length = lax.stop_gradient(lengths.mean())
    mean_length = lax.pmean(mean_length, axis) if axis else mean_length
    mean = mean + DECAY * (mean_length - mean)
    return jnp.square(lengths - mean).mean(), mean

"""Path length regularisation of a generator (Karras et al. 2020, 1912.04958, sec. 3.2 and app. B).

A step of fixed size in w should change the picture by a fixed amount, whatever w and the direction.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gan_jax import optimizers, schedules
from gan_jax.config import Config
from gan_jax.state import Metrics, Player
from gan_jax.update import lazy_update

DECAY = 0.01  # of the running mean, a call; appendix B


def path_length(
    apply: Callable[[jax.Array], jax.Array],
    zeros: jax.Array,
    keys: jax.Array,
    mean: jax.Array,
    axis: str | None = None,
) -> tuple[jax.Array, jax.Array]:
    """E (|J^T y| - a)^2 (eq. 4), unweighted, and the new running mean a; both float32 scalars.

    `apply` takes what is added to w, `zeros` [n, layers, d], to pictures [n, h, w, c]. J^T y is the
    gradient of sum(pictures * y), y ~ N(0, 1) / sqrt(h w) from the examples' own `keys` [n], and
    its length the root of the mean, over layers, of its squared norm, as in the authors' code.
    `mean` is a before this call. It moves by `DECAY` towards the mean length (over all of `axis`),
    and the lengths are compared with the moved one. The penalty is the mean over the examples at
    hand, as those of gan_jax/penalties.py.

    Deviation: a is a constant for the gradient; the authors' code differentiates its last 1%.
    """
    pictures = jax.eval_shape(apply, zeros)
    _, height, width, _ = pictures.shape

    def draw(key: jax.Array) -> jax.Array:
        return jax.random.normal(key, pictures.shape[1:]) / (height * width) ** 0.5

    y = jax.vmap(draw)(keys)
    slope = jax.grad(lambda w: (apply(w).astype(jnp.float32) * y).sum())(zeros)
    squared = jnp.square(slope.astype(jnp.float32)).sum(2).mean(1)
    flat = squared == 0  # there the root's gradient is 0, not NaN
    lengths = jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, squared)))
    now = lax.stop_gradient(lengths.mean())
    now = lax.pmean(now, axis) if axis else now
    mean = mean + DECAY * (now - mean)
    return jnp.square(lengths - mean).mean(), mean


def update(
    config: Config,
    gen: nn.Module,
    player: Player,
    mean: jax.Array,
    step: jax.Array,
    inputs: tuple[jax.Array, jax.Array, Any],
    axis: str | None,
) -> tuple[Player, jax.Array, Metrics]:
    """The generator and the running mean after the regularisation's own update, which is due at
    every `path_length_every`-th step; and its metrics. `inputs` are z [n, z_dim], the keys [n] of
    the noise y, and cond."""
    z, noise, cond = inputs
    every = config.path_length_every
    zeros = jnp.zeros((len(z), *gen.w_shape))  # pyright: ignore[reportAttributeAccessIssue]

    def objective(params: Any) -> tuple:
        def pictures(added: jax.Array) -> jax.Array:
            variables = {"params": params, **player.stats, "perturbations": {"w": added}}
            return gen.apply(variables, z, cond, train=True, mutable=[*player.stats])[0]

        value, new_mean = path_length(pictures, zeros, noise, mean, axis)
        metrics = {"path_length": value, "mean_path": new_mean}
        return every * schedules.at(config.path_length, step) * value, (player.stats, metrics)

    optimizer = optimizers.make(config.gen_opt, step, every)
    due = (step + 1) % every == 0
    names = ("path_length", "mean_path")
    player, metrics = lazy_update(player, objective, optimizer, axis, due, names)
    mean = jnp.where(due & (metrics["skipped"] == 0), metrics["mean_path"], mean)
    return player, mean, metrics | {"mean_path": mean}

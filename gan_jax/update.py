"""One update of one player: a gradient, an optimiser's step, and what a bad number does to it."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gan_jax.state import Metrics, Player

# Of parameters: value, (new statistics, metrics).
Objective = Callable[[Any], tuple[jax.Array, tuple[Any, Metrics]]]
MEAN = "mean_over_devices"  # in the compiled program, the name of an update's one all-reduce


def mean_over_devices(tree: Any, axis: str | None) -> Any:
    """The mean of each leaf, float32, over the devices of `axis`, in one all-reduce of the leaves
    laid end to end. Left to itself, XLA makes one of each leaf, or of some and of what else is
    summed."""
    if not axis:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    with jax.named_scope(MEAN):
        flat = lax.pmean(jnp.concatenate([leaf.reshape(-1) for leaf in leaves]), axis)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = zip(jnp.split(flat, ends), leaves, strict=True)
    return jax.tree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in parts])


def update(
    player: Player, objective: Objective, optimizer: optax.GradientTransformation, axis: str | None
) -> tuple[Player, Metrics]:
    """The player after one step down the objective's gradient, averaged over the devices of `axis`;
    as it was if anything of the step is not finite. Metrics are the objective's, averaged likewise,
    with the gradient's norm, and skipped, 1 where nothing changed. Statistics are those of all
    devices as the networks hand them out."""
    (_, (stats, metrics)), grads = jax.value_and_grad(objective, has_aux=True)(player.params)
    grads, metrics = mean_over_devices((grads, metrics), axis)
    updates, opt_state = optimizer.update(grads, player.opt_state, player.params)
    updated = Player(optax.apply_updates(player.params, updates), stats, opt_state)
    norm = optax.tree.norm(grads)
    finite = jnp.isfinite(norm) & jnp.isfinite(optax.tree.norm((updated.params, stats)))
    player = jax.tree.map(lambda new, old: jnp.where(finite, new, old), updated, player)
    return player, metrics | {"grad_norm": norm, "skipped": (~finite).astype(jnp.float32)}


def lazy_update(
    player: Player,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    axis: str | None,
    due: jax.Array,
    names: Sequence[str],
) -> tuple[Player, Metrics]:
    """`update` where `due`; elsewhere the player as it is, and zeros for the metrics `names`.

    A lazy term has an update of its own: Karras et al. 2020 (1912.04958), appendix B.
    """
    none = {name: jnp.float32(0) for name in (*names, "grad_norm", "skipped")}
    return lax.cond(
        due,
        lambda player: update(player, objective, optimizer, axis),
        lambda player: (player, none),
        player,
    )


def merged(metrics: Metrics, extra: Metrics) -> Metrics:
    """Of an update and a lazy one after it: `extra`'s terms beside the first one's own; skipped
    where either was."""
    return extra | metrics | {"skipped": jnp.maximum(metrics["skipped"], extra["skipped"])}

"""One update of one player: gradient, optimizer step, and a check that everything is finite.

The gradient may be accumulated over microbatches, one of which is processed at a time. The mean
over them equals that over the whole batch, up to rounding, for objectives that are means over
examples; gan_jax/training/microbatch.py rejects the others.

`optax.microbatching` does not fit: it deals examples out in turn, so a microbatch would no longer
hold whole packs of a PacGAN (nor the sums their order), and every leaf must have a batch axis.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gan_jax.training.state import Metrics, Player

# (params, *examples) -> (value, (new statistics, metrics)).
Objective = Callable[..., tuple[jax.Array, tuple[Any, Metrics]]]
ALL_REDUCE = "mean_over_devices"  # name of an update's one all-reduce in the compiled program


def mean_over_devices(tree: Any, axis: str | None) -> Any:
    """Average the float32 leaves over the devices of `axis` in one all-reduce.

    The leaves are concatenated first: XLA alone would emit one all-reduce for each, or merge some
    with other sums.
    """
    if not axis:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    with jax.named_scope(ALL_REDUCE):
        flat = lax.pmean(jnp.concatenate([leaf.reshape(-1) for leaf in leaves]), axis)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = zip(jnp.split(flat, ends), leaves, strict=True)
    return jax.tree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in parts])


def _split(examples: Any, size: int) -> Any:
    """Reshape leaves [n, ...] to [n/size, size, ...], and repeat scalars, which all share."""
    n = max(len(leaf) for leaf in jax.tree.leaves(examples) if jnp.ndim(leaf))

    def split(leaf: jax.Array) -> jax.Array:
        if jnp.ndim(leaf):
            return leaf.reshape(n // size, size, *leaf.shape[1:])
        return jnp.broadcast_to(leaf, (n // size,))

    return jax.tree.map(split, examples)


def map_in_microbatches(function: Callable[..., Any], size: int, *examples: Any) -> Any:
    """Map a function over a batch, one microbatch at a time.

    Args:
        function: Function of `examples` that treats examples independently.
        size: Examples in a microbatch; 0: all.
        *examples: Pytrees with leaves [n, ...].

    Returns:
        The outputs of the function, leaves [n, ...].
    """
    if not size:
        return function(*examples)
    outputs = lax.map(lambda part: function(*part), _split(examples, size))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs)


def gradient(
    objective: Objective, params: Any, examples: tuple[Any, ...], microbatch: int
) -> tuple[tuple[Any, Metrics], Any]:
    """Differentiate an objective, accumulating over microbatches.

    Args:
        objective: Function (params, *examples) -> (value, (statistics, metrics)).
        params: Parameters with respect to which it is differentiated.
        examples: Pytrees with leaves [n, ...], or scalars that all examples share.
        microbatch: Examples in a microbatch, a divisor of n; 0: all.

    Returns:
        ((statistics, metrics), gradient): the means of all three over the microbatches.
    """
    value_and_grad = jax.value_and_grad(objective, has_aux=True)
    if not microbatch:
        (_, auxiliary), grads = value_and_grad(params, *examples)
        return auxiliary, grads

    def add(sums: Any, part: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, value_and_grad(params, *part)), None

    parts = _split(examples, microbatch)
    first = jax.tree.map(lambda leaf: leaf[0], parts)
    shapes = jax.eval_shape(lambda: value_and_grad(params, *first))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    sums = lax.scan(add, zeros, parts)[0]
    count = len(jax.tree.leaves(parts)[0])
    (_, auxiliary), grads = jax.tree.map(lambda leaf: (leaf / count).astype(leaf.dtype), sums)
    return auxiliary, grads


def update(
    player: Player,
    objective: Objective,
    *,
    optimizer: optax.GradientTransformation,
    axis: str | None,
    examples: tuple[Any, ...] = (),
    microbatch: int = 0,
) -> tuple[Player, Metrics]:
    """Take one optimizer step on an objective; skip it if anything is not finite.

    Args:
        player: The player before the update.
        objective: Function (params, *examples) -> (value, (statistics, metrics)).
        optimizer: Transformation of the gradient.
        axis: Mapped device axis over which gradient and metrics are averaged. The statistics must
            be those of all devices already.
        examples: Pytrees with leaves [n, ...], or scalars that all examples share.
        microbatch: Examples to process at a time; 0: all.

    Returns:
        The updated player, and the metrics of the objective with `grad_norm`, the norm of the
        gradient, and `skipped`, 1 if the player is unchanged because of a non-finite number.
    """
    (stats, metrics), grads = gradient(objective, player.params, examples, microbatch)
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
    *,
    due: jax.Array,
    names: Sequence[str],
    **arguments: Any,
) -> tuple[Player, Metrics]:
    """Take the extra update of a lazy term where it is due (1912.04958, appendix B).

    Args:
        player: The player before the update.
        objective: Function (params, *examples) -> (value, (statistics, metrics)).
        due: Whether to update, a scalar bool.
        names: Names of the objective's metrics, which are zero where the update is not due.
        **arguments: Further arguments of `update`.

    Returns:
        The player and the metrics, as `update` returns them.
    """
    zeros = {name: jnp.float32(0) for name in (*names, "grad_norm", "skipped")}
    return lax.cond(
        due,
        lambda player: update(player, objective, **arguments),
        lambda player: (player, zeros),
        player,
    )


def merge_metrics(metrics: Metrics, lazy: Metrics) -> Metrics:
    """Add a lazy update's metrics to those of the update before it; skipped if either was."""
    return lazy | metrics | {"skipped": jnp.maximum(metrics["skipped"], lazy["skipped"])}

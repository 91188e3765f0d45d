"""Update of one player: gradient, optimizer step, and a check that all numbers are finite.

The gradient may be accumulated over microbatches, processed one after another. Their mean equals
the gradient over the whole batch, up to rounding, for objectives that are means over examples;
gan_jax/training/microbatch.py rejects the others.

`optax.microbatching` does not fit. It assigns examples to microbatches in turn, which would split
the packs of a PacGAN and reorder the sums, and it requires a batch axis on every leaf.
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
ObjectiveFn = Callable[..., tuple[jax.Array, tuple[Any, Metrics]]]
ALL_REDUCE = "mean_over_devices"  # scope of the only all-reduce of an update, in the compiled HLO


def mean_over_devices(tree: Any, axis: str | None) -> Any:
    """Average a tree of float32 leaves over the devices of `axis` in a single all-reduce.

    The leaves are concatenated first. Otherwise XLA emits one all-reduce per leaf, or merges some
    of them with other reductions. Without an axis the tree is returned unchanged.
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
    """Reshape leaves [n, ...] to [n/size, size, ...], and broadcast scalars to [n/size]."""
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
        size: Examples per microbatch, a divisor of n; 0 for the whole batch.
        *examples: Pytrees with leaves [n, ...].

    Returns:
        The outputs of the function, leaves [n, ...].

    Example:
        >>> map_in_microbatches(lambda x: x + 1, 2, jnp.arange(6)).tolist()
        [1, 2, 3, 4, 5, 6]
    """
    if not size:
        return function(*examples)
    outputs = lax.map(lambda microbatch: function(*microbatch), _split(examples, size))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs)


def gradient(
    objective: ObjectiveFn, params: Any, examples: tuple[Any, ...], microbatch: int
) -> tuple[tuple[Any, Metrics], Any]:
    """Compute the gradient of an objective, accumulated over microbatches.

    Args:
        objective: Function (params, *examples) -> (value, (statistics, metrics)).
        params: Parameters to differentiate with respect to.
        examples: Pytrees with leaves [n, ...], or scalars shared by all examples.
        microbatch: Examples per microbatch, a divisor of n; 0 for the whole batch.

    Returns:
        ((statistics, metrics), gradient), each the mean over the microbatches.

    Example:
        >>> def squared_error(w, x):
        ...     loss = jnp.square(w * x - 1).mean()
        ...     return loss, ({}, {"loss": loss})
        >>> (_, metrics), slope = gradient(squared_error, 2.0, (jnp.arange(4.0),), microbatch=2)
        >>> float(metrics["loss"]), float(slope)
        (9.0, 11.0)
    """
    value_and_grad = jax.value_and_grad(objective, has_aux=True)
    if not microbatch:
        (_, auxiliary), grads = value_and_grad(params, *examples)
        return auxiliary, grads

    def add_gradient(sums: Any, examples: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, value_and_grad(params, *examples)), None

    microbatches = _split(examples, microbatch)
    first = jax.tree.map(lambda leaf: leaf[0], microbatches)
    shapes = jax.eval_shape(lambda: value_and_grad(params, *first))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    sums = lax.scan(add_gradient, zeros, microbatches)[0]
    count = len(jax.tree.leaves(microbatches)[0])
    (_, auxiliary), grads = jax.tree.map(lambda leaf: (leaf / count).astype(leaf.dtype), sums)
    return auxiliary, grads


def update(
    player: Player,
    objective: ObjectiveFn,
    *,
    optimizer: optax.GradientTransformation,
    axis: str | None,
    examples: tuple[Any, ...] = (),
    microbatch: int = 0,
) -> tuple[Player, Metrics]:
    """Take one optimizer step on an objective, unless a number is not finite.

    Args:
        player: Player before the update.
        objective: Function (params, *examples) -> (value, (statistics, metrics)).
        optimizer: Optax gradient transformation.
        axis: Mapped device axis over which gradient and metrics are averaged; None on one device.
            The statistics must already be reduced over the devices.
        examples: Pytrees with leaves [n, ...], or scalars shared by all examples.
        microbatch: Examples per microbatch, a divisor of n; 0 for the whole batch.

    Returns:
        The updated player, and the metrics of the objective with two more: `grad_norm`, the norm of
        the gradient, and `skipped`, 1 if a non-finite number left the player unchanged.

    Example:
        >>> player = Player(jnp.float32(0), {}, optax.sgd(0.5).init(jnp.float32(0)))
        >>> def objective(w):
        ...     return (w - 3) ** 2, ({}, {})
        >>> player, metrics = update(player, objective, optimizer=optax.sgd(0.5), axis=None)
        >>> float(player.params), float(metrics["skipped"])
        (3.0, 0.0)
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
    objective: ObjectiveFn,
    *,
    due: jax.Array,
    names: Sequence[str],
    **arguments: Any,
) -> tuple[Player, Metrics]:
    """Take the additional update of a lazy term if it is due (1912.04958, appendix B).

    Args:
        player: Player before the update.
        objective: Function (params, *examples) -> (value, (statistics, metrics)).
        due: Scalar bool, true if the update takes place.
        names: Names of the objective's metrics, which are zero if the update is not due.
        **arguments: Further arguments of `update`.

    Returns:
        The player and the metrics, as returned by `update`.
    """
    zeros = {name: jnp.float32(0) for name in (*names, "grad_norm", "skipped")}
    return lax.cond(
        due,
        lambda player: update(player, objective, **arguments),
        lambda player: (player, zeros),
        player,
    )


def merge_metrics(metrics: Metrics, lazy: Metrics) -> Metrics:
    """Add the metrics of a lazy update; the step counts as skipped if either update was.

    `grad_norm` remains that of the main update; the lazy update's is dropped.
    """
    return lazy | metrics | {"skipped": jnp.maximum(metrics["skipped"], lazy["skipped"])}

"""One update of one player: a gradient, an optimiser's step, and what a bad number does to it.

The gradient may be gathered over microbatches, of which only one is worked on at a time. The mean
over these is the mean over the whole batch, to rounding, for what is a mean over examples: see
gan_jax/microbatch.py, which refuses the rest.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gan_jax.state import Metrics, Player

# Of parameters and examples: value, (new statistics, metrics).
Objective = Callable[..., tuple[jax.Array, tuple[Any, Metrics]]]
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


def _cut(examples: Any, size: int) -> Any:
    """Leaves [n, ...] as [n/size, size, ...]; scalars, which all examples share, [n/size]."""
    n = max(len(leaf) for leaf in jax.tree.leaves(examples) if jnp.ndim(leaf))

    def cut(leaf: jax.Array) -> jax.Array:
        if jnp.ndim(leaf):
            return leaf.reshape(n // size, size, *leaf.shape[1:])
        return jnp.broadcast_to(leaf, (n // size,))

    return jax.tree.map(cut, examples)


def apart(function: Callable[..., Any], size: int, *examples: Any) -> Any:
    """function(*examples), leaves [n, ...] as those of the examples, by `size` at a time (0: all);
    of a function that does to each example the same, whatever the others are."""
    if not size:
        return function(*examples)
    found = lax.map(lambda part: function(*part), _cut(examples, size))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)


def gradient(
    objective: Objective, params: Any, examples: tuple[Any, ...], size: int
) -> tuple[tuple[Any, Metrics], Any]:
    """(new statistics, metrics), and the gradient of objective(params, *examples); of microbatches
    of `size` examples the means of all three (0: of all at once). Leaves of the examples are
    [n, ...], or scalars that all share; `size` divides n."""
    of_part = jax.value_and_grad(objective, has_aux=True)
    if not size:
        (_, found), grads = of_part(params, *examples)
        return found, grads

    def add(sums: Any, part: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, of_part(params, *part)), None

    parts = _cut(examples, size)
    shapes = jax.eval_shape(lambda: of_part(params, *jax.tree.map(lambda leaf: leaf[0], parts)))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    sums = lax.scan(add, zeros, parts)[0]
    count = len(jax.tree.leaves(parts)[0])
    (_, found), grads = jax.tree.map(lambda leaf: (leaf / count).astype(leaf.dtype), sums)
    return found, grads


def update(
    player: Player,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    axis: str | None,
    examples: tuple[Any, ...] = (),
    size: int = 0,
) -> tuple[Player, Metrics]:
    """The player after one step down the gradient of objective(params, *examples), averaged over
    the devices of `axis`; as it was if anything of the step is not finite. Examples are worked on
    by `size` at a time, as `gradient` does. Metrics are the objective's, averaged likewise, with
    the gradient's norm, and skipped, 1 where nothing changed. Statistics are those of all devices
    as the networks hand them out."""
    (stats, metrics), grads = gradient(objective, player.params, examples, size)
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
    examples: tuple[Any, ...] = (),
    size: int = 0,
) -> tuple[Player, Metrics]:
    """`update` where `due`; elsewhere the player as it is, and zeros for the metrics `names`.

    A lazy term has an update of its own: Karras et al. 2020 (1912.04958), appendix B.
    """
    none = {name: jnp.float32(0) for name in (*names, "grad_norm", "skipped")}
    return lax.cond(
        due,
        lambda player: update(player, objective, optimizer, axis, examples, size),
        lambda player: (player, none),
        player,
    )


def merged(metrics: Metrics, extra: Metrics) -> Metrics:
    """Of an update and a lazy one after it: `extra`'s terms beside the first one's own; skipped
    where either was."""
    return extra | metrics | {"skipped": jnp.maximum(metrics["skipped"], extra["skipped"])}

"""Training of many classifiers in one program, each with separate images and seed."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Int, UInt8

from gan_jax.core import keys
from gan_jax.metrics.features.classifier_training import (
    Network,
    Recipe,
    State,
    make_network,
    make_program,
    run_program,
)


@functools.lru_cache(2)
def _ensemble_program(
    recipe: Recipe, classes: int, shape: tuple[int, ...], total: int, max_concurrent: int
) -> tuple[Callable, Callable]:
    """Make the program that trains `max_concurrent` networks at a time.

    It is compiled once for all data sets of the same shapes.
    """
    init, chunk = make_program(recipe, make_network(recipe, classes), shape, total)

    def chunks(states: State, roots: jax.Array, count: jax.Array, images: Any, labels: Any):
        group = max_concurrent if max_concurrent > 1 else None
        train = lambda network: chunk(network[0], network[1], count, *network[2:])  # noqa: E731
        return lax.map(train, (states, roots, images, labels), batch_size=group)

    return jax.jit(jax.vmap(init)), jax.jit(chunks)


def fit_many(
    recipe: Recipe,
    images: UInt8[np.ndarray, "m n h w c"],
    labels: Int[np.ndarray, "m n"],
    classes: int,
    seeds: Sequence[int],
    *,
    max_concurrent: int | None = None,
    quiet: bool = False,
) -> tuple[Network, dict[str, Any]]:
    """Train m networks in one program, as `classifier_training.fit` trains each.

    Args:
        recipe: Training recipe.
        images: Training images of each network.
        labels: Labels of the images, from 0 to `classes` - 1.
        classes: Number of classes.
        seeds: Seed of each network.
        max_concurrent: Number of networks trained concurrently. None: all, but one on CPUs, where
            products batched over networks are slower.
        quiet: Whether to hide the progress bar.

    Returns:
        The network, and variables with leaves [m, ...].
    """
    max_concurrent = max_concurrent or (1 if jax.default_backend() == "cpu" else len(seeds))
    shape, total = images.shape[2:], images.shape[1]
    init, chunk = _ensemble_program(recipe, classes, shape, total, max_concurrent)
    roots = jnp.stack([keys.root_key(seed) for seed in seeds])
    data = jnp.asarray(images), jnp.asarray(labels, jnp.int32)
    step = lambda states, count: chunk(states, roots, count, *data)  # noqa: E731
    variables = run_program(recipe, total, init(roots), step, len(seeds), quiet=quiet)
    return make_network(recipe, classes), variables

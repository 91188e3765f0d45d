"""Many classifiers in one program, each on pictures and with a seed of its own."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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
def _program_of_many(
    recipe: Recipe, classes: int, shape: tuple[int, ...], total: int, at_once: int
) -> tuple[Callable, Callable]:
    """As `program`, of many keys and sets, `at_once` at a time; compiled once for all sets of the
    same shapes."""
    init, chunk = make_program(recipe, make_network(recipe, classes), shape, total)

    def chunks(states: State, roots: jax.Array, count: jax.Array, images: Any, labels: Any):
        group = at_once if at_once > 1 else None
        train = lambda network: chunk(network[0], network[1], count, *network[2:])  # noqa: E731
        return lax.map(train, (states, roots, images, labels), batch_size=group)

    return jax.jit(jax.vmap(init)), jax.jit(chunks)


def fit_many(
    recipe: Recipe,
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    seeds: Sequence[int],
    *,
    max_concurrent: int | None = None,
    quiet: bool = False,
) -> tuple[Network, dict[str, Any]]:
    """As `fit`, of a set and a seed for each of m networks, in one program: images uint8
    [m, n, h, w, c], labels [m, n], variables with leaves [m, ...].

    `at_once` of them train at a time; by default all, but on CPUs one, where products batched over
    networks are the slower ones.
    """
    max_concurrent = max_concurrent or (1 if jax.default_backend() == "cpu" else len(seeds))
    shape, total = images.shape[2:], images.shape[1]
    init, chunk = _program_of_many(recipe, classes, shape, total, max_concurrent)
    roots = jnp.stack([keys.root_key(seed) for seed in seeds])
    data = jnp.asarray(images), jnp.asarray(labels, jnp.int32)
    step = lambda states, count: chunk(states, roots, count, *data)  # noqa: E731
    found = run_program(recipe, total, init(roots), step, len(seeds), quiet=quiet)
    return make_network(recipe, classes), found

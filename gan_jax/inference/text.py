"""Samples of a generator of sequences, as tokens and as text; and how likely it finds others."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import Config, TextData
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data.text import corpus

_BATCH = 128  # examples in one program


@functools.partial(jax.jit, static_argnums=0)
def _generate(
    gen: Any, variables: Any, key: jax.Array, index: jax.Array, temperature: jax.Array
) -> jax.Array:
    z = keys.latents(keys.indexed_keys(key, index), 2, "key")
    rows = gen.apply(variables, z, train=False, temperature=temperature)
    return rows.argmax(-1).astype(jnp.uint16)


@functools.partial(jax.jit, static_argnums=0)
def _likelihood(gen: Any, variables: Any, rows: jax.Array, temperature: jax.Array) -> jax.Array:
    real = corpus.one_hot(rows, gen.vocabulary)
    return gen.apply(variables, real, train=False, temperature=temperature, method="log_likelihood")


def sample(
    config: Config, variables: Any, key: jax.Array, n: int, temperature: float = 1.0
) -> np.ndarray:
    """`n` samples, of logits divided by `temperature`, uint16 [n, t]; at 1 those of
    `sampling.sample`. Raises UserError where n < 1 or the temperature is not above 0."""
    if n < 1:
        raise UserError(f"{n} samples asked for: it must be at least 1")
    if not 0 < temperature < float("inf"):
        raise UserError(f"temperature is {temperature}: it must be above 0")
    made = [
        np.asarray(
            _generate(config.gen, variables, key, np.arange(first, first + _BATCH), temperature)
        )
        for first in range(0, n, _BATCH)
    ]
    return np.concatenate(made)[:n]


def log_likelihood(
    gen: Any, variables: Any, rows: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
    """log p of each row of tokens uint16 [n, t] under a generator, nats, float64 [n]."""
    whole = -(-len(rows) // _BATCH) * _BATCH
    filled = rows[np.arange(whole) % len(rows)]
    parts = [
        np.asarray(_likelihood(gen, variables, filled[first : first + _BATCH], temperature))
        for first in range(0, whole, _BATCH)
    ]
    return np.concatenate(parts)[: len(rows)].astype(np.float64)


def detokenize(config: Config, rows: np.ndarray, vocabulary: Sequence[str]) -> str:
    """Rows of tokens uint16 [n, t] as lines of text."""
    assert isinstance(config.data, TextData)
    lines = corpus.detokenize(rows, vocabulary, config.data.level)
    return "".join(line + "\n" for line in lines)

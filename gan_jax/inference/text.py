"""Sampling from generators of sequences, and likelihoods of sequences."""

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
    """Generate sequences of tokens.

    Args:
        config: Config of the run.
        variables: Variables of its generator.
        key: PRNG key.
        n: Number of sequences.
        temperature: Softmax temperature. At 1 the samples are those of `sampling.sample`.

    Returns:
        Tokens, uint16 [n, t].

    Raises:
        UserError: If `n` is below 1, or the temperature is not positive and finite.
    """
    if n < 1:
        raise UserError(f"n must be at least 1, got {n}")
    if not 0 < temperature < float("inf"):
        raise UserError(f"temperature must be above 0 and finite, got {temperature}")
    batches = [
        np.asarray(
            _generate(config.gen, variables, key, np.arange(first, first + _BATCH), temperature)
        )
        for first in range(0, n, _BATCH)
    ]
    return np.concatenate(batches)[:n]


def log_likelihood(
    gen: Any, variables: Any, rows: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
    """Compute the log-likelihood of sequences under a generator.

    Args:
        gen: Generator.
        variables: Variables of the generator.
        rows: Tokens, uint16 [n, t].
        temperature: Softmax temperature.

    Returns:
        Log-likelihoods in nats, float64 [n].
    """
    padded_count = -(-len(rows) // _BATCH) * _BATCH
    padded = rows[np.arange(padded_count) % len(rows)]
    batches = [
        np.asarray(_likelihood(gen, variables, padded[first : first + _BATCH], temperature))
        for first in range(0, padded_count, _BATCH)
    ]
    return np.concatenate(batches)[: len(rows)].astype(np.float64)


def detokenize(config: Config, rows: np.ndarray, vocabulary: Sequence[str]) -> str:
    """Convert sequences of tokens into lines of text.

    Args:
        config: Config of the run.
        rows: Tokens, uint16 [n, t].
        vocabulary: Strings of the tokens.

    Returns:
        Text with one line for each sequence.
    """
    assert isinstance(config.data, TextData)
    lines = corpus.detokenize(rows, vocabulary, config.data.level)
    return "".join(line + "\n" for line in lines)

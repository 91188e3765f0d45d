"""SeqGAN's synthetic data: samples of an LSTM with random parameters.

The LSTM computes the likelihood of any sequence, so the distribution of the data is known.

Yu et al. 2017 (1609.05473), sec. 4.1: parameters from N(0, 1), sequences of 20 of 5000 tokens.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax.config import TextData
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.networks import lstm

EXAMPLES = 10_000  # per split
SEED = 0  # seed of the parameters, which are fixed: independent of the seed of a run
BATCH = 500


def oracle_variables(length: int, vocabulary: int) -> Any:
    """Initialize `lstm.oracle_generator`, equally on every machine up to float tolerance.

    Args:
        length: Number of tokens of a sequence.
        vocabulary: Number of entries of the vocabulary.
    """
    network = lstm.oracle_generator(length, vocabulary)
    init = functools.partial(network.init, train=False)
    return jax.jit(init)(keys.root_key(SEED), keys.dummy_latents(1, 2, "key"))


def read(data: TextData) -> tuple[np.ndarray, tuple[str, ...]]:
    """Sample the split `train` or `test` of 10,000 sequences each.

    Returns:
        Tokens uint16 [n, data.tokens], and the vocabulary, which has the numbers of the tokens
        without entries for the end and for unknown tokens.

    Raises:
        UserError: If the set has no such split.
    """
    splits = {"train": 0, "test": 1}
    if data.split not in splits:
        raise UserError(f"data.split must be one of {', '.join(splits)}, got {data.split!r}")
    network = lstm.oracle_generator(data.tokens, data.vocabulary)
    root = keys.step_key(keys.root_key(SEED), keys.Purpose.SAMPLE, splits[data.split])

    def sample(parameters: Any, index: jax.Array) -> jax.Array:
        latents = keys.latents(keys.indexed_keys(root, index), 2, "key")
        rows = network.apply(parameters, latents, train=False)
        return jnp.asarray(rows).argmax(-1).astype(jnp.uint16)

    parameters, index = oracle_variables(data.tokens, data.vocabulary), jnp.arange(EXAMPLES)
    batches = index.reshape(-1, BATCH)
    rows = np.asarray(jax.jit(lambda p: lax.map(functools.partial(sample, p), batches))(parameters))
    return rows.reshape(EXAMPLES, data.tokens), tuple(map(str, range(data.vocabulary)))

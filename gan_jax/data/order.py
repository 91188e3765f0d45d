"""The order of training examples, a pure function of (key, step) without any state.

Each epoch visits the set in its own random permutation, and batches continue across the ends of
epochs. So each example is used once an epoch and none is dropped. The permutation is not stored but
computed point by point, at any step, on any device, in a compiled program: a Feistel network of
twelve rounds on the smallest even number of bits that holds the set (Luby & Rackoff 1988), iterated
until the point lands inside the set (cycle walking, Black & Rogaway 2002, sec. 3).

Twelve rounds are for the sake of small sets. For four points the distribution of the permutation,
computed exactly, is within 0.1 % of uniform (six rounds: 6 %). The 120 and 720 permutations of five
and six points are, over 4e6 keys, 0.5 % off in the mean. A chi-square test of the positions of two
neighbors in sets of 16, 17 and 100 finds no deviation over 1e6 keys from ten rounds on. On 4 bits
or more a Feistel network is an even permutation for any number of rounds. A final coin flip, which
swaps the points 0 and 1, corrects that (without it, the permutations of five points stay 8 % off).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Int, Key, UInt32

from gan_jax.core.keys import Purpose

ROUNDS = 12


def _hash(x: Any) -> Any:
    """Mix uint32 bijectively so that each input bit flips half of the bits (murmur3)."""
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def _secrets(key: jax.Array) -> jax.Array:
    """Return the round keys and, in the lowest bit of the last entry, the coin."""
    return jax.random.bits(key, (ROUNDS + 1,), jnp.uint32)


@jax.jit
def _epoch_secrets(key: jax.Array, epochs: jax.Array) -> jax.Array:
    """Return the secrets [n, ROUNDS+1] of epochs uint32 [n] of the run with root key `key`."""
    order = jax.random.fold_in(key, Purpose.DATA_ORDER)
    return jax.vmap(lambda epoch: _secrets(jax.random.fold_in(order, epoch)))(epochs)


def _network(secrets: Any, x: Any, size: int) -> Any:
    """Pass the points `x`, uint32 arrays of JAX or numpy, through the Feistel network once."""
    bits = max((size - 1).bit_length() + 1, 2) // 2
    low = np.uint32((1 << bits) - 1)
    *round_keys, coin = secrets
    left, right = x >> bits, x & low
    for round_key in round_keys:
        left, right = right, left ^ (_hash(right ^ round_key) & low)
    x = (left << bits) | right
    return x ^ ((x < 2) * (coin & 1))


def _walk(secrets: jax.Array, positions: jax.Array, size: int) -> jax.Array:
    """Permute `positions` by `secrets` [ROUNDS+1] or [ROUNDS+1, *positions.shape]."""

    def pass_again(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, outside = carry
        x = jnp.where(outside, _network(secrets, x, size), x)
        return x, x >= size

    start = (positions, jnp.ones(positions.shape, bool))
    return lax.while_loop(lambda carry: carry[1].any(), pass_again, start)[0]


def permuted_positions(
    key: Key[Array, ""], positions: UInt32[Array, "*shape"], size: int
) -> UInt32[Array, "*shape"]:
    """Apply the random permutation of range(size) that `key` selects.

    Args:
        key: PRNG key of the permutation.
        positions: Numbers below `size`.
        size: Number of elements, from 1 to 2^31 - 1.

    Returns:
        The images of `positions` under the permutation.

    Example:
        >>> permutation = permuted_positions(jax.random.key(0), jnp.arange(5, dtype=jnp.uint32), 5)
        >>> sorted(permutation.tolist())
        [0, 1, 2, 3, 4]
    """
    return _walk(_secrets(key), positions, size)


def indices(
    key: Key[Array, ""], step: ArrayLike, n_critic: int, batch: int, examples: int
) -> Int[Array, "{n_critic} {batch}"]:
    """Return the indices of the examples of one training step.

    Exact while fewer than 2^32 examples have been used.

    Args:
        key: Root key of the run.
        step: Number of the step.
        n_critic: Number of discriminator updates per step.
        batch: Batch size.
        examples: Number of examples in the set.

    Returns:
        Indices int32 [n_critic, batch].

    Example:
        >>> indices(jax.random.key(0), 7, n_critic=2, batch=4, examples=100).shape
        (2, 4)
    """
    n = n_critic * batch
    start = jnp.asarray(step).astype(jnp.uint32) * jnp.uint32(n)
    epochs = start // examples + jnp.arange((n - 1) // examples + 2, dtype=jnp.uint32)
    secrets = _epoch_secrets(key, epochs)
    positions = start % examples + jnp.arange(n, dtype=jnp.uint32)  # from the first epoch's start
    chosen = _walk(secrets[positions // examples].T, positions % examples, examples)
    return chosen.reshape(n_critic, batch).astype(jnp.int32)


def epoch_secrets(key: Key[Array, ""], epochs: range) -> UInt32[np.ndarray, "epochs secrets"]:
    """Return the secrets of the permutations of `epochs`, for `host_indices`.

    Args:
        key: Root key of the run.
        epochs: Consecutive epochs.

    Returns:
        The round keys and the coin of each epoch, uint32 [epochs, ROUNDS+1].
    """
    return np.asarray(_epoch_secrets(key, np.arange(epochs.start, epochs.stop, dtype=np.uint32)))


def host_indices(
    secrets: UInt32[np.ndarray, "epochs secrets"],
    first_epoch: int,
    steps: range,
    n_critic: int,
    batch: int,
    examples: int,
) -> Int[np.ndarray, "steps {n_critic} {batch}"]:
    """Return the `indices` of several steps, for processes that must not use JAX.

    Args:
        secrets: Secrets of the epochs from `first_epoch` on, from `epoch_secrets`.
        first_epoch: Epoch of the first row of `secrets`.
        steps: Consecutive steps.
        n_critic: Number of discriminator updates per step.
        batch: Batch size.
        examples: Number of examples in the set.

    Returns:
        Indices int64 [steps, n_critic, batch].
    """
    n = n_critic * batch
    count = np.arange(steps.start * n, steps.stop * n)
    point_secrets = secrets[count // examples - first_epoch].T
    x = (count % examples).astype(np.uint32)
    outside = np.arange(len(x))
    while len(outside):
        x[outside] = _network(point_secrets[:, outside], x[outside], examples)
        outside = outside[x[outside] >= examples]
    return x.astype(np.int64).reshape(len(steps), n_critic, batch)

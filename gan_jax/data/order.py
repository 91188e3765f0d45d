"""The order of examples, as a pure function of (key, step): nothing to save, nothing to skip.

Epoch e goes through the set in a permutation of its own, and batches run on over the ends of
epochs, so every example is seen once an epoch and none is dropped. The permutation is not stored but
computed point by point, so that it can be had anywhere, at any step, in a compiled program: a
Feistel network of six rounds on the smallest even number of bits that holds the set (Luby & Rackoff
1988), walked until it lands inside (Black & Rogaway 2002, sec. 3).
"""

import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.keys import Purpose

ROUNDS = 6


def _hash(x: jax.Array) -> jax.Array:
    """A bijection of uint32 that flips about half of the bits for each that changes (murmur3)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def permute(key: jax.Array, place: jax.Array, size: int) -> jax.Array:
    """Where the permutation of range(size) that `key` picks sends `place`, a uint32 scalar below size."""
    if size == 1:
        return place
    bits = ((size - 1).bit_length() + 1) // 2
    low = jnp.uint32((1 << bits) - 1)
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)

    def network(x: jax.Array) -> jax.Array:
        left, right = x >> bits, x & low
        for round_key in round_keys:
            left, right = right, left ^ (_hash(right ^ round_key) & low)
        return (left << bits) | right

    return lax.while_loop(lambda x: x >= size, network, network(place))


def indices(key: jax.Array, step: jax.Array, n_critic: int, batch: int, examples: int) -> jax.Array:
    """Indices int32 [n_critic, batch] into a set of `examples`, of the run with root key `key`.

    Exact while fewer than 2^32 examples have been seen.
    """
    order = jax.random.fold_in(key, Purpose.DATA_ORDER)
    seen = jnp.asarray(step).astype(jnp.uint32) * jnp.uint32(n_critic * batch)
    places = seen + jnp.arange(n_critic * batch, dtype=jnp.uint32)

    def index(place: jax.Array) -> jax.Array:
        return permute(jax.random.fold_in(order, place // examples), place % examples, examples)

    return jax.vmap(index)(places).reshape(n_critic, batch).astype(jnp.int32)

"""All randomness of a run: one root key, then purpose, step, iteration and global example index.

Nothing else in a run draws but the data sets that are made here, from seeds of their own. So what
is random at step t can be had without the steps before it, does not depend on how a batch is cut
over devices, and needs no state but the root key.
"""

import enum

import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.core.errors import UserError


class Purpose(enum.IntEnum):
    """What randomness is drawn for. Append only: a number, once used, fixes published runs."""

    INIT_GEN = 0
    INIT_DISC = 1
    DATA_ORDER = 2
    CRITIC_Z = 3
    PENALTY = 4
    GEN_Z = 5
    GRID = 6
    SAMPLE = 7
    AUGMENT = 8
    AUGMENT_FAKE = 9
    PATH_LENGTH = 10
    MASK = 11


def root_key(seed: int) -> jax.Array:
    """The root key of a run, or of a command's samples. Threefry, whatever JAX's default is: with
    some others a draw depends on what else is in the batch."""
    return jax.random.key(seed, impl="threefry2x32")


def sample_key(seed: int) -> jax.Array:
    """The key of a command's samples. Raises UserError for a seed that is none: some others would
    silently be the same as one below 2^32."""
    if not 0 <= seed < 2**32:
        raise UserError(f"seed is {seed}: it must be from 0 to 4294967295")
    return step_key(root_key(seed), Purpose.SAMPLE, 0)


def step_key(
    key: jax.Array, purpose: Purpose, step: jax.Array | int, iteration: jax.Array | int = 0
):
    """The key of one purpose at one step (and critic iteration)."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, purpose), step), iteration)


def indexed_keys(key: jax.Array, index: jax.Array) -> jax.Array:
    """Keys [n] of the examples with the global indices `index` [n]."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def example_keys(key: jax.Array, n: int, axis: str | None = None) -> jax.Array:
    """Keys [n], one per example, by its *global* index: on device d of `axis`, d*n to d*n + n-1."""
    first = lax.axis_index(axis) * n if axis else 0
    return indexed_keys(key, first + jnp.arange(n))


def latents(keys: jax.Array, dim: int, distribution: str) -> jax.Array:
    """z [n, dim], one row per key: float32 `normal` N(0, 1) or `uniform` on [-1, 1); or the `key`
    itself, uint32 [n, 2], for a network that draws as it goes (`of_latents` is the way back)."""
    if distribution == "key":
        return jax.random.key_data(keys)
    if distribution == "uniform":
        return jax.vmap(lambda key: jax.random.uniform(key, (dim,), jnp.float32, -1.0))(keys)
    return jax.vmap(lambda key: jax.random.normal(key, (dim,), jnp.float32))(keys)


def dummy_latents(n: int, dim: int, distribution: str) -> jax.Array:
    """Zeros of the shape and dtype of `latents`."""
    return jnp.zeros((n, dim), jnp.uint32 if distribution == "key" else jnp.float32)


def keys_from_latents(z: jax.Array) -> jax.Array:
    """The keys [n] that the law `key` made z [n, 2] of."""
    return jax.random.wrap_key_data(z, impl="threefry2x32")

"""PRNG keys of a run: a root key, folded with purpose, step, iteration, and example.

All random numbers of a run come from these keys, except those of synthetic data sets, which have
seeds of their own. So the random numbers of step t can be computed without the steps before it, do
not depend on how a batch is divided among devices, and need no state but the root key.
"""

import enum

import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.core.errors import UserError


class Purpose(enum.IntEnum):
    """Uses of random numbers. Append only: published runs depend on the numbers in use."""

    INIT_GEN = 0
    INIT_DISC = 1
    DATA_ORDER = 2
    DISC_Z = 3
    PENALTY = 4
    GEN_Z = 5
    GRID = 6
    SAMPLE = 7
    AUGMENT = 8
    AUGMENT_FAKE = 9
    PATH_LENGTH = 10
    MASK = 11


def root_key(seed: int) -> jax.Array:
    """Return the root key of a run, or of the samples of a command.

    It is a Threefry key, whatever JAX's default is: with some other generators a random number
    depends on the rest of the batch.

    Example:
        >>> root_key(0)
        Array((), dtype=key<fry>) overlaying:
        [0 0]
    """
    return jax.random.key(seed, impl="threefry2x32")


def sample_key(seed: int) -> jax.Array:
    """Return the key of the samples of a command.

    Args:
        seed: Integer from 0 to 2^32 - 1.

    Returns:
        The key.

    Raises:
        UserError: If the seed is out of range. JAX would wrap it silently.
    """
    if not 0 <= seed < 2**32:
        raise UserError(f"seed must be from 0 to 4294967295, got {seed}")
    return step_key(root_key(seed), Purpose.SAMPLE, 0)


def step_key(
    key: jax.Array, purpose: Purpose, step: jax.Array | int, iteration: jax.Array | int = 0
) -> jax.Array:
    """Return the key of one purpose at one step.

    Args:
        key: Root key.
        purpose: Use of the random numbers.
        step: Train step.
        iteration: Discriminator update of the step.

    Returns:
        The key, the same for every example of the batch.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, purpose), step), iteration)


def indexed_keys(key: jax.Array, indices: jax.Array) -> jax.Array:
    """Return keys [n] of the examples with the global indices `indices` [n]."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, indices)


def example_keys(key: jax.Array, n: int, axis: str | None = None) -> jax.Array:
    """Return one key for each example, by its global index.

    Args:
        key: Key of a step.
        n: Number of examples on a device.
        axis: Name of the device axis. Device d has the examples d*n to d*n + n - 1.

    Returns:
        Keys [n].

    Example:
        >>> example_keys(root_key(0), 4).shape
        (4,)
    """
    first = lax.axis_index(axis) * n if axis else 0
    return indexed_keys(key, first + jnp.arange(n))


def latents(keys: jax.Array, dim: int, distribution: str) -> jax.Array:
    """Sample one latent vector for each key.

    Args:
        keys: Keys [n].
        dim: Dimension of a latent vector.
        distribution: `normal` for N(0, 1); `uniform` for U[-1, 1); `key` for the two words of the
            key itself, for networks that sample their own noise (see `keys_from_latents`).

    Returns:
        z [n, dim], float32; with `key` uint32 [n, 2].

    Example:
        >>> latents(example_keys(root_key(0), 4), 16, "normal").shape
        (4, 16)
    """
    if distribution == "key":
        return jax.random.key_data(keys)
    if distribution == "uniform":
        return jax.vmap(lambda key: jax.random.uniform(key, (dim,), jnp.float32, -1.0))(keys)
    return jax.vmap(lambda key: jax.random.normal(key, (dim,), jnp.float32))(keys)


def dummy_latents(n: int, dim: int, distribution: str) -> jax.Array:
    """Return zeros with the shape and dtype of `latents`.

    Args:
        n: Number of latent vectors.
        dim: Dimension of a latent vector.
        distribution: Distribution, as for `latents`.

    Returns:
        Zeros [n, dim], float32, or uint32 with `key`.
    """
    return jnp.zeros((n, dim), jnp.uint32 if distribution == "key" else jnp.float32)


def keys_from_latents(z: jax.Array) -> jax.Array:
    """Return the keys [n] that the distribution `key` turned into z [n, 2]."""
    return jax.random.wrap_key_data(z, impl="threefry2x32")

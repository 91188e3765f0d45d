"""Batches for training, from a data set that is resident on the devices or streamed.

Either way step t trains on the examples that `order.indices` returns for t, bit for bit. A resident
set is replicated on every device, and the compiled program gathers from it. Of a streamed set the
devices hold a block of steps, and the host gathers the next block while they train.
"""

import contextlib
import functools
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int

from gan_jax.config import Config, TextData, population
from gan_jax.core import memory
from gan_jax.core.devices import local_indices, replicate, shard
from gan_jax.core.errors import UserError
from gan_jax.data import order, stream
from gan_jax.data.batch import Batch
from gan_jax.data.sources import Dataset
from gan_jax.data.text import corpus

BLOCK_BYTES = 2**25  # size of a streamed block: 32 MiB
LONGEST_BLOCK = 1000  # steps
ArrayT = TypeVar("ArrayT", jax.Array, np.ndarray)


class Block(flax.struct.PyTreeNode):
    """Raw batches of consecutive steps, the unit of streaming.

    A population has a second axis of members. Inside a program, the first axis is removed.
    """

    batch: Batch
    """Leaves [shards, steps, n_critic, n, ...] or [shards, members, steps, n_critic, n, ...]."""
    first: Any
    """Number of the first step, int32 [shards] or [shards, members]."""


def to_network_range(real: ArrayT, *, symmetric: bool) -> ArrayT:
    """Scale stored examples to the range of the networks.

    Args:
        real: Examples of any shape: uint8 pixels, int16 audio, or other arrays.
        symmetric: Scale pixels to [-1, 1] instead of [0, 1].

    Returns:
        Pixels as float32 in [0, 1] or [-1, 1], audio as float32 in [-1, 1], other arrays unchanged.

    Example:
        >>> to_network_range(jnp.array([0, 255], jnp.uint8), symmetric=True).tolist()
        [-1.0, 1.0]
    """
    if real.dtype == jnp.int16:
        return real.astype(jnp.float32) / 32767
    if real.dtype != jnp.uint8:
        return real
    unit = real.astype(jnp.float32) / 255
    return unit * 2 - 1 if symmetric else unit


def take_examples(config: Config, examples: Batch, chosen: Int[Array, "*shape"]) -> Batch:
    """Gather examples and convert them to the input of the networks.

    Args:
        config: Config of the run.
        examples: Stored examples, leaves [examples, ...].
        chosen: Indices of the examples.

    Returns:
        A batch with leaves [*chosen.shape, ...]: scaled pixels and audio, one-hot tokens.
    """
    batch = jax.tree.map(lambda leaf: leaf[chosen], examples)
    scaled = functools.partial(to_network_range, symmetric=config.data.symmetric)
    real = batch.real
    if isinstance(config.data, TextData):
        real = corpus.one_hot(real, config.data.vocabulary)
    return batch.replace(real=scaled(real), cond=jax.tree.map(scaled, batch.cond))


def batch_at(
    config: Config, data: Batch | Block, key: jax.Array, step: jax.Array, shard: Any, shards: int
) -> Batch:
    """Return one shard of the batch of a training step, as the input of the networks.

    Args:
        config: Config of the run.
        data: The whole data set, or a Block that contains this shard only.
        key: Root key of the run.
        step: Number of the step.
        shard: Index of the shard.
        shards: Number of equal shards of a batch.

    Returns:
        A batch with leaves [n_critic, batch_size / shards, ...].
    """
    if isinstance(data, Block):
        return take_examples(config, data.batch, step - data.first)
    total, n = len(data.real), config.batch_size // shards
    chosen = order.indices(key, step, config.n_critic, config.batch_size, total)
    return take_examples(config, data, lax.dynamic_slice_in_dim(chosen, shard * n, n, axis=1))


def resident(dataset: Dataset, devices: Sequence[jax.Device]) -> Iterator[tuple[Batch, int]]:
    """Yield the whole set, replicated on every device, and 2^31 - 1, the step where it ends.

    Raises:
        UserError: If the set does not fit into the memory of a device.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(dataset.batch))
    if size > (limit := memory.device_limit(devices[local_indices(devices)[0]])):
        raise UserError(
            f"the data set of {size / 2**30:.1f} GiB does not fit into {limit / 2**30:.1f} GiB of "
            "device memory: give --stream"
        )
    data = replicate(jax.tree.map(np.asarray, dataset.batch), devices)
    while True:
        yield data, 2**31 - 1


def _steps_per_block(config: Config, dataset: Dataset) -> int:
    step_bytes = sum(leaf[:1].nbytes for leaf in jax.tree.leaves(dataset.batch))
    step_bytes *= config.n_critic * config.batch_size * len(population.member_configs(config))
    length = int(np.clip(BLOCK_BYTES // step_bytes, 1, min(LONGEST_BLOCK, config.steps)))
    return length - (length % 8 if length > 8 else 0)  # a multiple of 8, to be cut into equal parts


def streamed(
    config: Config,
    dataset: Dataset | Sequence[Dataset],
    devices: Sequence[jax.Device],
    step: int,
    workers: int = 0,
) -> Generator[tuple[Block, int], None, None]:
    """Yield blocks of batches, each with the step where it ends.

    The set stays on the host or on the disk. The next block is gathered while one is trained on.

    Args:
        config: Config of the run.
        dataset: The data set, or one for each member of a population, all of the same size.
        devices: Devices of the run.
        step: First step; the first block is the one that contains it.
        workers: Number of processes that read a prepared set; 0 reads with threads.

    Raises:
        UserError: If the next block cannot be read.
    """
    datasets = [dataset] if isinstance(dataset, Dataset) else dataset
    length = _steps_per_block(config, datasets[0])
    structure = jax.tree.structure(datasets[0].batch)
    number = step // length
    shards = (len(devices), local_indices(devices))  # the other processes read their own shards
    block_leaves = stream.stream_blocks(config, datasets, shards, length, number * length, workers)

    def gather(number: int) -> Block:
        batch = jax.tree.unflatten(structure, next(block_leaves))
        first = batch.real.shape[: 2 if population.is_population(config) else 1]
        return shard(Block(batch, np.full(first, np.int32(number * length))), devices)

    with contextlib.closing(block_leaves), ThreadPoolExecutor(1, "feed") as thread:
        ahead = thread.submit(gather, number)
        while True:
            block, number = ahead.result(), number + 1
            if number * length < config.steps:
                ahead = thread.submit(gather, number)
            yield block, number * length

"""From the stored data set to the batches that networks see: resident on the devices, or streamed.

Either way step t trains on the examples that `order.indices` gives for t, to the bit. A resident
set rests whole on every device, and the compiled program picks from it; of a streamed one the
devices hold a block of steps, and the host gathers the next block while they train.
"""

import contextlib
import functools
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax.config import Config, TextData, population
from gan_jax.core import memory
from gan_jax.core.devices import local_indices, replicate, shard
from gan_jax.core.errors import UserError
from gan_jax.data import order, stream
from gan_jax.data.batch import Batch
from gan_jax.data.sources import Dataset
from gan_jax.data.text import corpus

BLOCK_BYTES = 2**25  # of a streamed block: 32 MiB
LONGEST_BLOCK = 1000  # steps


class Block(flax.struct.PyTreeNode):
    """The raw batches of the steps from `first` on, leaves [shards, steps, n_critic, n, ...], of a
    population [shards, members, steps, ...]; inside a program those of one shard."""

    batch: Batch
    first: Any
    """int32 [shards] (or [shards, members])."""


def to_network_range(real: jax.Array, *, symmetric: bool) -> jax.Array:
    """uint8 pixels to float32 in [0, 1], or [-1, 1] if `symmetric`; int16 sounds in [-1, 1];
    anything else as it is."""
    if real.dtype == jnp.int16:
        return real.astype(jnp.float32) / 32767
    if real.dtype != jnp.uint8:
        return real
    unit = real.astype(jnp.float32) / 255
    return unit * 2 - 1 if symmetric else unit


def take_examples(config: Config, examples: Batch, chosen: jax.Array) -> Batch:
    """The chosen examples as the networks see them; leaves [*chosen.shape, ...]."""
    batch = jax.tree.map(lambda leaf: leaf[chosen], examples)
    scaled = functools.partial(to_network_range, symmetric=config.data.symmetric)
    real = batch.real
    if isinstance(config.data, TextData):
        real = corpus.one_hot(real, config.data.vocabulary)
    return batch.replace(real=scaled(real), cond=jax.tree.map(scaled, batch.cond))


def batch_at(
    config: Config, data: Batch | Block, key: jax.Array, step: jax.Array, shard: Any, shards: int
) -> Batch:
    """The batch of `step` of the run with root key `key` as the networks see it: of its n examples
    those of one of `shards` equal parts. `data` is a whole set, or a Block with this part only."""
    if isinstance(data, Block):
        return take_examples(config, data.batch, step - data.first)
    total, n = len(data.real), config.batch_size // shards
    chosen = order.indices(key, step, config.n_critic, config.batch_size, total)
    return take_examples(config, data, lax.dynamic_slice_in_dim(chosen, shard * n, n, axis=1))


def resident(dataset: Dataset, devices: Sequence[jax.Device]) -> Iterator[tuple[Batch, int]]:
    """(the whole set on every device, the step where what it offers ends: never). Raises UserError
    where a prepared set is larger than memory."""
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(dataset.batch))
    if size > (limit := memory.device_limit(devices[local_indices(devices)[0]])):
        raise UserError(
            f"the data set is of {size / 2**30:.1f} GiB, of which {limit / 2**30:.1f} fit: give "
            "--stream"
        )
    data = replicate(jax.tree.map(np.asarray, dataset.batch), devices)
    while True:
        yield data, 2**31 - 1


def streamed(
    config: Config,
    dataset: Dataset | Sequence[Dataset],
    devices: Sequence[jax.Device],
    step: int,
    workers: int = 0,
) -> Generator[tuple[Block, int], None, None]:
    """(a block, the step where it ends), from the block that holds `step` on. The set stays on the
    host, or on the disk: threads, or so many `workers` processes, gather what comes next while this
    block is trained on. The members of a population may have a set each, all of one size.

    Raises UserError where what comes next cannot be read.
    """
    sets = [dataset] if isinstance(dataset, Dataset) else dataset
    each = sum(leaf[:1].nbytes for leaf in jax.tree.leaves(sets[0].batch))
    each *= config.n_critic * config.batch_size * len(population.member_configs(config))
    length = int(np.clip(BLOCK_BYTES // each, 1, min(LONGEST_BLOCK, config.steps)))
    length -= length % 8 if length > 8 else 0  # so that it has equal parts
    structure = jax.tree.structure(sets[0].batch)
    number = step // length
    mine = local_indices(devices)  # another process reads the others
    shards = (len(devices), mine)
    pieces = stream.stream_blocks(config, sets, shards, length, number * length, workers)

    def gather(number: int) -> Block:
        batch = jax.tree.unflatten(structure, next(pieces))
        first = batch.real.shape[: 2 if population.is_population(config) else 1]
        return shard(Block(batch, np.full(first, np.int32(number * length))), devices)

    with contextlib.closing(pieces), ThreadPoolExecutor(1, "feed") as thread:
        ahead = thread.submit(gather, number)
        while True:
            block, number = ahead.result(), number + 1
            if number * length < config.steps:
                ahead = thread.submit(gather, number)
            yield block, number * length

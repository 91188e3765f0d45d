"""Batches of a streamed data set, gathered ahead by grain in the resident set's order.

The batch of a step is a pure function of its number (`BatchGatherer`). So grain may compute it in
any thread or process, and there is no state to save: a resumed run starts the stream at its step.
"""

import dataclasses
from collections.abc import Generator, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags

from gan_jax.config import Config, population
from gan_jax.core.errors import UserError, reason
from gan_jax.data import order
from gan_jax.data.images.shards import PreparedImages
from gan_jax.data.sources import Dataset

MIN_EXAMPLES = 512  # examples that are read from the disk at once, at least
THREADS = 2  # reader threads of a process; Pillow releases the interpreter lock
AHEAD = 8  # parts of blocks that are read ahead


@dataclasses.dataclass(frozen=True)
class BatchGatherer:
    """A function from the number of a part to the batches of its steps.

    Part k contains the steps from `length` * k on. A call returns the leaves of its batches,
    [shards, steps, n_critic, n, ...], or [shards, members, steps, n_critic, n, ...] for a
    population, of the shards of this process.
    """

    datasets: tuple[list[Any], ...]
    """Leaves of one data set, or of one for each member: arrays, or `PreparedImages`."""
    secrets: np.ndarray
    """Secrets of the epochs from `first_epoch` on, uint32 [members, epochs, ROUNDS+1]."""
    first_epoch: int
    """Number of the first epoch of `secrets`."""
    length: int
    """Number of steps of a part."""
    n_critic: int
    """Number of discriminator updates per step."""
    batch: int
    """Batch size."""
    shards: tuple[int, list[int]]
    """Number of shards of a batch, and the indices of those of this process."""
    has_member_axis: bool
    """Presence of an axis of members, which a population has."""

    def __call__(self, number: int) -> list[np.ndarray]:
        """Gather the leaves of part `number`."""
        steps = range(number * self.length, (number + 1) * self.length)
        sizes = (self.n_critic, self.batch, len(self.datasets[0][0]))
        chosen = [
            order.host_indices(member_secrets, self.first_epoch, steps, *sizes)
            for member_secrets in self.secrets
        ]
        index = np.stack(chosen).reshape(len(chosen), *chosen[0].shape[:2], self.shards[0], -1)
        index = np.moveaxis(index, -2, 0)[self.shards[1]]  # [shards, members, steps, n_critic, n]
        if len(self.datasets) == 1:
            index = index if self.has_member_axis else index[:, 0]
            return [leaf[index] for leaf in self.datasets[0]]
        return [
            np.stack([leaf[index[:, member]] for member, leaf in enumerate(member_leaves)], 1)
            for member_leaves in zip(*self.datasets, strict=True)
        ]


def stream_blocks(
    config: Config,
    datasets: Sequence[Dataset],
    shards: tuple[int, list[int]],
    length: int,
    step: int,
    workers: int,
) -> Generator[list[np.ndarray], None, None]:
    """Yield the leaves of blocks of steps, until the end of the run.

    Args:
        config: Config of the run.
        datasets: One data set, or one for each member of a population, all of the same size.
        shards: Number of shards of a batch, and the indices of those of this process.
        length: Number of steps of a block.
        step: First step, a multiple of `length`.
        workers: Number of processes that read a prepared set; 0 reads with threads.

    Raises:
        UserError: If a block cannot be read, or a worker dies.
    """
    import grain  # slow to import, and only streamed runs need it

    leaves = tuple(jax.tree.leaves(dataset.batch) for dataset in datasets)
    on_disk = any(isinstance(leaf, PreparedImages) for leaf in leaves[0])
    if workers < 0 or (workers and not on_disk):
        allowed = "0 unless the data set is a prepared set" if workers > 0 else "at least 0"
        raise UserError(f"workers must be {allowed}, got {workers}")
    examples = config.n_critic * config.batch_size
    last = -(-config.steps // length) * length
    size = len(datasets[0])
    epochs = range(step * examples // size, last * examples // size + 1)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):  # the other devices are in use
        roots = jax.numpy.atleast_1d(population.root_keys(config))
        secrets = np.stack([order.epoch_secrets(root, epochs) for root in roots])
    # From disk a block is read in several parts at a time. From memory it is gathered as a whole.
    part = min(length, -(-MIN_EXAMPLES // examples)) if on_disk else length
    part = max(divisor for divisor in range(1, part + 1) if length % divisor == 0)
    has_member_axis = population.is_population(config)
    sizes = (part, config.n_critic, config.batch_size)
    gather = BatchGatherer(leaves, secrets, epochs.start, *sizes, shards, has_member_axis)
    read = grain.ReadOptions(THREADS if on_disk else 0, AHEAD if on_disk else 0)
    numbers = grain.MapDataset.range(step // part, last // part)
    stream = numbers.map(gather).to_iter_dataset(read)
    if workers:
        if not flags.FLAGS.is_parsed():  # grain's processes need absl's flags to be parsed
            flags.FLAGS.mark_as_parsed()
        stream = stream.mp_prefetch(grain.MultiprocessingOptions(workers, AHEAD))
    axis, parts = (2 if has_member_axis else 1), iter(stream)
    try:
        while step < last:
            block = [next(parts) for _ in range(length // part)]
            step += length
            yield [np.concatenate(leaf_parts, axis) for leaf_parts in zip(*block, strict=True)]
    except UserError:
        raise
    except Exception as error:  # grain's own type, if a worker dies
        raise UserError(f"streaming the data failed: {reason(error)[:300]}") from None
    finally:
        parts.close()

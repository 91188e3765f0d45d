"""The batches of a streamed set, gathered ahead of time by grain, in the order of the resident one.

What a step trains on is a pure function of its number (`Gather`), so grain may compute it in any
thread or process, and there is nothing to save: a resumed run starts the stream at its step.
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

PIECE = 512  # examples, at least, that are read from the disk at once
THREADS = 2  # that read in one process; Pillow works outside the interpreter's lock
AHEAD = 8  # pieces


@dataclasses.dataclass(frozen=True)
class BatchGatherer:
    """The batches of the steps from `length` x number on, `length` of them, by number: leaves
    [shards, steps, n_critic, n, ...], of a population [shards, members, steps, ...], of this
    process's shards."""

    sets: tuple[list[Any], ...]
    """The leaves of one data set, or of one a member: arrays, or `Stored`."""
    secrets: np.ndarray
    """uint32 [members, epochs, ...], from `first_epoch` on."""
    first_epoch: int
    length: int
    n_critic: int
    batch: int
    shards: tuple[int, list[int]]
    """Into how many a batch is cut, and which of them are this process's."""
    many: bool
    """Whether there is an axis of members."""

    def __call__(self, number: int) -> list[np.ndarray]:
        steps = range(number * self.length, (number + 1) * self.length)
        how = (steps, self.n_critic, self.batch, len(self.sets[0][0]))
        chosen = [order.host_indices(own, self.first_epoch, *how) for own in self.secrets]
        index = np.stack(chosen).reshape(len(chosen), *chosen[0].shape[:2], self.shards[0], -1)
        index = np.moveaxis(index, -2, 0)[self.shards[1]]  # [shards, members, steps, n_critic, n]
        if len(self.sets) == 1:
            index = index if self.many else index[:, 0]
            return [leaf[index] for leaf in self.sets[0]]
        columns = zip(*self.sets, strict=True)
        return [np.stack([leaf[index[:, i]] for i, leaf in enumerate(one)], 1) for one in columns]


def stream_blocks(
    config: Config,
    sets: Sequence[Dataset],
    shards: tuple[int, list[int]],
    length: int,
    step: int,
    workers: int,
) -> Generator[list[np.ndarray], None, None]:
    """The leaves of blocks of `length` steps each, from `step` on, a multiple of it, to the run's
    end; gathered ahead by threads of this process, or by so many `workers` processes.

    Raises UserError where they cannot be read, or a worker dies.
    """
    import grain  # slow to import, and not every run streams

    leaves = tuple(jax.tree.leaves(one.batch) for one in sets)
    stored = any(isinstance(leaf, PreparedImages) for leaf in leaves[0])
    if workers < 0 or (workers and not stored):
        what = "only a prepared set is read by processes" if workers > 0 else "at least 0"
        raise UserError(f"workers is {workers}: {what}")
    examples = config.n_critic * config.batch_size
    last = -(-config.steps // length) * length
    epochs = range(step * examples // len(sets[0]), last * examples // len(sets[0]) + 1)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):  # the others are training
        roots = jax.numpy.atleast_1d(population.root_keys(config))
        secrets = np.stack([order.epoch_secrets(root, epochs) for root in roots])
    # A part of a block, that several may be read at a time; one in memory is gathered whole.
    part = min(length, -(-PIECE // examples)) if stored else length
    part = max(one for one in range(1, part + 1) if length % one == 0)
    many, sizes = population.is_population(config), (part, config.n_critic, config.batch_size)
    gather = BatchGatherer(leaves, secrets, epochs.start, *sizes, shards, many)
    read = grain.ReadOptions(THREADS if stored else 0, AHEAD if stored else 0)
    numbers = grain.MapDataset.range(step // part, last // part)
    stream = numbers.map(gather).to_iter_dataset(read)
    if workers:
        if not flags.FLAGS.is_parsed():  # grain's processes ask for absl's flags, which nobody gave
            flags.FLAGS.mark_as_parsed()
        stream = stream.mp_prefetch(grain.MultiprocessingOptions(workers, AHEAD))
    axis, found = (2 if many else 1), iter(stream)
    try:
        while step < last:
            each = [next(found) for _ in range(length // part)]
            step += length
            yield [np.concatenate(one, axis) for one in zip(*each, strict=True)]
    except UserError:
        raise
    except Exception as error:  # grain's own, where a worker dies
        raise UserError(f"the data cannot be streamed on: {reason(error)[:300]}") from None
    finally:
        found.close()

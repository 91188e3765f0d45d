"""The one wrapper around orbax: a checkpoint is either whole or it is not there."""

import contextlib
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.config import Config
from gan_jax.core import processes
from gan_jax.core.errors import UserError
from gan_jax.runs import digest
from gan_jax.training.hooks import Chunk, Hook
from gan_jax.training.nonfinite import NonFiniteGuard
from gan_jax.training.state import TrainState

log = logging.getLogger(__name__)


def _share_across_processes(leaf: jax.Array) -> jax.Array:
    """An array that every process has for itself as one that they share, as Orbax wants it, which
    has one of them write it."""
    firsts = {device.process_index: device for device in jax.devices()[::-1]}
    mesh = Mesh(np.asarray([firsts[i] for i in range(len(firsts))]), ("processes",))
    mine = jax.device_put(leaf, firsts[jax.process_index()])
    return jax.make_array_from_single_device_arrays(
        leaf.shape, NamedSharding(mesh, PartitionSpec()), [mine]
    )


class Checkpoints:
    """The checkpoints of one run: written in the background, the last `keep` of them kept; or, with
    `keep` None, only read, while a run may be writing them.

    A context manager: on leaving, all that was saved is whole on the disk. Of several processes all
    open, save and restore together; the folder must be the same for all.
    """

    def __init__(self, folder: Path, keep: int | None):
        import orbax.checkpoint as ocp  # slow to import, and not every command needs it

        # Orbax warns of what it is asked for, and prints a traceback of each error that it raises.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._ocp = ocp
        if keep is None:
            options = ocp.CheckpointManagerOptions(read_only=True)
        else:
            options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._writes, self._workdir = keep is not None, folder.absolute().parent
        self._manager = ocp.CheckpointManager(
            folder.absolute(), options=options, item_names=("state",)
        )
        self._reader = self._manager
        if jax.process_count() > 1 and processes.is_leader():  # it reads alone
            alone = ocp.options.MultiprocessingOptions(
                primary_host=0, active_processes={0}, barrier_sync_key_prefix="reader"
            )
            options = ocp.CheckpointManagerOptions(
                read_only=True, create=False, multiprocessing_options=alone
            )
            self._reader = ocp.CheckpointManager(
                folder.absolute(), options=options, item_names=("state",)
            )

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, in order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: TrainState) -> None:
        """Starts writing. The state is copied first, so the caller may go on and donate it; its
        digest is put on the run folder's list. Raises UserError if this checkpoint, or the one
        before it, which was written meanwhile, cannot be written."""
        copy = jax.tree.map(jnp.copy, state)
        if processes.is_leader():
            digest.write_digest(self._workdir, step, digest.digest(copy))
        if jax.process_count() > 1:
            copy = jax.tree.map(_share_across_processes, copy)
        args = self._ocp.args.Composite(state=self._ocp.args.StandardSave(copy))
        with self._writing():
            if not self._manager.save(step, args=args, force=True):
                raise RuntimeError(f"orbax did not save the checkpoint of step {step}")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of tensorstore's, when the disk is full or not there
            # Orbax closes the event loop of writes that are still under way, and each of them then
            # prints a traceback. Let these come before the one line that says what is wrong.
            time.sleep(1)
            if jax.process_count() > 1 and processes.is_peer_failure(error):
                raise
            reason = " ".join(str(error).split())[:300]
            whole = ", ".join(map(str, self.steps())) or "none"
            message = f"a checkpoint cannot be written: {reason}; whole are those of steps: {whole}"
            raise UserError(message) from None

    def restore(self, like: Any, step: int | None = None) -> tuple[int, TrainState] | None:
        """The newest checkpoint that can be read (or that of `step`), in the structure, the dtypes
        and the placement of `like` (arrays, or ShapeDtypeStructs with shardings); None if there is
        none. A damaged one, also one whose bits are not those of its digest, is named in the log
        and the one before it is taken; where checkpoints are written it is then removed, for orbax
        would not write steps before it. Raises UserError if all are damaged, and removes none.

        Of several processes only process 0 reads; to the others it is as if there were none, and
        `train.fit` broadcasts the state."""
        found, damaged = self._read(like, step) if processes.is_leader() else (None, [])
        for candidate in json.loads(processes.broadcast_text(json.dumps(damaged))):
            self._manager.delete(candidate)
        return found

    def _read(self, like: Any, step: int | None) -> tuple[tuple[int, TrainState] | None, list[int]]:
        """What `restore` finds, and the checkpoints to remove."""
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), like
        )
        args = self._ocp.args.Composite(state=self._ocp.args.StandardRestore(abstract))
        tried = self.steps()[::-1] if step is None else [step]
        digests = digest.read_digests(self._workdir)
        for i, candidate in enumerate(tried):
            try:
                state = self._reader.restore(candidate, args=args)["state"]
                if jax.tree.structure(state) != jax.tree.structure(like):
                    raise ValueError("it is not of this run")
                if digests.get(candidate) not in (None, digest.digest(state)):
                    raise ValueError("its bits are not those that were saved")
            except Exception as error:  # orbax and tensorstore raise many kinds
                # Orbax never awaits the other reads of a checkpoint after one of them fails.
                warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
                reason = " ".join(str(error).split())[:200]
                if "structures do not match" in reason:
                    reason = "it holds the state of another version of gan_jax, or another config"
                log.warning("checkpoint %d is damaged and passed over: %s", candidate, reason)
            else:
                return (candidate, state), tried[:i] if self._writes else []
        if tried:
            raise UserError(f"no readable checkpoint among steps {', '.join(map(str, tried))}")
        return None, []

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        try:
            with self._writing():
                self._manager.wait_until_finished()
                self._manager.close()
                if self._reader is not self._manager:
                    self._reader.close()
        except UserError as error:
            if kind is None:
                raise
            log.warning("%s", error)  # and what ends the run is said by itself


class Checkpointer(Hook):
    """Saves checkpoints when they are due, at the end of pretraining, and at the end of the run."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        config: Config,
        every: int,
        guard: NonFiniteGuard,
        before_save: Callable[[], None] = lambda: None,
    ):
        """Stores what decides when to save.

        Args:
            checkpoints: The run's checkpoints.
            config: The run.
            every: Steps between checkpoints.
            guard: Postpones checkpoints while a member's updates are not finite. It comes before
                this hook.
            before_save: Called before each checkpoint.
        """
        self._checkpoints, self._config, self._every = checkpoints, config, every
        self._guard, self._before_save = guard, before_save

    def on_chunk(self, chunk: Chunk) -> None:
        ends = chunk.last or chunk.stop_signal or chunk.step == self._config.pretrain.steps
        if ends or (chunk.is_due(self._every) and not self._guard.pending):
            self._before_save()
            self._checkpoints.save(chunk.step, chunk.state)
            self._guard.saved = chunk.step

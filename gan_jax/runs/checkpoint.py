"""Checkpoints, written with orbax: atomic, in the background, and verified by digests."""

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
    """Make a global array, replicated over the processes, from an array local to each process.

    Orbax requires this form, and has one process write it.
    """
    first_devices = {device.process_index: device for device in jax.devices()[::-1]}
    devices = [first_devices[i] for i in range(len(first_devices))]
    sharding = NamedSharding(Mesh(np.asarray(devices), ("processes",)), PartitionSpec())
    local = jax.device_put(leaf, first_devices[jax.process_index()])
    return jax.make_array_from_single_device_arrays(leaf.shape, sharding, [local])


class Checkpoints:
    """Context manager for the checkpoints of a run, which are written in the background.

    On exit, all saved checkpoints are complete on disk. In a multi-process run all processes must
    open, save and restore together, in the same folder.
    """

    def __init__(self, folder: Path, keep: int | None):
        """Open a folder of checkpoints.

        Args:
            folder: Folder of the checkpoints.
            keep: Number of latest checkpoints to keep; None for reading alone, which is possible
                while a run writes them.
        """
        import orbax.checkpoint as ocp  # slow to import, and not every command needs it

        # Orbax warns about requested options, and logs a traceback for each error that it raises.
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
        if jax.process_count() > 1 and processes.is_leader():  # only process 0 reads
            leader_only = ocp.options.MultiprocessingOptions(
                primary_host=0, active_processes={0}, barrier_sync_key_prefix="reader"
            )
            options = ocp.CheckpointManagerOptions(
                read_only=True, create=False, multiprocessing_options=leader_only
            )
            self._reader = ocp.CheckpointManager(
                folder.absolute(), options=options, item_names=("state",)
            )

    def steps(self) -> list[int]:
        """List the steps of the checkpoints, in order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: TrainState) -> None:
        """Start writing a checkpoint, and record the digest of the state in the run folder.

        The state is copied first, so the caller may donate it.

        Args:
            step: Number of completed steps.
            state: State at that step.

        Raises:
            UserError: If this checkpoint, or the previous one, cannot be written.
        """
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
        except Exception as error:  # from tensorstore, if the disk is full or missing
            # Orbax closes the event loop of pending writes, each of which then prints a traceback.
            # Wait for these, so that the error message comes last.
            time.sleep(1)
            if jax.process_count() > 1 and processes.is_peer_failure(error):
                raise
            reason = " ".join(str(error).split())[:300]
            steps = ", ".join(map(str, self.steps())) or "none"
            message = f"a checkpoint cannot be written: {reason}; complete checkpoints: {steps}"
            raise UserError(message) from None

    def restore(self, like: Any, step: int | None = None) -> tuple[int, TrainState] | None:
        """Restore the newest readable checkpoint, or that of a given step.

        Damaged checkpoints, including those that do not match their digest, are logged and skipped
        in favor of the previous one. If this object also writes, they are removed, since orbax does
        not write steps before existing ones. In a multi-process run only process 0 reads, and
        `train.fit` broadcasts the state.

        Args:
            like: Pytree with the structure, dtypes and shardings of the state: arrays, or
                ShapeDtypeStructs with shardings.
            step: Step of the checkpoint; None for the newest.

        Returns:
            The step and the state. None if there is no checkpoint, or in processes other than 0.

        Raises:
            UserError: If all checkpoints are damaged. None is removed then.
        """
        restored, damaged = self._read(like, step) if processes.is_leader() else (None, [])
        for damaged_step in json.loads(processes.broadcast_text(json.dumps(damaged))):
            self._manager.delete(damaged_step)
        return restored

    def _read(self, like: Any, step: int | None) -> tuple[tuple[int, TrainState] | None, list[int]]:
        """Return the result of `restore`, and the steps of the checkpoints to remove."""
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), like
        )
        args = self._ocp.args.Composite(state=self._ocp.args.StandardRestore(abstract))
        candidates = self.steps()[::-1] if step is None else [step]
        digests = digest.read_digests(self._workdir)
        for i, candidate in enumerate(candidates):
            try:
                state = self._reader.restore(candidate, args=args)["state"]
                if jax.tree.structure(state) != jax.tree.structure(like):
                    raise ValueError("its structure does not match this run")
                if digests.get(candidate) not in (None, digest.digest(state)):
                    raise ValueError("its content does not match its digest")
            except Exception as error:  # orbax and tensorstore raise many types
                # Orbax does not await the other reads of a checkpoint after one of them fails.
                warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
                reason = " ".join(str(error).split())[:200]
                if "structures do not match" in reason:
                    reason = "it is from another version of gan_jax, or another config"
                log.warning("checkpoint %d is damaged and skipped: %s", candidate, reason)
            else:
                return (candidate, state), candidates[:i] if self._writes else []
        if candidates:
            raise UserError(f"no readable checkpoint among steps {', '.join(map(str, candidates))}")
        return None, []

    def __enter__(self) -> "Checkpoints":
        """Return the checkpoints themselves."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """Wait for pending writes. Raises UserError if one fails, unless an error is raised."""
        try:
            with self._writing():
                self._manager.wait_until_finished()
                self._manager.close()
                if self._reader is not self._manager:
                    self._reader.close()
        except UserError as error:
            if kind is None:
                raise
            log.warning("%s", error)  # the exception that ends the run is reported separately


class Checkpointer(Hook):
    """Hook that saves checkpoints at an interval, after pretraining, and at the end."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        config: Config,
        every: int,
        guard: NonFiniteGuard,
        before_save: Callable[[], None] = lambda: None,
    ):
        """Create the hook.

        Args:
            checkpoints: Checkpoints of the run.
            config: Config of the run.
            every: Steps between checkpoints.
            guard: Hook that postpones checkpoints while updates of a member are not finite. It must
                run before this one.
            before_save: Callback before each checkpoint.
        """
        self._checkpoints, self._config, self._every = checkpoints, config, every
        self._guard, self._before_save = guard, before_save

    def on_chunk(self, chunk: Chunk) -> None:
        """Save the state if a checkpoint is due."""
        is_end = chunk.last or chunk.stop_signal or chunk.step == self._config.pretrain.steps
        if is_end or (chunk.is_due(self._every) and not self._guard.pending):
            self._before_save()
            self._checkpoints.save(chunk.step, chunk.state)
            self._guard.saved = chunk.step

"""The one wrapper around orbax: a checkpoint is either whole or it is not there."""

import contextlib
import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from gan_jax import digest
from gan_jax.errors import UserError
from gan_jax.state import TrainState

log = logging.getLogger(__name__)


@contextlib.contextmanager
def _quiet_event_loop() -> Iterator[None]:
    """When a read fails, orbax 0.12 closes its event loop under the other reads, or never awaits
    them, and each would print that to stderr when it is collected. Until it waits for them."""
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if "Event loop is closed" not in str(unraisable.exc_value):
            before(unraisable)

    asyncio = logging.getLogger("asyncio")
    sys.unraisablehook, asyncio.disabled = hook, True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            yield
    finally:
        sys.unraisablehook, asyncio.disabled = before, False


class Checkpoints:
    """The checkpoints of one run: written in the background, the last `keep` of them kept; or, with
    `keep` None, only read, while a run may be writing them.

    A context manager: on leaving, all that was saved is whole on the disk.
    """

    def __init__(self, folder: Path, keep: int | None):
        import orbax.checkpoint as ocp  # slow to import, and not every command needs it

        logging.getLogger("absl").setLevel(logging.ERROR)  # orbax narrates each save there
        self._ocp = ocp
        if keep is None:
            options = ocp.CheckpointManagerOptions(read_only=True)
        else:
            options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._writes, self._workdir = keep is not None, folder.absolute().parent
        self._manager: ocp.CheckpointManager = ocp.CheckpointManager(
            folder.absolute(), options=options, item_names=("state",)
        )

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, in order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: TrainState) -> None:
        """Starts writing. The state is copied first, so the caller may go on and donate it; its
        digest is put on the run folder's list."""
        copy = jax.tree.map(jnp.copy, state)
        digest.write(self._workdir, step, digest.digest(copy))
        args = self._ocp.args.Composite(state=self._ocp.args.StandardSave(copy))
        if not self._manager.save(step, args=args, force=True):
            raise RuntimeError(f"orbax did not save the checkpoint of step {step}")

    @_quiet_event_loop()
    def restore(self, like: Any, step: int | None = None) -> tuple[int, TrainState] | None:
        """The newest checkpoint that can be read (or that of `step`), in the structure, the dtypes
        and the placement of `like` (arrays, or ShapeDtypeStructs with shardings); None if there is
        none. A damaged one, also one whose bits are not those of its digest, is named in the log
        and the one before it is taken; where checkpoints are written it is then removed, for orbax
        would not write steps before it. Raises UserError if all are damaged, and removes none."""
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), like
        )
        args = self._ocp.args.Composite(state=self._ocp.args.StandardRestore(abstract))
        tried = self.steps()[::-1] if step is None else [step]
        digests = digest.read(self._workdir)
        for i, candidate in enumerate(tried):
            try:
                state = self._manager.restore(candidate, args=args)["state"]
                if jax.tree.structure(state) != jax.tree.structure(like):
                    raise ValueError("it is not of this run")
                if digests.get(candidate) not in (None, digest.digest(state)):
                    raise ValueError("its bits are not those that were saved")
            except Exception as error:  # orbax and tensorstore raise many kinds
                reason = " ".join(str(error).split())[:200]
                if "structures do not match" in reason:
                    reason = "it holds the state of another version of gan_jax, or another config"
                log.warning("checkpoint %d is damaged and passed over: %s", candidate, reason)
            else:
                for damaged in tried[:i] if self._writes else ():
                    self._manager.delete(damaged)
                return candidate, state
            gc.collect()  # now that nothing holds the other reads, and not after _quiet_event_loop
        if tried:
            raise UserError(f"no readable checkpoint among steps {', '.join(map(str, tried))}")
        return None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

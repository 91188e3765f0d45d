"""The one wrapper around orbax: a checkpoint is either whole or it is not there."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from gan_jax.errors import UserError
from gan_jax.state import TrainState

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)


@contextlib.contextmanager
def _quiet_event_loop() -> Iterator[None]:
    """When a read fails, orbax 0.12 closes its event loop under the other reads, and each of them
    would print a traceback to stderr. Until it waits for them."""
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if "Event loop is closed" not in str(unraisable.exc_value):
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


class Checkpoints:
    """The checkpoints of one run: written in the background, the last `keep` of them kept.

    A context manager: on leaving, all that was saved is whole on the disk.
    """

    def __init__(self, folder: Path, keep: int):
        import orbax.checkpoint as ocp  # slow to import, and not every command needs it

        logging.getLogger("absl").setLevel(logging.ERROR)  # orbax narrates each save there
        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._manager: ocp.CheckpointManager = ocp.CheckpointManager(
            folder.absolute(), options=options, item_names=("state",)
        )

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, in order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: TrainState) -> None:
        """Starts writing. The state is copied first, so the caller may go on and donate it."""
        copy = jax.tree.map(jnp.copy, state)
        self._manager.save(
            step, args=self._ocp.args.Composite(state=self._ocp.args.StandardSave(copy))
        )

    @_quiet_event_loop()
    def restore(self, like: Any, step: int | None = None) -> tuple[int, TrainState] | None:
        """The newest checkpoint that can be read (or that of `step`), in the structure, the dtypes
        and the placement of `like` (arrays, or ShapeDtypeStructs with shardings); None if there is
        none. A damaged one is named in the log and the one before it is taken. Raises UserError if
        all are damaged."""
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), like
        )
        args = self._ocp.args.Composite(state=self._ocp.args.StandardRestore(abstract))
        tried = self.steps() if step is None else [step]
        for candidate in reversed(tried):
            try:
                state = self._manager.restore(candidate, args=args)["state"]
            except Exception as error:  # orbax and tensorstore raise many kinds
                reason = " ".join(str(error).split())[:200]
                log.warning("checkpoint %d is damaged and passed over: %s", candidate, reason)
                continue
            if (
                jax.tree.structure(state) == jax.tree.structure(like)
                and int(state.step) == candidate
            ):
                return candidate, state
            log.warning("checkpoint %d is not of this run and passed over", candidate)
        if tried:
            raise UserError(f"no readable checkpoint among steps {', '.join(map(str, tried))}")
        return None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

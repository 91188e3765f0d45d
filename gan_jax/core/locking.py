"""A lock on a run folder: one process at a time trains in it."""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from gan_jax.core.errors import UserError
from gan_jax.core.files import writing

NAME = "run.lock"
_UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


@contextlib.contextmanager
def lock_folder(workdir: Path) -> Iterator[None]:
    """Hold the lock of a run folder inside the block.

    The kernel releases the lock however the process ends. Nothing is locked on file systems without
    locks.

    Args:
        workdir: Run folder.

    Raises:
        UserError: If another process holds the lock (the message names it), or the folder cannot be
            written to.
    """
    path = workdir / NAME
    # A soft lock, filelock's fallback, would outlive a process that is killed.
    lock = filelock.FileLock(path, blocking=False, fallback_to_soft=False, on_acquired=_sign)
    with writing(path):
        try:
            lock.acquire()
        except filelock.Timeout:
            raise UserError(f"workdir {workdir} is in use by {_owner(path)}") from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the folder may be gone
            os.truncate(path, 0)
        lock.release()


def _sign(file: int) -> None:
    """Write the ID and host of this process into the lock file."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    os.ftruncate(file, 0)
    os.write(file, f"process {os.getpid()} on {socket.gethostname()}, since {since}\n".encode())


def _owner(path: Path) -> str:
    """Return a description of the process that holds the lock."""
    try:
        return path.read_text(errors="replace").strip() or "another process"
    except OSError:  # Windows lets no other process read a locked file
        return "another process"

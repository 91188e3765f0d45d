"""One process at a time trains in a run folder."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from gan_jax.errors import UserError
from gan_jax.logs import writing

NAME = "run.lock"


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
    """Holds the folder's lock. The kernel gives it back when the process ends, however it ends.

    Raises UserError, with who holds it, if another process does, or if the folder cannot be written
    to. Where the system or the file system knows no such locks, nothing is locked.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with writing(workdir / NAME):
        file = (workdir / NAME).open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise UserError(f"workdir {workdir} is in use by {owner}") from None
        except OSError:
            pass
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        with writing(workdir / NAME):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}\n")
            file.flush()
        try:
            yield
        finally:
            file.truncate(0)

"""Atomic writing of files, and errors of reading and writing that name the file."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan_jax.core.errors import UserError, reason


def write_atomically(path: Path, text: str) -> None:
    """Replace the contents of a file; a crash leaves either the old text or the new one.

    Args:
        path: File to write. Its folder must exist.
        text: New contents.

    Raises:
        UserError: If the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    with writing(path):
        with part.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a UserError that names the file."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of reading or parsing a file into a UserError that names the file."""
    try:
        yield
    except RecursionError:
        raise UserError(f"{path} cannot be read: it is nested too deeply") from None
    except (OSError, ValueError) as error:  # also of UTF-8, and of numbers too long for Python
        raise UserError(f"{path} cannot be read: {reason(error)}") from None
    except (KeyError, TypeError, OverflowError, MemoryError) as error:
        kind = type(error).__name__
        raise UserError(f"{path} cannot be read: {kind}: {reason(error)}") from None


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises UserError if it cannot be read or parsed."""
    with reading(path):
        return json.loads(path.read_text())

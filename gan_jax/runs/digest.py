"""What a state is, in one line: to tell a damaged checkpoint, and to compare runs step by step."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.core import files

FILE_NAME = "digests.jsonl"


def digest(state: Any) -> str:
    """sha256 over every leaf of a pytree in order: its path, dtype, shape and bytes. Keys count by
    their bits."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.dtype.str} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def write_digest(workdir: Path, step: int, sha256: str) -> None:
    """Adds the digest of the state at `step` to the list; the last one of a step counts."""
    with files.writing(workdir / FILE_NAME), (workdir / FILE_NAME).open("a") as file:
        file.write(json.dumps({"step": step, "sha256": sha256}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_digests(workdir: Path) -> dict[int, str]:
    """Digests by step; lines that were cut short are passed over."""
    found, path = {}, workdir / FILE_NAME
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
            found[int(row["step"])] = str(row["sha256"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
    return found

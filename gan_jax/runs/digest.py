"""Content hashes of training states, to detect corrupt checkpoints and to compare runs."""

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
    """Compute the SHA-256 over the path, dtype, shape and bytes of each leaf of a pytree.

    PRNG keys are hashed by their bits.

    Example:
        >>> digest({"w": np.zeros(2)}) == digest({"w": jnp.zeros(2)})  # float64 and float32
        False
    """
    sha256 = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        sha256.update(f"{jax.tree_util.keystr(path)} {array.dtype.str} {array.shape}".encode())
        sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()


def write_digest(workdir: Path, step: int, sha256: str) -> None:
    """Append a digest to the list of a run folder. The last entry of a step is valid.

    Args:
        workdir: Run folder.
        step: Number of completed steps.
        sha256: Digest of the state at that step.
    """
    with files.writing(workdir / FILE_NAME), (workdir / FILE_NAME).open("a") as file:
        file.write(json.dumps({"step": step, "sha256": sha256}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_digests(workdir: Path) -> dict[int, str]:
    """Read the digests of a run folder by step, ignoring truncated lines."""
    digests, path = {}, workdir / FILE_NAME
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
            digests[int(row["step"])] = str(row["sha256"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
    return digests

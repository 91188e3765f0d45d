"""Where tensorflow-datasets keeps what it has prepared."""

import os
from pathlib import Path

from gan_jax.config import Data
from gan_jax.errors import UserError


def folder(data: Data) -> Path:
    """The data directory in which the set is. Raises UserError, which says how to prepare it, where
    it is not."""
    root = data.dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    name = data.name.partition(":")[0].partition("/")[0]
    try:
        root = Path(root).expanduser()
        there = (root / name).is_dir()
    except (OSError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
        raise UserError(f"data.dir is {str(root)!r}: {error}") from None
    if not there:
        raise UserError(
            f"data set {name!r} is not in {root}: give --data.dir (or TFDS_DATA_DIR) where it is, "
            f"or prepare it with `tfds build {name} --file_format=array_record` (needs "
            "tensorflow); sets that need no preparing: digits, ring, grid, folder, npz, idx"
        )
    return root

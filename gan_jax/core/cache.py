"""Cache folder for classifiers and statistics of real data."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return `$GAN_JAX_CACHE`, or `gan_jax` in the user's cache folder."""
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "gan_jax"
    return Path(os.environ.get("GAN_JAX_CACHE", root)).expanduser()


def save_cached(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays atomically to a `.npz` file of the cache.

    A failure is logged, not raised: the arrays are in memory and can be computed again.
    """
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(path)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error.strerror)

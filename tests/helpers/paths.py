"""Folders from which tests read."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("TFDS_DATA_DIR", REPOSITORY.parent / "shared" / "data" / "tfds"))

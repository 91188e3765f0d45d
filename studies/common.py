"""Parts that the studies share: their records, and tables of them in Markdown."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gan_jax.core import files
from gan_jax.runs import timing


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a study's figures as JSON, after the command that made them."""
    text = json.dumps({"command": timing.launch_command(), **record}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, text + "\n")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (header, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(header)}", *lines[1:]])

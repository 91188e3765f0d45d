"""Parts shared by the studies: records, and Markdown tables."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gan_jax.core import files
from gan_jax.runs import timing


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write the figures of a study as JSON, with the command that measured them."""
    text = json.dumps({"command": timing.launch_command(), **record}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, text + "\n")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in (header, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(header)}", *lines[1:]])

"""Reference of the command line, generated from the help of each command."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence

from gan_jax.cli import app

WIDTH = 92
# Commands whose flags depend on their first argument, which --help shows for this one.
EXAMPLES = {"train": ["ring_mlp"]}


def help_text(words: Sequence[str]) -> str:
    """Return what `gan-jax WORDS --help` prints, without colors."""
    before = {name: os.environ.get(name) for name in ("COLUMNS", "NO_COLOR")}
    os.environ |= {"COLUMNS": str(WIDTH), "NO_COLOR": "1"}
    # tyro draws frames if the encoding of stdout has them.
    stream, stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), sys.stdout
    try:
        sys.stdout = stream
        with contextlib.suppress(SystemExit):
            app.run([*words, "--help"])
    finally:
        sys.stdout = stdout
        for name, text in before.items():
            os.environ.pop(name, None)
            os.environ.update({name: text} if text is not None else {})
    stream.seek(0)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.read())


def unframed(text: str) -> str:
    """Replace the frames around groups of flags by headings."""
    lines = []
    for line in text.splitlines():
        if title := re.match(r"^╭─+ ?(.*?) ?─*╮$", line):
            lines += ["", f"{title[1]}:"]
        elif not line.startswith("╰"):
            lines.append(re.sub(r"^│ ?(.*?) *│$", r"  \1", line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(map(str.rstrip, lines))).strip()


def _section(name: str) -> str:
    """Return the section of one command: its description, then usage and flags."""
    usage, _, text = unframed(help_text([name])).partition("\n\n")
    description, flags = _split(text)
    parts = [f"## gan-jax {name}\n", description, "", "```text", usage, "", flags, "```", ""]
    if name in EXAMPLES:
        words = [name, *EXAMPLES[name]]
        _, flags = _split(unframed(help_text(words)).partition("\n\n")[2])
        parts += [
            f"`gan-jax {' '.join(words)} --help`:\n",
            *(":::{dropdown} All flags", "```text", flags, "```", ":::", ""),
        ]
    return "\n".join(parts)


def _split(text: str) -> tuple[str, str]:
    """Split a help text without its usage into the description and the groups of flags."""
    first = re.search(r"^\S.*:\n {2}", text, re.MULTILINE)
    start = first.start() if first else len(text)
    return text[:start].strip(), text[start:].strip()


def page() -> str:
    """Return a section for each command."""
    return "\n".join(_section(name) for name in app.COMMANDS)

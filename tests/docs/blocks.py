"""Commands and code in the README and in the pages of the site."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.helpers.paths import REPOSITORY

GENERATED = ("_generated", "api", "notebooks", "recipes")
PAGES = [
    REPOSITORY / "README.md",
    *sorted(
        path
        for path in (REPOSITORY / "docs").rglob("*.md")
        if path.relative_to(REPOSITORY / "docs").parts[0] not in GENERATED
    ),
]
NO_RUN = re.compile(r"<!-- no-run: (\S.*) -->")
PROGRAMS = re.compile(r"gan-jax |python -m (experiments|studies|benchmarks)\b")
PLACEHOLDER = re.compile(r"\b(NAME|RECIPE|COMMAND)\b|\.\.\.")


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    """Number of its first line, from 1."""
    no_run: str
    """Reason for which it is not run; empty if it is."""


def page_id(path: Path) -> str:
    """Return a name of the page for test reports."""
    return path.relative_to(REPOSITORY).as_posix()


def unnamed(path: Path) -> list[int]:
    """List the first lines of the blocks of a page that name no language."""
    return [block.line for block in _fenced(path.read_text()) if not block.language]


def blocks(path: Path) -> list[Block]:
    """List the blocks of a page that are marked as bash or Python."""
    return [block for block in _fenced(path.read_text()) if block.language in ("bash", "python")]


def _fenced(text: str) -> Iterator[Block]:
    fence, language, first, reason, content, before = "", "", 0, "", [], ""
    for number, line in enumerate(text.splitlines(), 1):
        opening = re.match(r"(`{3,}|:{3,})(\S*)", line)
        if fence and line.strip() == fence:
            yield Block(language, "\n".join(content) + "\n", first, reason)
            fence = ""
        elif fence:
            content.append(line)
        elif opening and opening[1][0] == "`":
            fence, language, first, content = opening[1], opening[2], number + 1, []
            comment = NO_RUN.fullmatch(before.strip())
            reason = comment[1] if comment else ""
        before = line


def commands(text: str) -> list[list[str]]:
    """List the words of each line of a bash block that is one of our commands."""
    lines = text.replace("\\\n", " ").splitlines()
    return [
        shlex.split(line.removeprefix(".venv/bin/"), comments=True)
        for line in lines
        if PROGRAMS.match(line.removeprefix(".venv/bin/"))
    ]


def inline_commands(path: Path) -> list[list[str]]:
    """List the complete commands in the text and in the tables of a page."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    codes = [code for code in re.findall(r"`([^`\n]+)`", text) if PROGRAMS.match(code)]
    words = [shlex.split(code) for code in codes if not PLACEHOLDER.search(code)]
    return [command for command in words if len(command) > 2]

"""Docstrings as reStructuredText: they are plain text with Google sections and `code`.

A handler of autodoc's event, which runs before napoleon reads the sections.
"""

import re
from typing import Any

SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Note|References):$")
EXAMPLE = re.compile(r"^Examples?:$")


def process(
    app: Any,  # noqa: ARG001
    kind: str,
    name: str,  # noqa: ARG001
    member: Any,  # noqa: ARG001
    options: Any,  # noqa: ARG001
    lines: list[str],
) -> None:
    """Rewrite the lines of a docstring in place (a handler of autodoc-process-docstring)."""
    # napoleon takes what stands before a colon in an attribute's first line for its type.
    first = [""] if kind in ("attribute", "data", "property") else []
    lines[:] = first + to_rst(lines)


def to_rst(lines: list[str]) -> list[str]:
    """Return the docstring with markup escaped and indented blocks marked as literal."""
    rst: list[str] = []
    mode, after_blank = "text", True
    for line in lines:
        if line and not line.startswith(" "):
            mode = "text"
            if SECTION.match(line):
                mode = "section"
            elif EXAMPLE.match(line):
                mode = "example"
        elif mode == "text" and after_blank and line.startswith("    "):
            mode = "literal"
            rst += ["::", ""]
        rst.append(line if mode in ("literal", "example") else _escaped(line))
        after_blank = not line
    return rst


def _escaped(line: str) -> str:
    """Escape a line outside of backticks, and make `code` a literal."""
    parts = re.split(r"(?<!`)`([^`]+)`(?!`)", line)
    parts[::2] = [re.sub(r"([|*])|_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)

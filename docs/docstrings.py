"""Docstrings as reStructuredText: they are plain text with Google sections and `code`."""

import re
from typing import Any

SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Note|References):$")
EXAMPLE = re.compile(r"^Examples?:$")


class Escaper:
    """Handlers of autodoc-process-docstring that run before and after napoleon."""

    def __init__(self) -> None:
        self._attribute: list[str] | None = None

    def before(self, app: Any, kind: str, name: str, *rest: Any) -> None:  # noqa: ARG002
        """Rewrite the lines in place. Those of attributes are kept from napoleon.

        It takes what stands before a colon in an attribute's first line for its type.
        """
        lines: list[str] = rest[-1]
        rst = to_rst(lines)
        self._attribute = rst if kind in ("attribute", "data", "property") else None
        lines[:] = [] if self._attribute else rst

    def after(self, app: Any, kind: str, name: str, *rest: Any) -> None:  # noqa: ARG002
        """Put the lines of an attribute back."""
        if self._attribute:
            rest[-1][:] = self._attribute


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

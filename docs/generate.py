"""Pages that are generated before each build, into folders that git ignores.

docs/_generated/   fragments that pages include: tables, flags, configuration
docs/api/          one page for each module
docs/recipes/      one page for each recipe
docs/notebooks/    copies of notebooks/
"""

import shutil
from pathlib import Path

from docs import api, command_line, configuration, recipe_pages, tables

DOCS = Path(__file__).parent


def write_all() -> None:
    """Write all generated pages. Files whose content is unchanged are not touched."""
    fragments = {f"tables/{name}.md": text for name, text in tables.site_tables().items()}
    fragments |= {"command-line.md": command_line.page(), "configuration.md": configuration.page()}
    _write(DOCS / "_generated", fragments)
    _write(DOCS / "api", api.pages())
    _write(DOCS / "recipes", recipe_pages.pages())
    _copy(DOCS.parent / "notebooks", "*.ipynb", DOCS / "notebooks")
    _copy(DOCS.parent / "experiments" / "results", "*.wav", DOCS / "_generated/extra/audio")


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Write pages by their path in the folder, and remove those of earlier builds."""
    for path in folder.rglob("*.md"):
        if path.relative_to(folder).as_posix() not in texts:
            path.unlink()
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def _copy(source: Path, pattern: str, target: Path) -> None:
    """Copy the files that match, where they are newer, and remove others."""
    target.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in source.glob(pattern)}
    for path in target.glob(pattern):
        if path.name not in names:
            path.unlink()
    for name in names:
        before, after = source / name, target / name
        if not after.exists() or after.read_bytes() != before.read_bytes():
            shutil.copyfile(before, after)

"""Commands: flags from a dataclass, and one clear line with status 2 where the user is mistaken."""

import contextlib
import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import jax
import tyro

from gan_jax.errors import UserError

T = TypeVar("T")


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """A UserError, or an error of the disk, becomes one line on stderr and exit status 2."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        yield
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


def parse(default: T) -> T:
    """The dataclass instance `default`, changed by the flags in sys.argv.

    Raises UserError, with the nearest flag where there is one, for flags that make no sense.
    """
    panel = io.StringIO()
    try:
        with contextlib.redirect_stderr(panel):
            return tyro.cli(type(default), default=default)
    except SystemExit as leaving:
        if leaving.code != 2:
            raise
        raise UserError(_one_line(panel.getvalue())) from None


def _one_line(panel: str) -> str:
    """What tyro's framed message says first, and the flag that it proposes."""
    text = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip(" │") for line in panel.splitlines()]
    text = [line for line in text if line and not line.startswith(("╭", "╰"))]
    rule = next((i for i, line in enumerate(text) if line.startswith("─")), len(text))
    said = " ".join(text[:rule])
    near = next((line.split()[0] for line in text[rule:] if line.startswith("--")), None)
    hint = f" (did you mean {near}?)" if near and "nrecognized" in said else ""
    return f"{said}{hint}; --help lists the flags"


def use_compilation_cache() -> None:
    """Keeps compiled programs on the disk, so that the second start of a run is quick.

    In $JAX_COMPILATION_CACHE_DIR, else in the user's cache folder.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        try:
            root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        except RuntimeError:  # a user without a home
            return
        jax.config.update("jax_compilation_cache_dir", str(root / "gan_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)

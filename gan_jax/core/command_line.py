"""Parsing of flags into dataclasses, with errors of one line and exit status 2."""

import contextlib
import dataclasses
import io
import logging
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from gan_jax.core.errors import UserError, suggestion

T = TypeVar("T")
Flat = Annotated[T, tyro.conf.arg(name="")]
"""A dataclass of flags, listed among the other flags in --help."""
Group = Annotated[T, tyro.conf.OmitArgPrefixes]
"""A dataclass of flags, listed as a separate group in --help."""


@dataclasses.dataclass(frozen=True)
class Imports:
    """User code to import."""

    modules: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="import", metavar="MODULE")
    ] = ()
    """Module, package, or file that defines networks of your own."""


# tyro reports errors as a framed text on stderr with exit status 2. Every report is reduced to one
# line; reports that match a pattern are reworded as `<name> must be <allowed>, got <value>`.
_REWORDED = (
    (r"invalid choice (.+) for argument '-*(.+?)'\. Expected one of \((.+?),?\) ?\.", r"\2|\3|\1"),
    (r"Error parsing -*(\S+): no type matching (.+) could be .*? from \[(.+?)\]\..*", r"\1|\2|\3"),
    (r"Error parsing -*(\S+): invalid literal for int\(\) with base 10: (.+)", r"\1|INT|\2"),
    (r"Error parsing -*(\S+): could not convert string to float: (.+)", r"\1|FLOAT|\2"),
)


def parse_imports(args: Sequence[str]) -> tuple[str, ...]:
    """Return the modules that `--import` names, ignoring other flags."""
    parsed, _ = parse_as(Imports, args=args, return_unknown_args=True, add_help=False)
    return parsed.modules


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Print a UserError or OSError as one line on stderr, and exit with status 2."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        yield
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


def parse(default: T, **options: Any) -> T:
    """Return a copy of a dataclass changed by flags.

    Args:
        default: Dataclass instance, which provides the default values.
        **options: Options of `parse_as`.

    Returns:
        The changed copy.

    Raises:
        UserError: If the flags are wrong.
    """
    return parse_as(type(default), default=default, **options)


def parse_as(
    target: Any,
    *,
    args: Sequence[str] | None = None,
    renamed: Mapping[str, str] | None = None,
    **options: Any,
) -> Any:
    """Parse flags into an instance of `target`.

    Args:
        target: Type for `tyro.cli`, not a function: its output would be captured.
        args: Words of the command line; by default those of `sys.argv`.
        renamed: New names of flags of earlier versions, by old name.
        **options: Further options of `tyro.cli`.

    Returns:
        The instance; with `return_unknown_args` also the unknown words.

    Raises:
        UserError: If the flags are wrong. For an unknown flag the message suggests a similar one.

    Example:
        >>> parse_imports(["--import", "my_networks", "--steps", "100"])
        ('my_networks',)
    """
    args = sys.argv[1:] if args is None else args
    text, panel = _stream(), io.StringIO()
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(panel):
            return tyro.cli(target, args=args, **options)
    except SystemExit as leaving:
        if leaving.code != 2:  # --help
            print(_wrap(_content(text)), end="")
            raise
    flags = _flags(target, options)
    for word in args:
        flag = word.partition("=")[0]
        if flag in (renamed or {}):
            raise UserError(f"{flag} is now {(renamed or {})[flag]}")
        if re.match(r"--[a-zA-Z]", flag) and flag.replace("_", "-") not in flags:
            raise UserError(
                f"flag must be one that --help lists, got {flag}{suggestion(flag, flags)}"
            )
    raise UserError(_one_line(panel.getvalue()))


def _stream() -> io.TextIOWrapper:
    """Return a stream in memory with the encoding of stdout, on which tyro's frames depend."""
    return io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding or "utf-8")


def _content(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def _wrap(text: str) -> str:
    """Wrap usage and description of a help text, which tyro leaves on one line."""
    width = shutil.get_terminal_size().columns
    lines = text.splitlines(keepends=True)
    return "".join(
        line if len(line) <= width or line[0] in "╭│╰+|" else textwrap.fill(line, width) + "\n"
        for line in lines
    )


def _flags(target: Any, options: Mapping[str, Any]) -> list[str]:
    """Return the flags in the help of `target`."""
    text = _stream()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        tyro.cli(target, args=["--help"], **options)
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", _content(text))))


def _one_line(panel: str) -> str:
    """Return the first section of a framed message as one line."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip(" │|") for line in panel.splitlines()]
    title = 0 if "╭" in panel else 2  # without a frame, a title and a rule
    lines = [line for line in lines if line and not line.startswith(("╭", "╰"))][title:]
    rule = next((i for i, line in enumerate(lines) if not line.strip("─-")), len(lines))
    text = " ".join(lines[:rule])
    for pattern, parts in _REWORDED:
        if match := re.fullmatch(pattern, text):
            name, allowed, value = match.expand(parts).split("|", 2)
            if "," in allowed:
                allowed = f"one of {allowed.replace(chr(39), '')}"
            return f"{name} must be {allowed}, got {value}"
    return f"{text}; --help lists the flags"


def use_compilation_cache() -> None:
    """Cache compiled programs on disk, so that later starts of a run are fast.

    The folder is `$JAX_COMPILATION_CACHE_DIR`, or `gan_jax/xla` in the user's cache folder.
    """
    import jax

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        try:
            root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        except RuntimeError:  # a user without a home
            return
        jax.config.update("jax_compilation_cache_dir", str(root / "gan_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)

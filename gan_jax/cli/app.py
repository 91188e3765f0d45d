"""Main function of `gan-jax`, and the table of its commands."""

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Union

import tyro

from gan_jax.cli import data, edit, evaluate, generate, runs
from gan_jax.cli.shared import Flat
from gan_jax.core import command_line
from gan_jax.core.command_line import Imports
from gan_jax.core.errors import UserError, suggestion

COMMANDS: dict[str, Callable[..., None]] = {
    "train": runs.train,
    "resume": runs.resume,
    "sample": generate.sample,
    "interpolate": generate.interpolate,
    "directions": generate.directions,
    "invert": edit.invert,
    "inpaint": edit.inpaint,
    "synthesize": generate.synthesize,
    "evaluate": evaluate.evaluate,
    "evaluate-folders": evaluate.evaluate_folders,
    "compare": runs.compare,
    "reproduce": runs.reproduce,
    "record": runs.record,
    "export": generate.export,
    "report": runs.report,
    "prepare": data.prepare,
    "recipes": runs.recipes,
}
# Commands with a first argument that determines the defaults of the flags.
FIRST_ARGUMENT = {"train": runs.train_recipe, "resume": runs.resume_run}
RENAMED_COMMANDS = {
    "augment": "synthesize",
    "repair": "inpaint",
    "score": "evaluate-folders",
    "diff": "compare",
}
RENAMED_FLAGS = {
    "sample": {"--num": "--num-samples"},
    "interpolate": {"--num": "--num-pairs"},
    "directions": {"--num": "--num-directions"},
    "invert": {"--num": "--num-images", "--hole": "--mask-kind"},
    "inpaint": {"--num": "--num-samples"},
    "evaluate": {"--num": "--num-samples"},
}
MARKERS = (tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff)


def main() -> None:
    """Run the command that `sys.argv` names."""
    with command_line.user_errors():
        run(sys.argv[1:])


def run(words: Sequence[str]) -> None:
    """Run one command.

    Args:
        words: Words of the command line, the name of the command first.

    Raises:
        UserError: If there is no such command, or its flags are wrong.
    """
    if not words or words[0].startswith("-"):
        _top_level(words)
        return
    name, *args = words
    if name in RENAMED_COMMANDS:
        raise UserError(f"{name} is now {RENAMED_COMMANDS[name]}: gan-jax {RENAMED_COMMANDS[name]}")
    if name not in COMMANDS:
        raise UserError(
            f"command must be one of {', '.join(COMMANDS)}, got {name}{suggestion(name, COMMANDS)}"
        )
    if name in FIRST_ARGUMENT and args and not args[0].startswith("-"):
        FIRST_ARGUMENT[name](args[0], args[1:])
        return
    command = command_line.parse_as(
        _arguments(COMMANDS[name]),
        args=args,
        prog=f"gan-jax {name}",
        description=_description(COMMANDS[name]),
        config=MARKERS,
        renamed=RENAMED_FLAGS.get(name),
    )
    for module in command.imports.modules:
        from gan_jax.config import serialization

        serialization.import_types(module)
    command_line.use_compilation_cache()
    command.call()


def _arguments(function: Callable[..., None]) -> type:
    """Return a dataclass of the function's arguments and of those that all commands have.

    Its field `call` holds the function with its arguments.
    """

    @functools.wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], None]:
        return functools.partial(function, *args, **kwargs)

    call = Annotated[Any, tyro.conf.arg(name="", constructor=bind)]
    fields = [("call", call), ("imports", Flat[Imports], Imports())]
    return dataclasses.make_dataclass("Command", fields)


def _description(function: Callable[..., None]) -> str:
    """Return the docstring of a function without its sections, one line per paragraph."""
    text = (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _top_level(words: Sequence[str]) -> None:
    """Print the help, or raise UserError for a command line without a command."""
    commands = tuple(
        Annotated[
            Any,
            tyro.conf.subcommand(
                name,
                description=_description(function).partition("\n")[0],
                constructor=lambda: None,
            ),
        ]
        for name, function in COMMANDS.items()
    )
    description = "Train, sample, evaluate and export GANs."
    command_line.parse_as(
        Union[commands],  # noqa: UP007
        args=words,
        prog="gan-jax",
        description=description,
    )

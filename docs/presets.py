"""The presets of a recipe as a table: every field that differs from its default."""

import dataclasses
from typing import Any

import flax.linen as nn

from docs.configuration import escape
from gan_jax.cli.recipes import Recipe
from gan_jax.config import Logging, Runtime, schema


def section(recipe: Recipe) -> str:
    """Return the table, a column for each preset."""
    columns = {name: _values(preset) for name, preset in recipe.presets.items()}
    flags = list(dict.fromkeys(flag for values in columns.values() for flag in values))
    lines = [
        "## Presets\n",
        "All fields that differ from their [defaults](../reference/configuration.md).\n",
        f"| field | {' | '.join(columns)} |",
        f"|{'---|' * (1 + len(columns))}",
    ]
    for flag in flags:
        cells = [escape(values.get(flag, "")) for values in columns.values()]
        lines.append(f"| `{flag}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _values(preset: schema.Preset) -> dict[str, str]:
    """List the fields of a preset that differ from their defaults, by dotted flag name."""
    values = {schema.flag_of(path): text for path, text in _differing("", preset.config)}
    for settings, default in ((preset.logging, Logging()), (preset.runtime, Runtime())):
        values |= dict(_differing("", settings, default))
    return {name.replace("_", "-"): text for name, text in values.items()}


def _differing(path: str, tree: Any, default: Any = None) -> list[tuple[str, str]]:
    """List the leaves of a dataclass that differ from `default`, or from the fields' defaults."""
    leaves = []
    for field in dataclasses.fields(tree):
        if isinstance(tree, nn.Module) and field.name in ("parent", "name"):
            continue
        value = getattr(tree, field.name)
        name = f"{path}.{field.name}".removeprefix(".")
        usual = field.default if default is None else getattr(default, field.name)
        if dataclasses.is_dataclass(value) and not _is_schedule(value):
            if isinstance(value, nn.Module):
                leaves.append((name, f"{_module_name(value)}"))
            same = value if type(usual) is not type(value) else usual
            leaves += _differing(name, value, None if same is value else same)
        elif value != usual:
            leaves.append((name, _text(value)))
    return leaves


def _is_schedule(value: Any) -> bool:
    return type(value).__name__ in ("Schedule", "Sweep")


def _module_name(module: nn.Module) -> str:
    return f"{type(module).__module__.removeprefix('gan_jax.')}.{type(module).__name__}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    return str(value)

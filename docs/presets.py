"""The presets of a recipe as a table: every field that differs from its default."""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn

from docs.configuration import escape
from gan_jax.cli.recipes import Recipe
from gan_jax.config import Schedule, schema
from gan_jax.config.sweeps import Sweep


class Leaf(NamedTuple):
    """A field of a config that holds no further fields."""

    value: Any
    is_default: bool


def section(recipe: Recipe) -> str:
    """Return the table, a column for each preset."""
    columns = {name: _leaves(preset) for name, preset in recipe.presets.items()}
    flags = list(dict.fromkeys(flag for leaves in columns.values() for flag in leaves))
    lines = [
        "## Presets\n",
        "All fields that differ from their [defaults](../reference/configuration.md).\n",
        f"| field | {' | '.join(columns)} |",
        f"|{'---|' * (1 + len(columns))}",
    ]
    for flag in flags:
        row = [leaves.get(flag) for leaves in columns.values()]
        if not all(leaf is None or leaf.is_default for leaf in row):
            cells = ["" if leaf is None else escape(_text(leaf.value)) for leaf in row]
            lines.append(f"| `{flag}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _leaves(preset: schema.Preset) -> dict[str, Leaf]:
    """List the leaves of a preset, by flag name."""
    leaves = {schema.flag_of(path): leaf for path, leaf in _walk("", preset.config, None)}
    leaves |= dict(_walk("", preset.logging, type(preset.logging)()))
    leaves |= dict(_walk("", preset.runtime, type(preset.runtime)()))
    return {name.replace("_", "-"): leaf for name, leaf in leaves.items()}


def _walk(path: str, tree: Any, default: Any) -> list[tuple[str, Leaf]]:
    """List the leaves of a dataclass; `default` is an instance of its type, or None."""
    leaves = []
    for field in dataclasses.fields(tree):
        if isinstance(tree, nn.Module) and field.name in ("parent", "name"):
            continue
        value = getattr(tree, field.name)
        usual = field.default if default is None else getattr(default, field.name)
        name = f"{path}.{field.name}".removeprefix(".")
        if not dataclasses.is_dataclass(value) or isinstance(value, Schedule | Sweep):
            leaves.append((name, Leaf(value, value == usual)))
            continue
        if isinstance(value, nn.Module):
            leaves.append((name, Leaf(_module_name(value), False)))
        leaves += _walk(name, value, usual if type(usual) is type(value) else None)
    return leaves


def _module_name(module: nn.Module) -> str:
    return f"{type(module).__module__.removeprefix('gan_jax.')}.{type(module).__name__}"


def _text(value: Any) -> str:
    """Write a value as a flag takes it."""
    return " ".join(map(_text, value)) if isinstance(value, tuple) else str(value)

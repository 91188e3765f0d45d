"""Reference of the configuration, generated from dataclass fields and their docstrings."""

import dataclasses
import re
import types
import typing
from typing import Any

from sphinx.pycode import ModuleAnalyzer

from gan_jax.config import schedules, schema

# In the order of the page, with the prefixes of their flags; None: a field has no flag.
GROUPS: tuple[tuple[type, tuple[str, ...] | None], ...] = (
    (schema.Config, ("",)),
    (schema.Objective, ("",)),
    (schema.Penalties, ("penalties.",)),
    (schema.Optimizer, ("gen-opt.", "disc-opt.", "pretrain.opt.")),
    (schema.Prior, ("",)),
    (schema.EMA, ("",)),
    (schema.Augment, ("augment.",)),
    (schema.Masks, ("masks.",)),
    (schema.Pretrain, ("pretrain.",)),
    (schema.ImageData, ("data.",)),
    (schema.PointData, ("data.",)),
    (schema.AudioData, ("data.",)),
    (schema.TextData, ("data.",)),
    (schema.Runtime, ("",)),
    (schema.Logging, ("",)),
    (schedules.Schedule, None),
)
FLAT_PATHS = {schema.Objective: "objective", schema.Prior: "prior", schema.EMA: "ema"}


def field_docs(kind: type) -> dict[str, str]:
    """Return the docstrings under the fields of a dataclass, its base classes' too, by name."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            comments = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
            for (owner, name), lines in comments.items():
                if owner == base.__name__:
                    docs[name] = " ".join(" ".join(lines).split())
    return docs


def type_name(annotation: Any) -> str:
    """Write a type for readers: `float or schedule`, `one of box, half`, `list of int`."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(args[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (types.UnionType, typing.Union):
        names = [type_name(part) for part in args if part is not types.NoneType]
        return " or ".join(names)
    if origin is tuple:
        return f"list of {type_name(args[0])}"
    return getattr(annotation, "__name__", str(annotation))


def _default(field: dataclasses.Field) -> str:
    if field.default is dataclasses.MISSING:
        return "required"
    if dataclasses.is_dataclass(field.default):
        return f"[{type(field.default).__name__}](#{type(field.default).__name__.lower()})"
    return f"`{field.default!r}`"


def _flags(kind: type, field: dataclasses.Field, prefixes: tuple[str, ...] | None) -> str:
    """Name the flags of a field."""
    if prefixes is None or dataclasses.is_dataclass(field.default) or field.name in ("gen", "disc"):
        return f"`{field.name}`"
    path = f"{FLAT_PATHS[kind]}.{field.name}" if kind in FLAT_PATHS else field.name
    name = schema.flag_of(path)
    return ", ".join(f"`--{prefix}{name}`".replace("_", "-") for prefix in prefixes)


def _group(kind: type, prefixes: tuple[str, ...] | None) -> str:
    """Return the section of one dataclass."""
    docs = field_docs(kind)
    lines = [f"## {kind.__name__}\n", " ".join((kind.__doc__ or "").split()) + "\n"]
    lines += ["| flag or field | type | default | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(kind):
        name = f"Name of the {_subject(kind)}." if field.name == "name" else ""
        meaning = escape(docs.get(field.name) or name)
        cells = (_flags(kind, field, prefixes), type_name(field.type), _default(field), meaning)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _subject(kind: type) -> str:
    return "data set" if issubclass(kind, schema.Data) else "algorithm"


def escape(text: str) -> str:
    """Escape what has a meaning in Markdown, outside of code, and bars everywhere."""
    parts = re.split(r"(`+[^`]*`+)", text)
    parts[::2] = [re.sub(r"([$<*])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("|", "\\|")


def page() -> str:
    """Return a section for each dataclass."""
    return "\n".join(_group(kind, prefixes) for kind, prefixes in GROUPS)

"""Config <-> JSON, exactly. The file is data: it can name classes of this package and nothing else.

Every value is held against the type that its field declares, when written as when read: what
`dumps` accepts, `loads` gives back.
"""

import dataclasses
import importlib
import json
import math
import re
import types
import typing
from typing import Any, Union

import flax.linen as nn

from gan_jax.config import Config
from gan_jax.errors import UserError, nearest
from gan_jax.networks import interface, layers
from gan_jax.validation import validate

PACKAGE = "gan_jax."
CLASS = re.compile(r"gan_jax(\.[A-Za-z_]\w*)+:[A-Za-z_]\w*")
WORDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    type(None): "null",
    nn.Module: "a network",
    interface.Generator: "a generator",
    interface.Discriminator: "a discriminator",
}
ROOT = "config"
WIDEST = 2**53  # integers up to this one are floats too


def _fields(cls: type) -> dict[str, dataclasses.Field]:
    """The fields that are written; of a network only hyper-parameters, so not the device axis."""
    linen = ("parent", "name") if issubclass(cls, nn.Module) else ()
    fields = [field for field in dataclasses.fields(cls) if field.init and field.name not in linen]
    return {field.name: field for field in fields if field.type is not layers.Axis}


def _required(field: dataclasses.Field) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _fits(value: Any, kind: Any) -> bool:
    """Whether the value is of the declared type `kind`; of types that it does not know, any is."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _fits(value, parts[0])
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is typing.Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        parts = parts[:1] * len(value) if parts[1:] == (...,) else parts
        return len(parts) == len(value) and all(map(_fits, value, parts))
    if kind in (int, float) and isinstance(value, bool):
        return False
    if kind is float and isinstance(value, int):
        return abs(value) <= WIDEST
    return value is None if kind is None else not isinstance(kind, type) or isinstance(value, kind)


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def _describe(kind: Any) -> str:
    """The declared type in words."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _describe(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_describe, parts)))
    if origin is typing.Literal:
        return f"one of {', '.join(map(json.dumps, parts))}"
    if origin is tuple:
        each = [_describe(part) for part in parts if part is not ...]
        return f"a list, each {each[0]}" if ... in parts else f"a list of {', '.join(each)}"
    return WORDS.get(kind) or _a(getattr(kind, "__name__", str(kind)))


def _show(value: Any) -> str:
    """A wrong value, on one short line."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _a(type(value).__name__)
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _inside(where: str, name: str) -> str:
    """The dotted name of a field; the config's own carry no prefix, as in a command's flags."""
    return name if where == ROOT else f"{where}.{name}"


def _check(value: Any, field: dataclasses.Field, where: str) -> None:
    if not _fits(value, field.type):
        raise UserError(f"{where} is {_show(value)}: it must be {_describe(field.type)}")


def _encode(value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        cls = type(value)
        if not cls.__module__.startswith(PACKAGE) or not cls.__qualname__.isidentifier():
            raise UserError(
                f"{where} is a {cls.__module__}.{cls.__qualname__}, which cannot be written to "
                f"config.json: only classes of modules under {PACKAGE} can"
            )
        encoded = {"_type": f"{cls.__module__}:{cls.__qualname__}"}
        for name, field in _fields(cls).items():
            item, inner = getattr(value, name), _inside(where, name)
            encoded[name] = _encode(item, inner)
            _check(item, field, inner)
        return encoded
    if isinstance(value, tuple):
        return [_encode(item, where) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    hint = ": write a tuple" if isinstance(value, list) else ""
    raise UserError(f"{where} is {_show(value)}, which cannot be written to config.json{hint}")


def _class(type_name: Any, where: str) -> type:
    said = f"{where}: _type {_show(type_name)}"
    if not isinstance(type_name, str) or not CLASS.fullmatch(type_name):
        raise UserError(f"{said}: only classes of modules under {PACKAGE} are allowed")
    module, _, name = type_name.partition(":")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise UserError(f"{said}: there is no such class") from None
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)) or cls.__module__ != module:
        raise UserError(f"{said} is not a configuration class")
    return cls


def _decode(value: Any, where: str) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, where) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where} is {value}: it must be finite")
    if not isinstance(value, dict):
        return value
    cls = _class(value.get("_type"), where)
    known, given = _fields(cls), {}
    for name, item in value.items():
        if name == "_type":
            continue
        if name not in known:
            raise UserError(
                f"{where}: {cls.__name__} has no field {_show(name)}{nearest(name, known)}"
            )
        inner = _inside(where, name)
        given[name] = _decode(item, inner)
        _check(given[name], known[name], inner)
    missing = [name for name in known if name not in given and _required(known[name])]
    if missing:
        raise UserError(f"{where}: {_a(cls.__name__)} needs {', '.join(missing)}")
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:  # what the class itself checks
        raise UserError(f"{where}: {' '.join(str(error).split())}") from None


def dumps(config: Config) -> str:
    """The config as JSON text. Raises UserError if a value in it cannot be written exactly, or is
    not of its field's type."""
    return json.dumps(_encode(config, ROOT), indent=2, allow_nan=False) + "\n"


def loads(text: str) -> Config:
    """The Config that `dumps` wrote: equal to it, field by field. Raises UserError otherwise."""
    try:
        tree = json.loads(text)
    except ValueError as error:  # also for integers of more digits than Python reads
        raise UserError(f"not JSON: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError("not a config: it is nested too deep") from None
    try:
        config = _decode(tree, ROOT)
    except RecursionError:
        raise UserError("not a config: it is nested too deep") from None
    if not isinstance(config, Config):
        raise UserError(f"not a config: {_show(config)}")
    validate(config)
    return config

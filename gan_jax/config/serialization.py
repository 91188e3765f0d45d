"""Exact conversion between configs and JSON.

Reading a file imports and executes nothing: a file names types of a closed table. The table has the
dataclasses of a Config and all networks of this package, by public names that do not depend on the
module of a class: `Config`, `Schedule`, `networks.mlp.Generator`. Types of a user's own modules
are added as `module.Class` by `register`.

Values are checked against the declared types of their fields in both directions, so `loads`
restores everything that `dumps` accepts.
"""

import dataclasses
import functools
import importlib
import importlib.util
import json
import math
import os
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

import flax.linen as nn

from gan_jax import networks
from gan_jax.config import version_0_1
from gan_jax.config.schema import Config, Data, Logging, Runtime
from gan_jax.config.validation import DATASET_NAMES, validate
from gan_jax.core.errors import UserError, suggestion
from gan_jax.networks import interface, layers

FORMAT = 2  # of config.json; files of version 0.1 have no format
TYPE_DESCRIPTIONS = {
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
MAX_EXACT_INTEGER = 2**53  # largest magnitude up to which every integer is a float


def _defined_in(module: types.ModuleType, prefix: str) -> dict[str, type]:
    """Return the dataclasses and Flax modules that a module defines, by public name."""
    return {
        f"{prefix}.{name}": value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and dataclasses.is_dataclass(value)
        and (value.__module__, value.__qualname__) == (module.__name__, name)
    }


def _nested_dataclasses(kind: Any) -> Iterator[type]:
    """Yield the dataclasses in a declared type and in their fields, except networks."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not issubclass(kind, nn.Module):
            yield kind
            for field in dataclasses.fields(kind):
                yield from _nested_dataclasses(field.type)
        return
    for part in typing.get_args(kind):
        yield from _nested_dataclasses(part)


@functools.cache
def _package_types() -> dict[str, type]:
    """Return the types of this package by public name."""
    declared = [cls for kind in (Config, *DATASET_NAMES) for cls in _nested_dataclasses(kind)]
    table = {cls.__name__: cls for cls in declared if cls is not Data}
    prefix = networks.__name__ + "."
    for info in pkgutil.walk_packages(networks.__path__, prefix):
        public = f"networks.{info.name.removeprefix(prefix)}"
        for name, cls in _defined_in(importlib.import_module(info.name), public).items():
            table[name] = cls
    return table


_user_types: dict[str, type] = {}


def _registered_types() -> dict[str, type]:
    return {**_user_types, **_package_types()}


def _public_module(module: types.ModuleType) -> str:
    """Return the name of a module; for a script, that of its file or of `python -m NAME`."""
    if module.__name__ != "__main__":
        return module.__name__
    if module.__spec__:
        return module.__spec__.name.removesuffix(".__main__")
    return Path(module.__file__).stem if module.__file__ else module.__name__


def register(module: types.ModuleType) -> None:
    """Add the Flax modules and dataclasses of a user's module to the table, as `module.Class`.

    Raises UserError if this package has a type of the same name.
    """
    defined = _defined_in(module, _public_module(module))
    if clashes := sorted(defined.keys() & _package_types().keys()):
        raise UserError(
            f"module must have another name, got {module.__name__}: gan_jax has a {clashes[0]}"
        )
    _user_types.update(defined)


def register_types_of(config: Config) -> None:
    """Register the user's modules that define networks and dataclasses of a config."""

    def walk(value: Any) -> None:
        if isinstance(value, tuple):
            for element in value:
                walk(element)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            if type(value) not in _registered_types().values():
                register(sys.modules[type(value).__module__])
            for name in _fields(type(value)):
                walk(getattr(value, name))

    walk(config)


def import_types(name: str) -> types.ModuleType:
    """Import a user's module and register its types, as `--import` does.

    Args:
        name: A module, a package (with its submodules), or a file NAME.py.

    Returns:
        The module.

    Raises:
        UserError: If it cannot be imported.
    """
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = _import_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
        register(module)
        for info in pkgutil.walk_packages(vars(module).get("__path__", ()), f"{name}."):
            if not info.name.endswith(".__main__"):
                register(importlib.import_module(info.name))
    except (ImportError, OSError, SyntaxError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--import must be a module or a file, got {name}: {reason}") from None
    return module


def _import_file(path: Path) -> types.ModuleType:
    """Import a file as a module named by its stem."""
    loaded = sys.modules.get(path.stem)
    if loaded is not None:
        if vars(loaded).get("__file__") == str(path.resolve()):
            return loaded
        raise ImportError(f"another module is named {path.stem}: rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _fields(cls: type) -> dict[str, dataclasses.Field]:
    """Return the fields to write: of a network the hyperparameters, but not the device axis."""
    linen = ("parent", "name") if issubclass(cls, nn.Module) else ()
    fields = [field for field in dataclasses.fields(cls) if field.init and field.name not in linen]
    return {field.name: field for field in fields if field.type is not layers.Axis}


def _required(field: dataclasses.Field) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a value is of the declared type `kind`; True for unknown kinds of types."""
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
        return abs(value) <= MAX_EXACT_INTEGER
    return value is None if kind is None else not isinstance(kind, type) or isinstance(value, kind)


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def _describe(kind: Any) -> str:
    """Return a declared type in words."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _describe(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_describe, parts)))
    if origin is typing.Literal:
        return f"one of {', '.join(map(json.dumps, parts))}"
    if origin is tuple:
        items = [_describe(part) for part in parts if part is not ...]
        return f"a list, each {items[0]}" if ... in parts else f"a list of {', '.join(items)}"
    return TYPE_DESCRIPTIONS.get(kind) or _with_article(getattr(kind, "__name__", str(kind)))


def _show(value: Any) -> str:
    """Return a value on one short line, for error messages."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _with_article(type(value).__name__)
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _field_path(path: str, name: str) -> str:
    """Return the dotted name of a field, without a prefix for fields of the config itself."""
    return name if path == ROOT else f"{path}.{name}"


def _check(value: Any, field: dataclasses.Field, path: str) -> None:
    if not _fits(value, field.type):
        raise UserError(f"{path} must be {_describe(field.type)}, got {_show(value)}")


def _encode(value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        cls = type(value)
        name = next((name for name, known in _registered_types().items() if known is cls), None)
        if name is None:
            raise UserError(
                f"{path} must be of a registered type, got {cls.__module__}.{cls.__qualname__}: "
                "serialization.register registers the types of a module"
            )
        encoded: dict[str, Any] = {"_type": name}
        for name, field in _fields(cls).items():
            item, inner = getattr(value, name), _field_path(path, name)
            encoded[name] = _encode(item, inner)
            _check(item, field, inner)
        return encoded
    if isinstance(value, tuple):
        return [_encode(item, path) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    allowed = "a tuple" if isinstance(value, list) else "a value that JSON can represent"
    raise UserError(f"{path} must be {allowed}, got {_show(value)}")


def _class(name: Any, path: str) -> type:
    cls = _registered_types().get(name) if isinstance(name, str) else None
    if cls is None:
        raise UserError(
            f"{path} must be of a registered type, got _type {_show(name)}: "
            "--import MODULE registers the types of your own modules"
        )
    return cls


def _decode(value: Any, path: str) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, path) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{path} must be finite, got {value}")
    if not isinstance(value, dict):
        return value
    cls = _class(value.get("_type"), path)
    known, values = _fields(cls), {}
    for name, item in value.items():
        if name == "_type":
            continue
        if name not in known:
            raise UserError(
                f"{path}: {cls.__name__} has no field {_show(name)}{suggestion(name, known)}"
            )
        inner = _field_path(path, name)
        values[name] = _decode(item, inner)
        _check(values[name], known[name], inner)
    missing = [name for name in known if name not in values and _required(known[name])]
    if missing:
        raise UserError(f"{path}: {_with_article(cls.__name__)} needs {', '.join(missing)}")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:  # from the checks of the class
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None


def _current(tree: Any) -> Any:
    """Convert a JSON tree to the current format, and remove the number of the format."""
    if not isinstance(tree, dict) or "format" not in tree:
        return version_0_1.upgrade(tree)
    tree = dict(tree)
    number = tree.pop("format")
    if type(number) is not int or number != FORMAT:
        raise UserError(f"format must be {FORMAT}, got {_show(number)}")
    return tree


def dumps(config: Config) -> str:
    """Convert a config to JSON text.

    Args:
        config: The config.

    Returns:
        The text of a config.json.

    Raises:
        UserError: If a value is not of its field's type, or JSON cannot represent it exactly.

    Example:
        >>> from gan_jax.networks import mlp
        >>> config = Config("example", mlp.Generator(), mlp.Discriminator(), steps=100)
        >>> loads(dumps(config)) == config
        True
    """
    tree = {"format": FORMAT, **_encode(config, ROOT)}
    return json.dumps(tree, indent=2, allow_nan=False) + "\n"


def loads(text: str) -> Config:
    """Read a config from the JSON text that `dumps` wrote, or version 0.1.

    Args:
        text: The text of a config.json.

    Returns:
        The config, validated.

    Raises:
        UserError: If the text is not a valid config.
    """
    try:
        tree = json.loads(text)
    except ValueError as error:  # also for integers with more digits than Python parses
        raise UserError(f"not JSON: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError("not a config: it is nested too deeply") from None
    try:
        config = _decode(_current(tree), ROOT)
    except RecursionError:
        raise UserError("not a config: it is nested too deeply") from None
    if not isinstance(config, Config):
        raise UserError(f"not a config: {_show(config)}")
    validate(config)
    return config


def dumps_settings(logging: Logging, runtime: Runtime) -> str:
    """Convert logging and runtime settings to the JSON text of a settings.json."""
    settings = {name: dataclasses.asdict(value) for name, value in _settings(logging, runtime)}
    return json.dumps({"format": FORMAT, **settings}, indent=2) + "\n"


def load_settings(tree: Any, source: str) -> tuple[Logging, Runtime]:
    """Read settings from a tree that `dumps_settings` wrote, or from a config of version 0.1.

    Args:
        tree: JSON tree.
        source: Name of the file, for error messages.

    Returns:
        The settings, with defaults for missing ones.

    Raises:
        UserError: If a value is not of its field's type.
    """
    if not isinstance(tree, dict):
        raise UserError(f"{source} is damaged: it must be an object, got {_show(tree)}")
    flat = {} if "format" in tree else tree  # version 0.1 has all settings in one object
    settings = []
    for name, default in _settings(Logging(), Runtime()):
        values = tree.get(name, flat)
        if not isinstance(values, dict):
            raise UserError(f"{source} is damaged: {name} must be an object, got {_show(values)}")
        known = {f.name: f for f in dataclasses.fields(default) if f.name in values}
        for field in known.values():
            if not _fits(values[field.name], field.type):
                value, allowed = _show(values[field.name]), _describe(field.type)
                raise UserError(f"{source} is damaged: {field.name} must be {allowed}, got {value}")
        settings.append(dataclasses.replace(default, **{n: values[n] for n in known}))
    return settings[0], settings[1]


def _settings(logging: Logging, runtime: Runtime) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("logging", logging), ("runtime", runtime)

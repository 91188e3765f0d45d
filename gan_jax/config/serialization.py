"""Config <-> JSON, exactly. The file is data: it names types of one closed table, nothing else.

A type's public name says nothing of where its class lives: `Config`, `Schedule`,
`networks.mlp.Generator`. The table holds the dataclasses that a Config can be made of and all of
`networks/`. A user's own types are in it under `module.Class` once their module is registered;
reading a file imports nothing.

Every value is held against the type that its field declares, when written as when read: what
`dumps` accepts, `loads` gives back.
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
from gan_jax.config.schema import FLAT_FIELDS, Config, Data, ImageData, Logging, Runtime
from gan_jax.config.validation import NAMES, validate
from gan_jax.core.errors import UserError, suggestion
from gan_jax.networks import interface, layers

FORMAT = 2  # of config.json; 1, which no file names, is version 0.1's, with Python paths as types
# The dataclasses of version 0.1 by the module that they were in.
V0_1_MODULES = {
    "gan_jax.config": ("Config", "Data", "Optimizer", "Penalties", "Pretrain"),
    "gan_jax.schedules": ("Schedule",),
    "gan_jax.sweeps": ("Sweep",),
    "gan_jax.augment": ("Augment",),
    "gan_jax.masks": ("Masks",),
}
V0_1 = {f"{module}:{name}": name for module, names in V0_1_MODULES.items() for name in names}
V0_1_NETWORKS = {"networks.packed.Packed": "networks.pacgan.PacGAN"}
# Names of fields in version 0.1, by type.
V0_1_FIELDS = {
    "Augment": {"colour": "color"},
    "Data": {"draw": "subset_seed"},
    "networks.pacgan.PacGAN": {"pack": "pac_size"},
}
# Texts that fields had in version 0.1, by type and field.
V0_1_TEXTS = {
    ("Augment", "diffaugment"): {"colour": "color"},
    ("Masks", "kinds"): {"free": "strokes", "pixels": "random"},
    ("Sweep", "field"): {"augment.colour": "augment.color"},
}
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
# Fields of version 0.1 that have left the config, or its data.
V0_1_SETTINGS = (
    "log_every sample_every score_every checkpoint_every keep skip_limit microbatch remat"
)
V0_1_DATA = "size channels cond symmetric length rate normalize spectrogram test_path level tokens"
V0_1_DATA += " vocabulary"
WIDEST = 2**53  # integers up to this one are floats too


def _defined_in(module: types.ModuleType, prefix: str) -> dict[str, type]:
    """The dataclasses, which Flax modules are too, that the module defines, by public name."""
    return {
        f"{prefix}.{name}": value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and dataclasses.is_dataclass(value)
        and (value.__module__, value.__qualname__) == (module.__name__, name)
    }


def _dataclasses_of(kind: Any) -> Iterator[type]:
    """The dataclasses in a declared type, and in the fields of these; no networks."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not issubclass(kind, nn.Module):
            yield kind
            for field in dataclasses.fields(kind):
                yield from _dataclasses_of(field.type)
        return
    for part in typing.get_args(kind):
        yield from _dataclasses_of(part)


@functools.cache
def _of_package() -> dict[str, type]:
    """This package's types by public name."""
    declared = [cls for kind in (Config, *NAMES) for cls in _dataclasses_of(kind)]
    table = {cls.__name__: cls for cls in declared if cls is not Data}
    prefix = networks.__name__ + "."
    for info in pkgutil.walk_packages(networks.__path__, prefix):
        public = f"networks.{info.name.removeprefix(prefix)}"
        for name, cls in _defined_in(importlib.import_module(info.name), public).items():
            table[name] = cls
    return table


_of_user: dict[str, type] = {}


def _table() -> dict[str, type]:
    return {**_of_user, **_of_package()}


def _public_module(module: types.ModuleType) -> str:
    """The module's name; a script's is that of its file, and of `python -m` the one given there."""
    if module.__name__ != "__main__":
        return module.__name__
    if module.__spec__:
        return module.__spec__.name.removesuffix(".__main__")
    return Path(module.__file__).stem if module.__file__ else module.__name__


def register(module: types.ModuleType) -> None:
    """Adds a user's Flax modules and dataclasses to the table, as `module.Class`.

    Raises UserError if this package has a type of that name.
    """
    defined = _defined_in(module, _public_module(module))
    if taken := sorted(defined.keys() & _of_package().keys()):
        raise UserError(f"module must be renamed, got {module.__name__}: gan_jax has a {taken[0]}")
    _of_user.update(defined)


def register_types_of(config: Config) -> None:
    """Registers the modules that define the networks and dataclasses of a config, where they are
    not this package's."""

    def walk(value: Any) -> None:
        if isinstance(value, tuple):
            for item in value:
                walk(item)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            if type(value) not in _table().values():
                register(sys.modules[type(value).__module__])
            for name in _fields(type(value)):
                walk(getattr(value, name))

    walk(config)


def import_types(name: str) -> types.ModuleType:
    """Imports a module, a package with its submodules or a file NAME.py, and registers its types.

    What `--import` does. Returns the module. Raises UserError if it cannot be imported.
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
    """The module of a file, by the name of its stem."""
    present = sys.modules.get(path.stem)
    if present is not None:
        if vars(present).get("__file__") == str(path.resolve()):
            return present
        raise ImportError(f"there is another module {path.stem}: rename the file")
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
        items = [_describe(part) for part in parts if part is not ...]
        return f"a list, each {items[0]}" if ... in parts else f"a list of {', '.join(items)}"
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
        name = next((name for name, known in _table().items() if known is cls), None)
        if name is None:
            raise UserError(
                f"{where} must be of a registered type, got {cls.__module__}.{cls.__qualname__}: "
                "serialization.register registers the types of a module"
            )
        encoded: dict[str, Any] = {"_type": name}
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


def _class(name: Any, where: str) -> type:
    cls = _table().get(name) if isinstance(name, str) else None
    if cls is None:
        raise UserError(
            f"{where} must be of a registered type, got _type {_show(name)}: "
            "--import MODULE registers the types of your own modules"
        )
    return cls


def _decode(value: Any, where: str) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, where) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where} is {value}: it must be finite")
    if not isinstance(value, dict):
        return value
    cls = _class(value.get("_type"), where)
    known, values = _fields(cls), {}
    for name, item in value.items():
        if name == "_type":
            continue
        if name not in known:
            raise UserError(
                f"{where}: {cls.__name__} has no field {_show(name)}{suggestion(name, known)}"
            )
        inner = _inside(where, name)
        values[name] = _decode(item, inner)
        _check(values[name], known[name], inner)
    missing = [name for name in known if name not in values and _required(known[name])]
    if missing:
        raise UserError(f"{where}: {_a(cls.__name__)} needs {', '.join(missing)}")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:  # what the class itself checks
        raise UserError(f"{where}: {' '.join(str(error).split())}") from None


def _upgrade(tree: Any) -> Any:
    """A JSON tree of version 0.1 with public names in place of Python paths."""
    if isinstance(tree, list):
        return [_upgrade(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    tree = {name: _upgrade(item) for name, item in tree.items()}
    if isinstance(path := tree.get("_type"), str):
        public = path.removeprefix("gan_jax.").replace(":", ".")
        if path in V0_1:
            tree = _rename({**tree, "_type": V0_1[path]})
            if tree["_type"] == "Config":
                return _upgrade_config(tree)
            if tree["_type"] == "Data":
                return _upgrade_data(tree)
        elif path.startswith("gan_jax.networks.") and path.count(":") == 1:
            tree = _rename({**tree, "_type": V0_1_NETWORKS.get(public, public)})
    return tree


def _rename(tree: dict[str, Any]) -> dict[str, Any]:
    """Replaces the names of fields and the texts that an object had in version 0.1."""
    name = tree["_type"]
    renamed = {V0_1_FIELDS.get(name, {}).get(field, field): item for field, item in tree.items()}
    for (owner, field), texts in V0_1_TEXTS.items():
        if owner == name and field in renamed:
            renamed[field] = _replace_texts(renamed[field], texts)
    return renamed


def _replace_texts(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_replace_texts(item, texts) for item in value]
    return texts.get(value, value) if isinstance(value, str) else value


def _upgrade_config(tree: dict[str, Any]) -> dict[str, Any]:
    """Sorts the fields of version 0.1's Config into the dataclasses that have them now."""
    tree = {name: item for name, item in tree.items() if name not in V0_1_SETTINGS.split()}
    types = {"objective": "Objective", "prior": "Prior", "ema": "EMA"}
    for flag, path in FLAT_FIELDS.items():
        group, field = path.split(".")
        if flag in tree:
            tree.setdefault(group, {"_type": types[group]})[field] = tree.pop(flag)
    return tree


def _upgrade_data(tree: dict[str, Any]) -> dict[str, Any]:
    """Chooses the type of version 0.1's Data by its name, and drops the fields of other types."""
    name = str(tree.get("name", "digits")).partition(":")[0]
    kind = next((kind for kind, names in NAMES.items() if name in names), ImageData)
    dropped = set(V0_1_DATA.split()) - _fields(kind).keys()
    fields = {name: item for name, item in tree.items() if name not in dropped}
    return {**fields, "_type": kind.__name__}


def _current(tree: Any) -> Any:
    """A JSON tree in the current format, without the format's number. Raises UserError if it is of
    a later one."""
    if not isinstance(tree, dict) or "format" not in tree:
        return _upgrade(tree)
    tree = dict(tree)
    number = tree.pop("format")
    if type(number) is not int or number != FORMAT:
        raise UserError(f"format must be {FORMAT}, got {_show(number)}")
    return tree


def dumps(config: Config) -> str:
    """The config as JSON text. Raises UserError if a value in it cannot be written exactly, or is
    not of its field's type."""
    tree = {"format": FORMAT, **_encode(config, ROOT)}
    return json.dumps(tree, indent=2, allow_nan=False) + "\n"


def loads(text: str) -> Config:
    """The Config that `dumps` wrote, now or in version 0.1. Raises UserError otherwise."""
    try:
        tree = json.loads(text)
    except ValueError as error:  # also for integers of more digits than Python reads
        raise UserError(f"not JSON: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError("not a config: it is nested too deep") from None
    try:
        config = _decode(_current(tree), ROOT)
    except RecursionError:
        raise UserError("not a config: it is nested too deep") from None
    if not isinstance(config, Config):
        raise UserError(f"not a config: {_show(config)}")
    validate(config)
    return config


def dumps_settings(logging: Logging, runtime: Runtime) -> str:
    """Writes how a run is executed and logged as JSON text."""
    settings = {name: dataclasses.asdict(value) for name, value in _settings(logging, runtime)}
    return json.dumps({"format": FORMAT, **settings}, indent=2) + "\n"


def load_settings(tree: Any, where: str) -> tuple[Logging, Runtime]:
    """Reads the tree that `dumps_settings` wrote, or version 0.1's config.

    Args:
        tree: JSON tree.
        where: Name of the file, for errors.

    Returns:
        The settings, with defaults for those that the tree does not have.

    Raises:
        UserError: If a value is not of its field's type.
    """
    if not isinstance(tree, dict):
        raise UserError(f"{where} is damaged: it must be an object, got {_show(tree)}")
    absent = {} if "format" in tree else tree  # version 0.1 has all settings beside each other
    settings = []
    for name, default in _settings(Logging(), Runtime()):
        values = tree.get(name, absent)
        if not isinstance(values, dict):
            raise UserError(f"{where} is damaged: {name} must be an object, got {_show(values)}")
        known = {f.name: f for f in dataclasses.fields(default) if f.name in values}
        for field in known.values():
            if not _fits(values[field.name], field.type):
                value, allowed = _show(values[field.name]), _describe(field.type)
                raise UserError(f"{where} is damaged: {field.name} must be {allowed}, got {value}")
        settings.append(dataclasses.replace(default, **{n: values[n] for n in known}))
    return settings[0], settings[1]


def _settings(logging: Logging, runtime: Runtime) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("logging", logging), ("runtime", runtime)

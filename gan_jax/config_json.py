"""Config <-> JSON, exactly. The file is data: it can name classes of this package and nothing else."""

import dataclasses
import importlib
import json
import math
from typing import Any

import flax.linen as nn

from gan_jax.config import Config, validate
from gan_jax.errors import UserError

PACKAGE = "gan_jax."


def _fields(cls: type) -> list[str]:
    linen = ("parent", "name") if issubclass(cls, nn.Module) else ()
    return [field.name for field in dataclasses.fields(cls) if field.init and field.name not in linen]


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        cls = type(value)
        if not cls.__module__.startswith(PACKAGE):
            raise UserError(
                f"{cls.__module__}.{cls.__qualname__} cannot be written to config.json: "
                f"only classes of modules under {PACKAGE} can"
            )
        encoded = {name: _encode(getattr(value, name)) for name in _fields(cls)}
        return {"_type": f"{cls.__module__}:{cls.__qualname__}", **encoded}
    if isinstance(value, (tuple, list)):
        return [_encode(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise UserError(f"{value!r} cannot be written to config.json")


def _class(type_name: Any) -> type:
    module, _, name = str(type_name).partition(":")
    if not module.startswith(PACKAGE) or not name.isidentifier():
        raise UserError(f"_type {type_name!r}: only classes of modules under {PACKAGE} are allowed")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise UserError(f"_type {type_name!r}: there is no such class") from None
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)) or cls.__module__ != module:
        raise UserError(f"_type {type_name!r} is not a configuration class")
    return cls


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    cls = _class(value.get("_type"))
    fields = {name: _decode(item) for name, item in value.items() if name != "_type"}
    unknown = sorted(set(fields) - set(_fields(cls)))
    if unknown:
        raise UserError(f"{cls.__name__} has no field {unknown[0]!r}")
    try:
        return cls(**fields)
    except TypeError as error:
        raise UserError(f"{cls.__name__}: {error}") from None


def dumps(config: Config) -> str:
    """The config as JSON text. Raises UserError if a value in it cannot be written exactly."""
    return json.dumps(_encode(config), indent=2, allow_nan=False) + "\n"


def loads(text: str) -> Config:
    """The Config that `dumps` wrote: equal to it, field by field. Raises UserError otherwise."""
    try:
        config = _decode(json.loads(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"not JSON: {error}") from None
    if not isinstance(config, Config):
        raise UserError("not a gan_jax Config")
    try:
        validate(config)
    except (TypeError, AttributeError) as error:
        raise UserError(f"a value has the wrong type: {error}") from None
    return config

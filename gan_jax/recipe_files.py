"""Find recipes by name or path, list them, and describe one without training it."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from gan_jax.config import Config
from gan_jax.errors import UserError


class Recipe(NamedTuple):
    """A recipe file."""

    name: str
    config: Config
    small: Config | None
    docstring: str
    path: Path


def find(name_or_path: str, *, register: Callable[[ModuleType], None] | None = None) -> Recipe:
    """Return the recipe of this name, or in this file."""
    path = Path(name_or_path)
    if path.suffix == ".py":
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.exists():
            raise UserError(f"recipe must be a name or a file, got {name_or_path!r}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if register:
            register(module)
    else:
        try:
            module = importlib.import_module(f"experiments.{name_or_path}")
        except ImportError:
            raise UserError(f"recipe must be a name or a file, got {name_or_path!r}") from None
    members = vars(module)
    return Recipe(path.stem, members["config"], members.get("small"), module.__doc__ or "", path)


def print_recipes() -> None:
    """Print all recipes."""
    raise NotImplementedError


def dry_run(config: Config) -> None:
    """Print what a training of `config` would need."""
    raise NotImplementedError(config.name)

"""Recipes: loading by name or file, and the table of recipes in the package."""

import dataclasses
import difflib
import importlib
import importlib.util
import inspect
import json
import pkgutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import gan_jax
from gan_jax.config import Config, Preset
from gan_jax.core.errors import UserError
from gan_jax.reporting.sweeps import format_mean_std
from gan_jax.training.dry_run import format_duration

PACKAGE = "gan_jax.recipes"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A module with a `config`, and optionally with `presets` or a `small` config."""

    name: str
    """Name of the module."""
    presets: Mapping[str, Preset]
    """Versions of the recipe by name, the default one first."""
    docstring: str
    """Docstring of the module."""
    path: Path
    """Path to the file of the module."""

    @property
    def config(self) -> Config:
        """Return the config of the default preset."""
        return next(iter(self.presets.values())).config

    @property
    def small(self) -> Config | None:
        """Return the config of the preset `small`, if there is one."""
        return self.presets["small"].config if "small" in self.presets else None


@dataclasses.dataclass(frozen=True)
class Summary:
    """A row of the table of recipes."""

    name: str
    """Name of the recipe."""
    data: str
    """Name and split of the data set."""
    presets: tuple[str, ...]
    """Names of the presets other than full."""
    recorded: str
    """Preset of the recorded runs, or "" without a record."""
    cost: str
    """Recorded training time and device."""
    result: str
    """Recorded headline metric, over the seeds."""


def _package() -> ModuleType:
    """Import the recipes from an installed wheel, or from experiments/ in a clone."""
    try:
        return importlib.import_module(PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise
    folder = Path(gan_jax.__path__[0]).parent / "experiments"
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    sys.modules[PACKAGE] = package
    return package


def recipe_names() -> list[str]:
    """Return the names of all recipes of the package."""
    modules = (module.name for module in pkgutil.iter_modules(_package().__path__))
    return sorted(name for name in modules if not name.startswith("_"))


def load_recipe(
    name_or_path: str | Path, *, register: Callable[[ModuleType], None] | None = None
) -> Recipe:
    """Load a recipe of the package or from a user's file.

    Args:
        name_or_path: Name of a recipe, or path to a Python file with a `config`. The folder of the
            file becomes the first entry of `sys.path`, so that the file can import its neighbors.
        register: Function to call with the module of a user's file before its config is read.

    Returns:
        The recipe.

    Raises:
        UserError: If there is no such recipe or file, or it has no `config`.

    Example:
        >>> load_recipe("ring_mlp").config.name
        'ring_mlp'
    """
    text = str(name_or_path)
    if text.endswith(".py"):
        path = Path(text).resolve()
        if path.parent == Path(_package().__path__[0]).resolve():
            return load_recipe(path.stem)
        module = _load_file(path)
        if register is not None:
            register(module)
        return _recipe(module)
    names = recipe_names()
    if text not in names:
        close = difflib.get_close_matches(text, names)
        hint = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
        raise UserError(
            f"recipe must be a name that `gan-jax recipes` lists or a .py file, got {text!r}{hint}"
        )
    return _recipe(importlib.import_module(f"{PACKAGE}.{text}"))


def _load_file(path: Path) -> ModuleType:
    """Import a recipe file as a module named by its stem."""
    if not path.is_file():
        raise UserError(f"recipe must be a file that exists, got {path}")
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None:
        if Path(getattr(loaded, "__file__", None) or "").resolve() == path:
            return loaded
        raise UserError(f"recipe must not have the name of a loaded module, got {path.name}")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _recipe(module: ModuleType) -> Recipe:
    """Read the docstring and the presets of a module, by default from `config` and `small`."""
    path, values = Path(module.__file__ or ""), vars(module)
    configs = {"full": values.get("config"), "small": values.get("small")}
    for name, config in configs.items():
        if not (isinstance(config, Config) or (name == "small" and config is None)):
            field = "config" if name == "full" else name
            raise UserError(f"{field} must be a gan_jax Config in {path.name}, got {config!r:.60}")
    presets = values.get("presets")
    if presets is None:
        presets = {name: Preset(config) for name, config in configs.items() if config}
    if not (isinstance(presets, dict) and all(isinstance(p, Preset) for p in presets.values())):
        raise UserError(f"presets must be a dict of Presets in {path.name}, got {presets!r:.60}")
    name = module.__name__.rpartition(".")[2]
    return Recipe(name, presets, inspect.getdoc(module) or "", path)


def list_recipes() -> list[Summary]:
    """Return a row for each recipe of the package, with its recorded results."""
    results = Path(_package().__path__[0]) / "results"
    return [_summary(load_recipe(name), results) for name in recipe_names()]


def _summary(recipe: Recipe, results: Path) -> Summary:
    data = f"{recipe.config.data.name} {recipe.config.data.split}"
    presets = () if recipe.small is None else ("small",)
    for version, config in (("full", recipe.config), ("small", recipe.small)):
        path = results / f"{config.name}.json" if config else results
        if path.is_file():
            record = json.loads(path.read_text())
            result = _result(record, path.with_name(f"{path.stem}_study.json"))
            return Summary(recipe.name, data, presets, version, _cost(record), result)
    return Summary(recipe.name, data, presets, "", "", "")


def _cost(record: dict[str, Any]) -> str:
    """Return the training time of all seeds, and the device."""
    runs, device = record["runs"], record["versions"]["device"]
    # The seeds of a population share one training time.
    is_population = runs[0].get("members", 1) > 1
    seconds = (
        runs[0]["train_seconds"] if is_population else sum(run["train_seconds"] for run in runs)
    )
    machine = f"{device['cores']} CPU cores" if device["platform"] == "cpu" else device["kind"]
    return f"{format_duration(seconds)} on {machine}"


def _result(record: dict[str, Any], study: Path) -> str:
    """Return the headline metric: the first score of the runs, or that of a study."""
    runs = record["runs"]
    seeds = f"{len(runs)} seed{'s' * (len(runs) > 1)}"
    cards = {card["metric"]: card for card in record.get("protocol") or []}
    for metric in list(runs[0]["scores"])[:1]:
        values = [float(run["scores"][metric]) for run in runs]
        digits = 0 if values[0].is_integer() and len(set(values)) == 1 else 2
        features, expected = (cards.get(metric, {}).get(key) for key in ("features", "expected"))
        total = f" of {expected:g}" if expected else ""
        source = f" ({features})" if features and features != "tokens" else ""
        return f"{metric} {format_mean_std(values, digits)}{total}{source}, {seeds}"
    rows = json.loads(study.read_text()).get("rows", []) if study.is_file() else []
    for row in rows:
        if row["metric"] == "won_back":
            return f"won_back {format_mean_std(row['values'], 2)} ({row['kind']}), {seeds}"
    return ""


def print_recipes() -> None:
    """Print the table of recipes."""
    header = ("recipe", "data", "preset", "recorded", "training", "result")
    rows = [
        (row.name, row.data, ", ".join(row.presets), row.recorded, row.cost, row.result)
        for row in list_recipes()
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())

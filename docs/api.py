"""API reference: a page for each module, generated from its docstrings by autodoc."""

import contextlib
import importlib
import inspect
import pkgutil
import typing
from types import ModuleType
from typing import Any

import gan_jax

NETWORK_FIELDS = "parent, scope, name"  # of every Flax module


def module_names() -> list[str]:
    """List the package and its public modules, by name."""
    modules = pkgutil.walk_packages(gan_jax.__path__, "gan_jax.")
    names = [module.name for module in modules if not _is_private(module.name)]
    return ["gan_jax", *sorted(names)]


def _is_private(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.startswith("_") or name.startswith("gan_jax.recipes")


def pages() -> dict[str, str]:
    """Return the pages by file name: index.md, and one for each module."""
    names = module_names()
    texts = {f"{name}.md": _page(name, names) for name in names if name != "gan_jax"}
    return {**texts, "index.md": _index(names)}


def simplify_annotations() -> None:
    """Remove the marks for the command line (`Annotated`) from all annotations, for display."""
    for name in module_names():
        for member in _members(importlib.import_module(name)):
            with contextlib.suppress(NameError):  # names that only type checkers import
                hints = typing.get_type_hints(member)
                own = vars(member).get("__annotations__") or inspect.get_annotations(member)
                member.__annotations__ = {key: hints[key] for key in own if key in hints}


def shorten_signature(*event: Any) -> tuple[str | None, str | None]:
    """Write `Array` for JAX's internal name of it (a handler of autodoc-process-signature)."""
    signature, returned = (text and text.replace("jaxlib._jax.", "") for text in event[-2:])
    return signature, returned


def _members(module: ModuleType) -> list[Any]:
    """List the functions and classes that a module defines, and the classes' methods."""

    def is_local(member: Any) -> bool:
        defined = inspect.isfunction(member) or inspect.isclass(member)
        return defined and member.__module__ == module.__name__

    members = [member for member in vars(module).values() if is_local(member)]
    classes = [member for member in members if inspect.isclass(member)]
    return [*members, *(m for c in classes for m in vars(c).values() if inspect.isfunction(m))]


def _children(name: str, names: list[str]) -> list[str]:
    return [child for child in names if child.rpartition(".")[0] == name]


def _toctree(children: list[str]) -> str:
    lines = [f"{child.removeprefix('gan_jax.')} <{child}>" for child in children]
    return "\n".join(["```{toctree}", ":maxdepth: 1", "", *lines, "```", ""])


def _automodule(name: str) -> str:
    options = [f".. automodule:: {name}"]
    options.append("   :ignore-module-all:")
    if hasattr(importlib.import_module(name), "__path__"):  # a package defines nothing itself
        options.append("   :no-members:")
    if name.startswith("gan_jax.networks"):
        options.append(f"   :exclude-members: {NETWORK_FIELDS}")
    return "\n".join(["```{eval-rst}", *options, "```", ""])


def _page(name: str, names: list[str]) -> str:
    children = _children(name, names)
    parts = [f"# {name}\n", _automodule(name)]
    return "\n".join([*parts, "## Modules\n", _toctree(children)] if children else parts)


def _summary(name: str) -> str:
    text = (importlib.import_module(name).__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split())


def _public_names() -> list[str]:
    """List the names that `import gan_jax` offers, linked to their definitions."""
    lines = []
    for name in gan_jax.__all__:
        member = getattr(gan_jax, name)
        kind = "class" if inspect.isclass(member) else "func"
        target = f"{member.__module__}.{member.__qualname__}"
        lines.append(f"- {{py:{kind}}}`gan_jax.{name} <{target}>`")
    return lines


def _index(names: list[str]) -> str:
    """Return the start page: the packages in the order of their layers are in architecture.md."""
    packages = _children("gan_jax", names)
    rows = [f"| [`{name}`]({name}.md) | {_summary(name)} |" for name in packages]
    return "\n".join(
        [
            "# API\n",
            "Generated from the docstrings. [Architecture](../architecture.md) explains how the",
            "packages depend on each other.\n",
            "| module | content |",
            "|---|---|",
            *rows,
            "",
            _automodule("gan_jax"),
            "These names are part of the package itself:\n",
            *_public_names(),
            "",
            _toctree(packages).replace(":maxdepth: 1", ":maxdepth: 1\n:hidden:"),
        ]
    )

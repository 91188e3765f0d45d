"""API reference: a page for each module, generated from its docstrings by autodoc."""

import importlib
import pkgutil

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


def _children(name: str, names: list[str]) -> list[str]:
    return [child for child in names if child.rpartition(".")[0] == name]


def _toctree(children: list[str]) -> str:
    lines = [f"{child.removeprefix('gan_jax.')} <{child}>" for child in children]
    return "\n".join(["```{toctree}", ":maxdepth: 1", "", *lines, "```", ""])


def _automodule(name: str) -> str:
    options = [f".. automodule:: {name}"]
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
            _toctree(packages).replace(":maxdepth: 1", ":maxdepth: 1\n:hidden:"),
        ]
    )

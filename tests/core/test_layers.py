"""Layers of packages: each package of gan_jax imports only those above it in the list."""

import ast
from pathlib import Path

import pytest

import gan_jax

LAYERS = ["core", "losses", "networks", "config", "data", "training", "runs", "inference"]
LAYERS += ["metrics", "reporting", "train", "cli", "__main__"]
ROOT = Path(gan_jax.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in LAYERS)


def imports(path: Path) -> set[str]:
    """Return the layers that a module imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    parts = [name.split(".") for name in names if name.startswith("gan_jax.")]
    return {part[1] for part in parts if part[1] in LAYERS}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_from_its_layer_and_those_above(path):
    layer = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if layer == "recipes":  # experiments/, installed from a wheel
        pytest.skip("recipes may import every layer")
    below = {name for name in imports(path) if LAYERS.index(name) > LAYERS.index(layer)}
    assert not below


def test_every_package_is_a_layer():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"recipes"}
    assert packages <= set(LAYERS)

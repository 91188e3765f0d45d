"""Generated pages of the documentation agree with the code and the records."""

import json
import pkgutil
import re
from collections.abc import Iterator

import pytest

pytest.importorskip("sphinx")  # which the environment of `make test` lacks

from docs import command_line, configuration, docstrings, logged_metrics, mathtext
from gan_jax.cli import app, recipes
from gan_jax.config import Config, serialization
from tests.helpers.paths import REPOSITORY

RESULTS = REPOSITORY / "experiments" / "results"
MIGRATION = (REPOSITORY / "docs" / "migration.md").read_text()
RECORDS = sorted(path for path in RESULTS.glob("*.json") if '"curve"' in path.read_text())


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_logged_metrics_of_a_record_are_described(path):
    record = json.loads(path.read_text())
    config = serialization.loads(json.dumps(record["config"]))
    names = logged_metrics.names_of(config)
    assert {*record["curve"]} - {"step"} == {*names}
    assert {*names} <= logged_metrics.meanings().keys()


def test_every_command_and_field_is_on_its_page():
    page = command_line.page()
    assert all(f"## gan-jax {name}\n" in page for name in app.COMMANDS)
    assert "--num-samples INT" in page
    docs = configuration.field_docs(Config)
    assert docs["seed"]
    assert "--penalties.r1" in configuration.page()


def test_a_docstring_becomes_restructured_text():
    lines = ["|x| of `a*b` and *args.", "", "    code |x|", "", "Args:", "    x: An |x|."]
    assert docstrings.to_rst(lines) == [
        r"\|x\| of ``a*b`` and \*args.",
        "",
        "::",
        "",
        "    code |x|",
        "",
        "Args:",
        r"    x: An \|x\|.",
    ]


def test_a_formula_is_drawn():
    drawing = mathtext.svg(r"\frac{1}{2} E_{x \sim p} \Vert \nabla_x f(x) \Vert_2^2 < 1")
    assert drawing.startswith("<svg")
    assert 'aria-label="\\frac' in drawing
    assert "&lt; 1" in drawing


def current_names(heading: str) -> Iterator[str]:
    """Yield the names in the last column of a table of the migration page, in full."""
    section = MIGRATION.split(f"## {heading}\n")[1].split("\n## ")[0]
    for row in re.findall(r"^\|.* \| (.*) \|$", section, re.MULTILINE):
        name = ""
        for code in re.findall(r"`([\w.]+)(?:\(.*?\)|\.\*)?`", row):
            # A shortened name follows the module of the name before it.
            module = re.sub(r"\.\w+$", "", name)
            name = module + code if code.startswith(".") else code
            yield "gan_jax." + name.removeprefix("gan_jax.")


@pytest.mark.parametrize("heading", ["Modules", "Functions and types"])
def test_names_on_the_migration_page_exist(heading):
    recipes.recipe_names()  # makes gan_jax.recipes importable in a clone
    names = [*current_names(heading)]
    assert len(names) > 30
    for name in names:
        pkgutil.resolve_name(name)

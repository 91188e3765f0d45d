"""README and generated parts of the documentation agree with the records and the code."""

import json
import re

import pytest

from docs import command_line, configuration, docstrings, logged_metrics, mathtext, tables
from gan_jax.cli import app
from gan_jax.config import Config, serialization
from tests.helpers.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
GUARANTEES = (REPOSITORY / "docs" / "guarantees.md").read_text()
RESULTS = REPOSITORY / "experiments" / "results"
RECORDS = sorted(path for path in RESULTS.glob("*.json") if '"curve"' in path.read_text())


def test_the_tables_of_the_readme_are_those_of_the_records():
    assert tables.updated(README) == README


def test_an_unknown_table_is_named():
    with pytest.raises(ValueError, match="got absent"):
        tables.updated("<!-- absent -->\n\n<!-- end of absent -->")


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_records_hold_what_made_them(path):
    text = path.read_text()
    record = json.loads(text)
    runs = record.get("runs", [record])
    commands = [launch["command"] for run in runs for launch in run.get("launches", [run])]
    assert all(re.match(r"python -m (experiments|gan_jax)\.", command) for command in commands)
    assert {"python", "packages", "git_commit", "device"} <= record["versions"].keys()
    data = [classifier["data"] for classifier in record.get("classifiers", {}).values()]
    hashed = re.search('"real_sha256": "[0-9a-f]{64}"', text)
    assert data or "data" in record["versions"] or hashed
    assert len({run.get("seed") for run in runs}) == len(runs)


def test_links_of_the_readme_resolve():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


@pytest.mark.parametrize("row", [row for row in GUARANTEES.splitlines() if "`tests/" in row])
def test_the_tests_of_a_guarantee_exist(row):
    test_files = re.findall(r"`(tests/[\w/.]+)`", row)
    paths = [REPOSITORY / name for name in test_files]
    assert all(path.exists() for path in paths)
    sources = "".join(path.read_text() for path in paths if path.is_file())
    for name in re.findall(r"`(test_\w+)\*?`", row):
        assert f"def {name}" in sources


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_logged_metrics_of_a_record_are_described(path):
    record = json.loads(path.read_text())
    config = serialization.from_json(record["config"])
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

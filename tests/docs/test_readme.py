"""The README: tables from the result files, links, names of tests, and code that runs."""

import json
import re

import pytest

from docs import tables
from tests.helpers.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
RESULTS = REPOSITORY / "experiments" / "results"


def test_the_tables_are_those_of_the_result_files():
    assert tables.updated(README) == README


def test_a_table_without_its_place_is_named():
    with pytest.raises(ValueError, match="no place for the table 'speed'"):
        tables.updated(README.replace("<!-- speed -->", ""))


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_say_how_they_were_made(path):
    text = path.read_text()
    found = json.loads(text)
    runs = found.get("runs", [found])
    commands = [launch["command"] for one in runs for launch in one.get("launches", [one])]
    assert all(re.match(r"python -m (experiments|gan_jax)\.", command) for command in commands)
    assert {"python", "packages", "git_commit", "device"} <= found["versions"].keys()
    data = [one["data"] for one in found.get("classifiers", {}).values()]
    assert data or "data" in found["versions"] or re.search('"real_sha256": "[0-9a-f]{64}"', text)
    assert len({one.get("seed") for one in runs}) == len(runs)


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) > 15
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


@pytest.mark.parametrize("name", re.findall(r"`(test_\w+)\*?`", README))
def test_tests_that_the_readme_names_exist(name):
    sources = "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py"))
    assert f"def {name}" in sources


def test_python_blocks_run():
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    exec(block, names)
    assert names["step"] >= 100

"""README and guarantees agree with the records and with the tests."""

import json
import re

import pytest

from docs import tables
from tests.helpers.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
GUARANTEES = (REPOSITORY / "docs" / "guarantees.md").read_text()
RESULTS = REPOSITORY / "experiments" / "results"


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

"""The README tells the truth: its table comes from the result files, its code runs."""

import json
import re
import statistics

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


def test_the_loop_costs_what_was_measured():
    found = json.loads((RESULTS / "loop.json").read_text())
    assert f"{100 * found['loop_over_bare_step']:+.1f} %" in README
    assert f"{100 * found['loop_over_bare_chunk']:+.1f} %" in README
    assert found["loop_over_bare_step"] <= 0.05
    start = statistics.median(found["one_step_command_seconds"])
    assert f"{start:.1f} s" in README
    assert start <= 15


def test_the_metrics_cost_what_was_measured():
    found = json.loads((RESULTS / "metrics_benchmark.json").read_text())
    for way, seconds in found["seconds"].items():
        assert f"{seconds:.1f} s and {found['peak_bytes'][way] / 2**30:.1f} GiB" in README
    assert f"{found['ratio']:.2f} times as long" in README
    assert found["ratio"] >= 1
    assert found["peak_bytes"]["gan_jax"] < 4 * 2**30
    assert (found["n"], found["d"]) == (10_000, 2048)


def test_inversion_comes_as_near_as_was_measured():
    found = json.loads((RESULTS / "inversion.json").read_text())
    factor, share = found["held_out"]["factor"], found["generated"]["share_found"]
    assert f"{factor:.1f} times below" in README
    assert f"{100 * share:.1f} % are found again" in README
    assert min(factor / 10, share / 0.9) >= 1


def test_a_run_killed_again_and_again_was_the_unbroken_one():
    found = json.loads((RESULTS / "kill_rounds.json").read_text())
    hit = found["kills"]["while_a_checkpoint_was_written"]
    assert f"{found['rounds']} times in a row, {hit} of them while a checkpoint" in README
    assert found["same_rows"]
    assert found["same_state"]
    assert (found["kills"]["rows_lost"], found["kills"]["rows_doubled"]) == (0, 0)


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

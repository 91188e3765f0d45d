"""Notebooks run from top to bottom, and what is committed of them is whole, small, and at home
anywhere."""

import importlib.util
import json
import os
import re

import pytest

from tests.helpers.paths import REPOSITORY

pytestmark = pytest.mark.nightly

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
MOST_BYTES = 400_000
every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code(notebook) for output in cell.outputs]


def pictures(notebook):
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def read(path):
    import nbformat

    return nbformat.read(path, as_version=4)


@every
def test_what_is_committed(path):
    import nbformat

    assert path.stat().st_size < MOST_BYTES
    notebook = read(path)
    nbformat.validate(notebook)
    assert all(cell.execution_count for cell in code(notebook))
    assert {output.output_type for output in outputs(notebook)} <= {
        "display_data",
        "execute_result",
        "stream",
    }
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]
    text = json.dumps([*notebook.cells, notebook.metadata])
    assert not re.search(r"/(home|root|Users|tmp|work|usr|opt|mnt)/", text)


@every
def test_the_first_cell_installs_the_clone_where_there_is_no_package(path, tmp_path, monkeypatch):
    """In the clone's folder notebooks/, and beside a clone; and asks for one where there is
    none."""
    from IPython.core.interactiveshell import InteractiveShell

    first = code(read(path))[0].source
    asked = []
    shell = InteractiveShell()
    shell.register_magic_function(asked.append, "line", "pip")
    clone = tmp_path / "beside" / "clone"
    for folder in ("notebooks", "gan_jax"):
        (clone / folder).mkdir(parents=True)
    (clone / "gan_jax" / "train.py").touch()

    def run_in(folder):
        monkeypatch.chdir(folder)
        return shell.run_cell(first)

    run_in(clone / "notebooks")
    assert asked == []  # the package is there
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    for folder in (clone / "notebooks", clone.parent):
        run_in(folder).raise_error()
    assert asked == [f"install --quiet {clone}"] * 2
    with pytest.raises(AssertionError, match="clone the repository"):
        run_in(tmp_path).raise_error()


@pytest.mark.timeout(1500)  # a busy machine, and nothing compiled yet
@every
def test_it_runs(path, tmp_path):
    """In a folder of its own, with this checkout; programs are compiled once for all runs."""
    from nbclient import NotebookClient

    notebook = read(path)
    committed = pictures(notebook)
    for cell in code(notebook):
        cell.outputs = []
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment |= {
        "PYTHONPATH": str(REPOSITORY),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(REPOSITORY / ".cache" / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
        "GAN_JAX_CACHE": str(REPOSITORY / ".cache" / "gan_jax"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    work = tmp_path / "work"
    work.mkdir()
    client = NotebookClient(
        notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    )
    client.execute(env=environment)  # raises where a cell does
    assert pictures(notebook) == committed
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]

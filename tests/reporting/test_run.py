"""Run folders opened for analysis, and the display of a training in a notebook."""

import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

import gan_jax
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.inference import sampling, text
from gan_jax.reporting import notebook
from gan_jax.reporting import run as reporting_run
from gan_jax.runs import folder, metrics_log
from tests.helpers import small

pytestmark = pytest.mark.integration


@pytest.fixture
def without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)


def test_metrics_are_a_table_indexed_by_step(trained_run):
    pytest.importorskip("pandas")
    rows = metrics_log.read_metrics(trained_run("images"))
    table = gan_jax.open_run(trained_run("images")).metrics
    assert list(table.index) == list(rows["step"])
    for name in table.columns:
        np.testing.assert_array_equal(table[name], rows[name])


def test_metrics_of_a_population_have_a_column_for_each_member(trained_run):
    pytest.importorskip("pandas")
    rows = metrics_log.read_metrics(trained_run("population"))
    table = gan_jax.open_run(trained_run("population")).metrics
    for member in range(3):
        np.testing.assert_array_equal(table["disc_loss"][member], rows["disc_loss"][:, member])


@pytest.mark.usefixtures("without_pandas")
def test_without_pandas_metrics_are_arrays(trained_run):
    run = gan_jax.open_run(str(trained_run("images")))
    rows = metrics_log.read_metrics(run.path)
    assert run.metrics.keys() == rows.keys()
    np.testing.assert_array_equal(run.metrics["disc_loss"], rows["disc_loss"])
    assert run.scores == []


def test_a_run_gives_what_its_folder_holds(trained_run):
    path = trained_run("images")
    run = gan_jax.open_run(path)
    assert run.config == folder.load_config(path)
    assert run.checkpoints == [5, 10, 12]
    assert list(run.sample_files()) == [10, 12]
    assert run.training_scores is None
    with Image.open(path / "samples" / "step_00000010.png") as image:
        assert run.sample_grid(10).tobytes() == image.tobytes()
    assert run.sample_grid().tobytes() == run.sample_grid(12).tobytes()
    generator = run.generator(step=10)
    assert (generator.step, generator.sample(4).shape) == (10, (4, 8, 8, 1))


@pytest.mark.parametrize("name", ["labels", "texts"])
def test_a_generator_samples_what_the_command_samples(trained_run, name):
    generator = gan_jax.open_run(trained_run(name)).generator()
    key = keys.sample_key(3)
    module = text if name == "texts" else sampling
    samples = module.sample(generator.config, generator.variables, key, 5)
    np.testing.assert_array_equal(generator.sample(5, seed=3), samples)
    np.testing.assert_array_equal(generator.sample(2, seed=3), samples[:2])


def test_score_cards_are_read(tmp_path):
    card = {"metric": "frechet", "mean": 1.5, "values": [1.5]}
    (tmp_path / "scores.json").write_text(json.dumps({"cards": [card]}))
    run = reporting_run.Run(tmp_path, small.CONFIG)
    assert list(run.scores["metric"]) == ["frechet"]


def test_steps_without_an_image_are_refused(trained_run):
    with pytest.raises(UserError, match=r"step .*10, 12.* got 7"):
        gan_jax.open_run(trained_run("images")).sample_grid(7)
    with pytest.raises(UserError, match="step"):
        gan_jax.open_run(trained_run("texts")).sample_grid()


@pytest.mark.parametrize(
    ("name", "images"), [("images", 2), ("population", 2), ("texts", 1), ("sounds", 2)]
)
def test_the_html_form_shows_samples_and_curves(trained_run, name, images):
    page = gan_jax.open_run(trained_run(name))._repr_html_()
    assert page.count("data:image/png;base64,") == images


def test_a_run_without_checkpoints_has_none(tmp_path):
    assert reporting_run.Run(tmp_path, small.CONFIG).checkpoints == []


def test_text_takes_no_conditions(trained_run):
    with pytest.raises(UserError, match="cond must be None"):
        gan_jax.open_run(trained_run("texts")).generator().sample(2, cond=[0, 1])


def test_no_run_folder(tmp_path):
    with pytest.raises(UserError, match=r"config\.json"):
        gan_jax.open_run(tmp_path)


@pytest.fixture
def kernel(monkeypatch):
    """Pages shown, as if this process were a notebook's kernel."""
    shown = []
    handle = types.SimpleNamespace(update=shown.append)
    display = types.ModuleType("IPython.display")
    display.HTML = str
    display.display = lambda page, display_id: (shown.append(page), handle)[display_id]
    ipython = types.ModuleType("IPython")
    ipython.display = display
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


def test_a_training_in_a_notebook_is_drawn_as_it_goes(kernel, monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(notebook, "SHARE", 1e9)
    gan_jax.fit(small.CONFIG.replace(steps=10), tmp_path, logging=small.LOGGING)
    assert len(kernel) > 2
    assert kernel[-1].count("data:image/png") == 2


def test_a_quiet_training_shows_nothing(kernel, tmp_path):
    gan_jax.fit(small.CONFIG.replace(steps=3), tmp_path, logging=small.LOGGING, quiet=True)
    assert kernel == []


def test_elsewhere_there_is_no_notebook():
    assert not notebook.in_notebook()

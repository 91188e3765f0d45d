"""Recipes are loaded by name and by file, listed with their records, and estimated."""

import json
import sys

import jax
import numpy as np
import pytest

from gan_jax.cli import recipes
from gan_jax.cli.recipes import load_recipe
from gan_jax.config import Runtime
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.training import dry_run
from gan_jax.training.initialize import initialize
from tests.helpers import small
from tests.helpers.paths import REPOSITORY

RESULTS = REPOSITORY / "experiments" / "results"
NAMES = sorted(
    path.stem for path in (REPOSITORY / "experiments").glob("*.py") if not path.stem.startswith("_")
)


def test_a_recipe_of_the_package_is_loaded_by_name_and_by_file():
    recipe = load_recipe("mnist_dcgan")
    assert recipe.name == recipe.config.name == "mnist_dcgan"
    assert recipe.small.name == "mnist_dcgan_small"
    assert recipe.docstring.startswith("Train a DCGAN on MNIST")
    assert recipe.path.resolve() == REPOSITORY / "experiments" / "mnist_dcgan.py"
    assert load_recipe(REPOSITORY / "experiments" / "fashion_dcgan.py") == load_recipe(
        "fashion_dcgan"
    )
    assert load_recipe("ring_mlp").small is None


def test_an_unknown_name_is_one_error_line_with_similar_names():
    with pytest.raises(UserError, match=r"got 'mnist_dcgna' .*'mnist_dcgan'") as error:
        load_recipe("mnist_dcgna")
    assert "\n" not in str(error.value)
    for name in ("", "_r3gan", "results", "no such thing"):
        with pytest.raises(UserError, match="recipe must be"):
            load_recipe(name)


@pytest.fixture
def write_recipe(tmp_path, monkeypatch):
    """Writes recipe files next to a module with a network class."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_networks.py").write_text(
        "from gan_jax.networks import mlp\n\nclass Mine(mlp.Generator):\n    depth: int = 3\n"
    )

    def write(text, name="my_recipe.py"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    for name in ("my_networks", "my_recipe"):  # other tests import modules of these names
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield write
    for name in ("my_networks", "my_recipe"):
        sys.modules.pop(name, None)


def test_a_file_is_loaded_with_its_neighbors_and_registered(write_recipe):
    path = write_recipe(
        '"""Mine."""\n'
        "from my_networks import Mine\n"
        "from gan_jax.cli.recipes import load_recipe\n"
        "gen = Mine(shape=(8, 8, 1))\n"
        'config = load_recipe("digits_mlp").config.replace(name="mine", gen=gen)\n'
    )
    registered = []
    recipe = load_recipe(path, register=registered.append)
    assert (recipe.name, recipe.docstring, recipe.small) == ("my_recipe", "Mine.", None)
    assert recipe.config.name == "mine"
    assert [vars(module)["Mine"] for module in registered] == [type(recipe.config.gen)]
    assert load_recipe(path) == recipe
    load_recipe("digits_mlp", register=registered.append)
    assert len(registered) == 1  # recipes of the package register nothing


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("my_recipe.py", "x = 1\n", "config must be .* got None"),
        ("my_recipe.py", "config = 3\n", "config must be .* got 3"),
        ("jax.py", "config = 3\n", "recipe must not have the name of a loaded module"),
    ],
)
def test_a_file_that_is_not_a_recipe_is_rejected(write_recipe, name, text, message):
    with pytest.raises(UserError, match=message):
        load_recipe(write_recipe(text, name))


def test_a_missing_file_is_rejected(tmp_path):
    with pytest.raises(UserError, match="recipe must be a file that exists"):
        load_recipe(tmp_path / "absent.py")


def test_the_table_lists_every_recipe_with_its_record(capsys):
    rows = {row.name: row for row in recipes.list_recipes()}
    assert sorted(rows) == NAMES
    record = json.loads((RESULTS / "mnist_dcgan_small.json").read_text())
    distances = [run["scores"]["frechet"] for run in record["runs"]]
    row = rows["mnist_dcgan"]
    assert (row.data, row.presets, row.recorded) == ("mnist train", ("small",), "small")
    assert row.result.startswith(f"frechet {np.mean(distances):.2f} ± ")
    assert row.result.endswith(f"({record['protocol'][0]['features']}), {len(distances)} seeds")
    assert row.cost == f"{record['runs'][0]['train_seconds'] / 60:.0f} min on 2 CPU cores"
    assert rows["stacked_mnist_r3gan"].result.startswith("covered 916 of 1000")
    recorded = [name for name in NAMES if list(RESULTS.glob(f"{name}.json"))]
    recorded += [name for name in NAMES if list(RESULTS.glob(f"{name}_small.json"))]
    assert sorted(name for name in NAMES if rows[name].recorded) == sorted(recorded)
    recipes.print_recipes()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["recipe", *NAMES]


@pytest.mark.parametrize("seconds", [0, 45, 119, 120, 7200, 172_800])
def test_a_duration_is_formatted_in_its_largest_unit(seconds):
    number, unit = recipes.format_duration(seconds).split()
    length = {"s": 1, "min": 60, "h": 3600, "days": 86400}[unit]
    assert float(number) * length == seconds
    assert seconds < 120 or float(number) >= 2


def dry_run_lines(capsys, config, **settings):
    """Returns the lines of a dry run by their first word, and the size of the data in bytes."""
    devices = jax.local_devices()[:1]
    dry_run.dry_run(config, devices=devices, **settings)
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    dataset = sources.load(config.data)
    state = jax.eval_shape(lambda: initialize(config.replace(seeds=()), dataset, devices))
    counts = [
        sum(leaf.size for leaf in jax.tree.leaves(player.params))
        for player in (state.gen, state.disc)
    ]
    assert lines["device"].startswith("1 x ")
    assert lines["parameters"].startswith("generator {:,}, discriminator {:,}".format(*counts))
    return lines, sum(leaf.nbytes for leaf in jax.tree.leaves(dataset.batch))


def test_a_dry_run_measures_pretraining_and_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dry_run, "MIN_MEASURED_SECONDS", 0.0)
    lines, data_bytes = dry_run_lines(capsys, small.TEXTS)
    assert "3 steps of pretraining at" in lines["time"]
    assert "3 steps of training at" in lines["time"]
    assert f"data {data_bytes / 2**20:.1f} MiB" in lines["memory"]
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_a_population_counts_one_member(monkeypatch, capsys):
    monkeypatch.setattr(dry_run, "MIN_MEASURED_SECONDS", 0.0)
    config = small.config(**small.QUICK, seeds=(0, 1, 2), steps=2)
    lines, _ = dry_run_lines(capsys, config, runtime=Runtime(members_at_once=1, stream=True))
    assert lines["parameters"].endswith("per member (3 members)")
    assert "2 steps of training at" in lines["time"]
    assert "pretraining" not in lines["time"]

"""A wheel claims one top-level name, and its recipes work far from any clone."""

import os
import subprocess
import sys
import zipfile

import pytest

from tests.helpers.paths import REPOSITORY

pytestmark = pytest.mark.nightly
FIND = """
import sys
from gan_jax.cli.recipes import load_recipe, recipe_names
recipe = load_recipe("digits_mlp")
print(recipe.path, recipe.config.name, len(recipe_names()))
"""


def python(*words, cwd, **environment):
    """Run Python on its own, without this checkout on its path; its output."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, installed into a folder of its own."""
    root = tmp_path_factory.mktemp("wheel")
    python("-m", "hatchling", "build", "-t", "wheel", "-d", root / "dist", cwd=REPOSITORY)
    (wheel,) = (root / "dist").glob("*.whl")
    assert wheel.stat().st_size < 2**20
    target = root / "target"
    words = ("install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    python("-m", "pip", *words, cwd=root)
    return target


def test_it_claims_one_name(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"gan_jax", "bin"}
    recipes = {path.name for path in (installed / "gan_jax" / "recipes").glob("*.py")}
    assert recipes == {path.name for path in (REPOSITORY / "experiments").glob("*.py")}
    results = (installed / "gan_jax" / "recipes" / "results").iterdir()
    assert {path.suffix for path in results} == {".json"}


def test_a_recipe_is_found_and_trains_outside_of_the_clone(installed, tmp_path):
    environment = {"PYTHONPATH": str(installed)}
    path, name, count = python("-c", FIND, cwd=tmp_path, **environment).split()
    assert path == str(installed / "gan_jax" / "recipes" / "digits_mlp.py")
    assert (name, int(count) >= 30) == ("digits_mlp", True)
    words = "--steps 3 --gen.widths 8 --disc.widths 8 --batch-size 8 --no-compilation-cache"
    words += " --devices 1"
    for command in ("gan_jax train digits_mlp", "gan_jax.recipes.digits_mlp"):
        folder = tmp_path / command
        line = f"-m {command} {words}".split()
        python(*line, "--workdir", folder, cwd=tmp_path, **environment)
        assert (folder / "checkpoints" / "3").is_dir()


def test_an_editable_install_reads_the_clone(tmp_path):
    """It copies nothing, so that an edited recipe is the one that runs."""
    build = "import sys, hatchling.build; hatchling.build.build_editable(sys.argv[1])"
    python("-c", build, tmp_path, cwd=REPOSITORY)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if ".dist-info/" not in name]
        folder = archive.read("_gan_jax.pth").decode()
    assert files == ["_gan_jax.pth"]
    assert folder == str(REPOSITORY)
    path, *_ = python("-c", FIND, cwd=tmp_path, PYTHONPATH=folder).split()
    assert path == str(REPOSITORY / "experiments" / "digits_mlp.py")

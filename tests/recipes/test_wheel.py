"""A wheel has one top-level package, and its recipes work outside of a clone."""

import os
import subprocess
import sys
import zipfile

import pytest

from tests.helpers.paths import REPOSITORY

pytestmark = pytest.mark.nightly
PRINT_RECIPE = """
import sys
from gan_jax.cli.recipes import load_recipe, recipe_names
recipe = load_recipe("digits_mlp")
print(recipe.path, recipe.config.name, len(recipe_names()))
"""


def run_python(*arguments, cwd, **environment):
    """Runs Python without this checkout on its path and returns its standard output."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Builds the wheel, installs it into a new folder and returns the folder."""
    root = tmp_path_factory.mktemp("wheel")
    run_python("-m", "hatchling", "build", "-t", "wheel", "-d", root / "dist", cwd=REPOSITORY)
    (wheel,) = (root / "dist").glob("*.whl")
    assert wheel.stat().st_size < 2**20
    target = root / "target"
    arguments = ("install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    run_python("-m", "pip", *arguments, cwd=root)
    return target


def test_a_wheel_has_one_top_level_package(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"gan_jax", "bin"}
    recipes = {path.name for path in (installed / "gan_jax" / "recipes").glob("*.py")}
    assert recipes == {path.name for path in (REPOSITORY / "experiments").glob("*.py")}
    results = (installed / "gan_jax" / "recipes" / "results").iterdir()
    assert {path.suffix for path in results} == {".json"}


def test_a_recipe_trains_outside_of_the_clone(installed, tmp_path):
    environment = {"PYTHONPATH": str(installed)}
    path, name, count = run_python("-c", PRINT_RECIPE, cwd=tmp_path, **environment).split()
    assert path == str(installed / "gan_jax" / "recipes" / "digits_mlp.py")
    assert (name, int(count) >= 30) == ("digits_mlp", True)
    flags = "--steps 3 --gen.widths 8 --disc.widths 8 --batch-size 8 --no-compilation-cache"
    flags += " --devices 1"
    for command in ("gan_jax train digits_mlp", "gan_jax.recipes.digits_mlp"):
        folder = tmp_path / command
        arguments = f"-m {command} {flags}".split()
        run_python(*arguments, "--workdir", folder, cwd=tmp_path, **environment)
        assert (folder / "checkpoints" / "3").is_dir()


def test_an_editable_install_reads_the_clone(tmp_path):
    """The wheel contains no copies, so that edits of a recipe take effect."""
    build = "import sys, hatchling.build; hatchling.build.build_editable(sys.argv[1])"
    run_python("-c", build, tmp_path, cwd=REPOSITORY)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if ".dist-info/" not in name]
        folder = archive.read("_gan_jax.pth").decode()
    assert files == ["_gan_jax.pth"]
    assert folder == str(REPOSITORY)
    path, *_ = run_python("-c", PRINT_RECIPE, cwd=tmp_path, PYTHONPATH=folder).split()
    assert path == str(REPOSITORY / "experiments" / "digits_mlp.py")

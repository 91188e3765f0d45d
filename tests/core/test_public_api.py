"""Public names of `import gan_jax`."""

import subprocess
import sys

import pytest

import gan_jax


@pytest.mark.parametrize("name", gan_jax.__all__)
def test_every_public_name_resolves(name):
    assert getattr(gan_jax, name).__name__ == gan_jax._NAMES.get(name, name)


def test_names_are_listed():
    assert set(gan_jax.__all__) == set(gan_jax._MODULES) == set(dir(gan_jax)) - {"__version__"}
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = gan_jax.trian


def test_importing_the_package_imports_nothing_heavy():
    code = "import gan_jax, sys; print(*({'jax', 'numpy', 'matplotlib'} & {*sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []

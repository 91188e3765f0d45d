"""Strict settings: eight CPU devices, no silent broadcasting, no NaN, no warnings."""

import functools
import gc
import importlib.metadata
import os
import sys
from pathlib import Path

# Set before the first import of JAX: the number of devices is fixed when its backend starts.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8" + (
    # Halves compile time: the previous fusion emitters, and one compiler thread per program.
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    * importlib.metadata.version("jax").startswith("0.10.")  # jax 0.12 lacks the first flag
)
os.environ["JAX_PLATFORMS"] = "cpu"

import hypothesis
import jax
import pytest

from tests.helpers import small
from tests.helpers.paths import DATA, REPOSITORY

# Folders of tests that run whole commands. Elsewhere files or tests have the mark themselves.
INTEGRATION = {"benchmarks", "cli", "docs", "integration", "recipes", "studies"}

# A busy machine must not fail a test.
hypothesis.settings.register_profile("calm", deadline=None)
hypothesis.settings.load_profile("calm")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)
# Most test time is compile time. Tests of long training use the `optimized` fixture.
jax.config.update("jax_disable_most_optimizations", True)
# All test processes share compiled programs, also with later runs of the tests.
jax.config.update("jax_compilation_cache_dir", str(REPOSITORY / ".cache" / "xla"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in INTEGRATION:
            item.add_marker("integration")


def count_memory_maps() -> int:
    """Return the number of memory mappings of this process. Linux allows 65530."""
    with open("/proc/self/maps") as file:
        return sum(1 for _ in file)


@pytest.fixture(scope="module", autouse=True)
def clear_programs():
    """Free the compiled programs of finished modules when there are many.

    Each program has many memory mappings, and a process that keeps the programs of the whole suite
    reaches the limit of Linux and crashes. With 6,000 mappings a process needs about 2 GB.
    """
    yield
    if not Path("/proc/self/maps").exists() or count_memory_maps() > 6_000:
        small.clear_caches()
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """Function of a name in `small.RUNS` to the folder of that finished run.

    Runs are trained on one device, on first use. Tests share the folders: write to a copy.
    """
    root = tmp_path_factory.mktemp("trained")

    @functools.cache
    def run(name: str) -> Path:
        logging = small.RUNS_LOGGING.get(name, small.LOGGING)
        small.fit(small.RUNS[name], root / name, logging=logging)
        return root / name

    return run


@pytest.fixture
def tfds_dir() -> Path:
    """Folder of the prepared real data sets. Skips the test if there is none."""
    if not DATA.is_dir():
        pytest.skip(f"no prepared TFDS data sets in {DATA}")
    return DATA


@pytest.fixture
def optimized():
    """Compile the programs of this test with all optimizations, as for users."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def command(monkeypatch, capfd):
    """Run a command in this process.

    `command(main, "--flag value", ...)` returns (status, out, err).
    """

    def call(main, *arguments):
        monkeypatch.setattr(
            sys, "argv", ["command", *(word for text in arguments for word in text.split())]
        )
        monkeypatch.setattr("gan_jax.core.command_line.use_compilation_cache", lambda: None)
        try:
            main()
            status = 0
        except SystemExit as error:
            status = error.code
        return (status, *capfd.readouterr())

    return call

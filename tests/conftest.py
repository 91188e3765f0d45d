"""Strict by default: eight CPU devices, no silent broadcasting, no NaN, warnings are errors."""

import functools
import gc
import importlib.metadata
import os
import sys
from pathlib import Path

# Before the first import of jax: the device count is fixed when the backend starts.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8" + (
    # Half of the time to compile: loops are fused as before, a program has one thread to compile.
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    * importlib.metadata.version("jax").startswith("0.10.")  # jax 0.12 does not know the first
)
os.environ["JAX_PLATFORMS"] = "cpu"

import hypothesis
import jax
import pytest

from tests.helpers import small
from tests.helpers.paths import DATA, REPOSITORY

# Folders of tests that run whole commands; elsewhere files or tests are marked.
INTEGRATION = {"benchmarks", "cli", "docs", "integration", "recipes", "studies"}

# Other work on the machine must not fail a test.
hypothesis.settings.register_profile("calm", deadline=None)
hypothesis.settings.load_profile("calm")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)
# Compiling is most of the tests' time; programs that train for real ask for `optimized`.
jax.config.update("jax_disable_most_optimizations", True)
# Programs are compiled once for all test processes, and for the next run of the tests.
jax.config.update("jax_compilation_cache_dir", str(REPOSITORY / ".cache" / "xla"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in INTEGRATION:
            item.add_marker("integration")


def mapped_pieces() -> int:
    """Pieces of memory that this process has mapped, of the 65530 that Linux allows."""
    with open("/proc/self/maps") as file:
        return sum(1 for _ in file)


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Lets go of the programs of the modules so far where they are many: each is mapped to memory
    in many pieces, and a process that holds those of the whole suite meets Linux's limit, and
    crashes. With 6,000 pieces it takes about 2 GB."""
    yield
    if not Path("/proc/self/maps").exists() or mapped_pieces() > 6_000:
        small.forget()
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """trained_run(name) -> the folder of a finished run of small.RUNS, trained when it is first
    asked for, on one device. Not to be changed: write to a copy."""
    root = tmp_path_factory.mktemp("trained")

    @functools.cache
    def run(name: str) -> Path:
        logging = small.RUNS_LOGGING.get(name, small.LOGGING)
        small.fit(small.RUNS[name], root / name, logging=logging)
        return root / name

    return run


@pytest.fixture
def tfds_dir() -> Path:
    """Where the prepared real data sets are; skips the test where they are not."""
    if not DATA.is_dir():
        pytest.skip(f"no prepared TFDS data sets in {DATA}")
    return DATA


@pytest.fixture
def optimized():
    """Programs of this test are compiled as users have them."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def command(monkeypatch, capfd):
    """Runs a command in this process: command(main, "--flag value", ...) -> (status, out, err)."""

    def call(main, *words):
        monkeypatch.setattr(
            sys, "argv", ["command", *(word for text in words for word in text.split())]
        )
        monkeypatch.setattr("gan_jax.core.command_line.use_compilation_cache", lambda: None)
        try:
            main()
            status = 0
        except SystemExit as leaving:
            status = leaving.code
        return (status, *capfd.readouterr())

    return call

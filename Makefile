# make train: the article's GAN on real digits.   make test: unit and integration tests.   Nothing need be installed.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --no-compile
PYTEST := $(BIN)/python -m pytest -n auto --dist loadscope

.PHONY: train test test-fast test-all test-versions lint docs lock clean
.DEFAULT_GOAL := train

# Exact versions, by hash; then the project itself.
$(VENV)/installed: requirements-test.lock pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=..."'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements-test.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

# What else the tools and the nightly tests need: type checker, documentation, notebooks, browser driver, OpenCV.
$(VENV)/complete: $(VENV)/installed requirements.lock
	$(PIP) --require-hashes -r requirements.lock
	touch $@

train: $(VENV)/installed
	$(BIN)/python -m experiments.digits_mlp $(ARGS)

# Unit tests: no whole command, no second process.
test-fast: $(VENV)/installed
	$(PYTEST) -m "not integration and not nightly" $(ARGS)

test: $(VENV)/installed
	$(PYTEST) -m "not nightly" $(ARGS)

# First `make test`; then notebooks, browser, README commands, kills; then other versions of Python.
test-all: test
	$(MAKE) $(VENV)/complete
	$(PYTEST) -m nightly $(ARGS)
	for newer in $(NEWER); do \
	  if $$newer -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
	    exec $(MAKE) test-versions PYTHON=$$newer VENV=.venv-newer; \
	  fi; \
	done

# The first of these that runs; a pyenv shim is on the path but does not, its interpreters do.
NEWER := python3.13 python3.12 $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.1[32].*/bin/python)
# What other versions of Python and of jax can break: contracts, networks, files, commands.
FILES := training/test_contracts training/test_step networks/test_parameter_counts integration/test_runs \
  config/test_serialization cli/test_cli data/test_tfds docs/test_readme docs/test_commands
test-versions: $(VENV)/installed
	$(PYTEST) -m "not nightly" $(FILES:%=tests/%.py) $(ARGS)

lint: $(VENV)/complete
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright --pythonpath $(BIN)/python

# The documentation site: build/docs/index.html. A warning, such as a broken link, is an error.
docs: $(VENV)/complete
	$(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees docs build/docs

# Newest versions that pyproject.toml allows, for every supported Python, without any index address.
lock:
	$(LOCK) --group dev -o requirements.lock
	$(LOCK) --group build --group test -c requirements.lock -o requirements-test.lock

LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --no-header

clean:
	rm -rf .venv .venv-newer $(VENV) .cache .pytest_cache .ruff_cache .hypothesis build docs/_generated docs/api docs/notebooks docs/recipes

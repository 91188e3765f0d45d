# make train: the article's GAN on real digits.   make test: all tests.   Nothing need be installed.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin

.PHONY: train test test-fast test-versions lint docs lock clean
.DEFAULT_GOAL := train

# Exact versions, by hash; then the project itself.
$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

train: $(VENV)/installed
	$(BIN)/python -m experiments.digits_mlp $(ARGS)

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist loadscope $(ARGS)

test-fast: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist loadscope -m "not slow" $(ARGS)

# What other versions of Python and of jax can break: contracts, networks, files, commands.
FILES := training/test_contracts training/test_step networks/test_parameter_counts integration/test_runs \
  config/test_serialization cli/test_cli data/test_tfds docs/test_readme
test-versions: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist loadscope -m "not slow" $(FILES:%=tests/%.py) $(ARGS)

lint: $(VENV)/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright --pythonpath $(BIN)/python

# The API reference, from the docstrings: build/docs/index.html. A name that cannot be resolved is an error.
docs: $(VENV)/installed
	$(BIN)/python -W error -m pdoc gan_jax experiments --docformat markdown -o build/docs

# Newest versions that pyproject.toml allows, for every supported Python, without any index address.
lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --custom-compile-command "make lock" -o requirements.lock

clean:
	rm -rf .venv .venv-newer $(VENV) .cache .pytest_cache .ruff_cache .hypothesis

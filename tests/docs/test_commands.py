"""Commands and code of README and site are valid, also where they are not run."""

import functools
import importlib
import subprocess

import pytest

from gan_jax import train
from gan_jax.cli import app, recipes
from gan_jax.config import Logging, Runtime
from gan_jax.core import command_line
from gan_jax.runs import folder
from tests.docs.blocks import PAGES, blocks, commands, inline_commands, page_id, unnamed
from tests.helpers.paths import REPOSITORY

each_page = pytest.mark.parametrize("page", PAGES, ids=page_id)
STUDIES = ("Study", "Benchmark")  # dataclasses of their flags


@pytest.fixture
def parse(monkeypatch):
    """Parse a command and check its flags, without doing what it says."""

    def ignore(function):
        return functools.wraps(function)(lambda *_, **__: None)

    for name, function in app.COMMANDS.items():
        monkeypatch.setitem(app.COMMANDS, name, ignore(function))
    config = recipes.load_recipe("ring_mlp").config
    monkeypatch.setattr(command_line, "use_compilation_cache", lambda: None)
    monkeypatch.setattr("gan_jax.config.serialization.import_types", lambda *_: None)
    monkeypatch.setattr(train, "execute", lambda *_: None)
    monkeypatch.setattr(train, "fit_on", lambda *_: None)
    monkeypatch.setattr(folder, "load_config", lambda *_: config)
    monkeypatch.setattr(folder, "load_settings", lambda *_: (Logging(), Runtime()))

    def run(words):
        words = [word for word in words if word != "--help"]
        program, *rest = words
        if program == "python":
            module = rest[1]
            kind, _, name = module.partition(".")
            if kind != "experiments":
                return parse_study(module, rest[2:])
            rest = ["train", name, *rest[2:]]
        if rest[0] == "train" and rest[1].endswith(".py"):
            rest = ["train", "ring_mlp"]  # written by a block of the page, with flags of its own
        return app.run(rest)

    return run


def parse_study(name, words):
    if name == "benchmarks":
        name = "benchmarks.__main__"
    module = importlib.import_module(name)
    (kind,) = [vars(module)[kind] for kind in STUDIES if kind in vars(module)]
    command_line.parse(kind(), args=words)


@each_page
def test_blocks_are_valid(page, parse):
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{page}:{block.line}", "exec")
        else:
            subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
            for words in commands(block.text):
                parse(words)


@each_page
def test_every_block_names_its_language(page):
    assert unnamed(page) == []


@each_page
def test_commands_in_the_text_are_valid(page, parse):
    for words in inline_commands(page):
        parse(words)


def test_a_wrong_flag_is_noticed(parse):
    with pytest.raises(command_line.UserError, match="--num-smaples"):
        parse(["gan-jax", "sample", "RUN", "--num-smaples", "3"])


def test_blocks_are_found():
    found = [block for page in PAGES for block in blocks(page)]
    run = [block for block in found if not block.no_run]
    assert len(found) > 50
    assert len(run) > len(found) / 2
    text = (REPOSITORY / "docs" / "contributing" / "documentation.md").read_text()
    assert "```bash" in text  # inside of a longer fence, where it is no block
    assert not blocks(REPOSITORY / "docs" / "contributing" / "documentation.md")

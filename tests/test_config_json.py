"""Config from JSON: nothing but one clear line for damaged, mistyped or hostile text."""

import copy
import dataclasses
import json
import math
import sys

import flax.linen as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_config import CONFIG

from gan_jax import config_json
from gan_jax.errors import UserError
from gan_jax.networks import interface

TREE = json.loads(config_json.dumps(CONFIG))


class Foreign(interface.Generator):
    width: int = 3


def changed(config, path, value):
    """The config with another value at a dotted name."""
    name, _, rest = path.partition(".")
    inner = changed(getattr(config, name), rest, value) if rest else value
    return dataclasses.replace(config, **{name: inner})


def written(path, value):
    """The config's JSON text with another value at a dotted name."""
    tree = copy.deepcopy(TREE)
    *outer, last = path.split(".")
    inside = tree
    for name in outer:
        inside = inside[name]
    inside[last] = value
    return json.dumps(tree)


def refused(text, *said):
    with pytest.raises(UserError) as error:
        config_json.loads(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    for part in said:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("gen", Foreign(), "only classes of modules under gan_jax."),
        ("gen.widths", [7, 5], "write a tuple"),
        ("gen.activation", nn.relu, "gen.activation is <"),
        ("steps", np.int64(3), "steps is np.int64(3)"),
        ("batch_size", 64.0, "batch_size is 64.0: it must be an integer"),
        ("gen_opt.lr", math.nan, "gen_opt.lr is nan"),
        ("penalties.r1", math.inf, "penalties.r1 is inf"),
        ("data.labels", 1, "data.labels is 1: it must be true or false"),
        ("gen", "mlp", "gen is 'mlp': it must be a generator"),
    ],
)
def test_dumps_refuses_what_it_could_not_give_back(path, value, said):
    with pytest.raises(UserError) as error:
        config_json.dumps(changed(CONFIG, path, value))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "3", "[]", '"x"', "{}", "\ufeff{}", "\x00", "9" * 5000),
        *("[" * 100_000, '{"a":' * 100_000, "[" * 999 + "]" * 999),
        *('{"_type": "gan_jax.config:Config"}', json.dumps([TREE]), json.dumps(TREE["gen_opt"])),
        *(json.dumps(TREE)[:-1], json.dumps(TREE) + "}"),
    ],
    ids=lambda text: text[:12].encode("unicode_escape").decode() + f"({len(text)})",
)
def test_text_that_is_no_config_is_refused(text):
    refused(text)


@pytest.mark.parametrize("path", ["_type", "gen._type", "penalties.r2._type", "seed"])
@pytest.mark.parametrize(
    "name",
    [
        *("os:system", "builtins:eval", "this:s", "flax.linen:Dense", "gan_jaxen.config:Config"),
        *("", ":", "os", "gan_jax", "gan_jax.config", "gan_jax.:Config", "gan_jax..config:Config"),
        *("gan_jax.config:differences", "gan_jax.config:OptimizerName"),
        "gan_jax.config:dataclasses",
        *(
            "gan_jax.config:Schedule",
            "gan_jax.config:__builtins__",
            "gan_jax.config:Config.__init__",
        ),
        *("gan_jax.config:no", "gan_jax.no:No", "gan_jax.a\x00b:C", "gan_jax.config:C\n"),
        *(None, 3, [], ["os:system"]),
    ],
)
def test_foreign_types_are_refused(path, name):
    refused(written(path, {"_type": name} if path == "seed" else name))
    assert "this" not in sys.modules  # it was not even imported


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("steps", "many", "steps is 'many': it must be an integer"),
        ("steps", None, "steps is None: it must be an integer"),
        ("batch_size", 1.5, "batch_size is 1.5: it must be an integer"),
        ("batch_size", 64.0, "batch_size is 64.0: it must be an integer"),
        ("seed", True, "seed is True: it must be an integer"),
        ("loss", 3, "loss is 3: it must be text"),
        ("loss", ["hinge"], "loss is ('hinge',): it must be text"),
        ("name", 3, "name is 3: it must be text"),
        ("weight_clip", "0.1", "weight_clip is '0.1': it must be a number"),
        ("weight_clip", False, "weight_clip is False: it must be a number"),
        ("weight_clip", 10**400, "it must be a number"),
        ("weight_clip", 2**53 + 1, "weight_clip is 9007199254740993: it must be a number"),
        ("gen", 3, "gen is 3: it must be a generator"),
        ("gen", TREE["gen_opt"], "gen is an Optimizer: it must be a generator"),
        ("gen.widths", 7, "gen.widths is 7: it must be a list, each an integer"),
        ("gen.widths", [7, "5"], "gen.widths is (7, '5'): it must be a list, each an integer"),
        ("gen.widths", [[7]], "gen.widths is ((7,),): it must be a list, each an integer"),
        ("gen.norm", "spectral", 'gen.norm is \'spectral\': it must be one of "none", "batch"'),
        ("gen.norm", 0, "gen.norm is 0"),
        ("gen.axis", "devices", "has no field 'axis'"),
        ("gen_opt", [], "gen_opt is (): it must be an Optimizer"),
        ("gen_opt", TREE["gen"], "gen_opt is a Generator: it must be an Optimizer"),
        ("gen_opt.lr", "fast", "gen_opt.lr is 'fast': it must be a number or a Schedule"),
        ("gen_opt.lr", None, "gen_opt.lr is None"),
        ("gen_opt.lr.steps", 0, "gen_opt.lr: a schedule needs at least 1 step, got 0"),
        ("gen_opt.lr.steps", 2.5, "gen_opt.lr.steps is 2.5"),
        ("gen_opt.lr.shape", "square", "gen_opt.lr.shape is 'square'"),
        ("gen_opt.lr.start", math.nan, "gen_opt.lr.start is nan: it must be finite"),
        ("gen_opt.b1", TREE["gen_opt"]["lr"], "gen_opt.b1 is a Schedule: it must be a number"),
        ("penalties.r1", math.inf, "penalties.r1 is inf: it must be finite"),
        ("data", None, "data is None: it must be a Data"),
        ("data.labels", 1, "data.labels is 1: it must be true or false"),
        ("data.channels", 2, "data.channels is 2: it must be one of 1, 3 or null"),
        ("data.path", ["a"], "data.path is ('a',): it must be text or null"),
        ("learning_rate", 1, "Config has no field 'learning_rate'"),
        ("step", 1, "Config has no field 'step' (did you mean 'steps'?)"),
        ("gen_opt.lt", 1, "gen_opt: Optimizer has no field 'lt'"),
        ("a\nb", 1, r"Config has no field 'a\nb'"),
        ("seed", {"a": 1}, "seed: _type None: only classes"),
        ("seed", -1, "seed is -1: it must be from 0 to 4294967295"),  # validate's own
    ],
)
def test_a_wrong_value_is_named(path, value, said):
    refused(written(path, value), said)


def test_an_integer_serves_where_a_number_is_meant():
    assert config_json.loads(written("weight_clip", 1)).weight_clip == 1


def holds(tree, other):
    """Whether all that a JSON tree says, the other says too."""
    if isinstance(tree, dict) and isinstance(other, dict):
        return all(name in other and holds(value, other[name]) for name, value in tree.items())
    return tree == other


def survives(text):
    """Either a UserError of one line, or a Config that says what the text says."""
    try:
        config = config_json.loads(text)
    except UserError:
        refused(text)
        return
    again = config_json.dumps(config)
    assert config_json.loads(again) == config
    assert holds(json.loads(text), json.loads(again))


@settings(max_examples=300)
@given(st.data())
def test_damaged_text(data):
    text = json.dumps(TREE)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 3))
        text = (
            text[:at]
            + data.draw(st.text('0123456789.-e"{}[],:nul \\x', max_size=2))
            + text[at + gone :]
        )
    survives(text)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KNOWN = st.sampled_from([TREE["gen"], TREE["data"], TREE["gen_opt"]["lr"], TREE["penalties"]])
JSON = st.recursive(
    SCALARS | KNOWN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(tree, path=()):
    """Every path into a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for name, value in items if isinstance(tree, (dict, list)) else ():
        yield (*path, name)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, name))


@settings(max_examples=300)
@given(st.data())
def test_damaged_tree(data):
    tree = copy.deepcopy(TREE)
    *outer, last = data.draw(st.sampled_from(list(places(tree))))
    inside = tree
    for name in outer:
        inside = inside[name]
    match data.draw(st.sampled_from(["replace", "remove", "rename"])):
        case "replace":
            inside[last] = data.draw(JSON)
        case "remove":
            del inside[last]
        case "rename" if isinstance(inside, dict):
            inside[data.draw(st.text(max_size=5))] = inside.pop(last)
    survives(json.dumps(tree))

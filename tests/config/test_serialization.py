"""Deserialization: damaged, mistyped or hostile JSON raises a one-line error."""

import copy
import importlib
import json
import math
import operator
import os
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_jax.cli import app
from gan_jax.config import (
    Augment,
    Config,
    ImageData,
    Logging,
    Masks,
    Optimizer,
    Penalties,
    Pretrain,
    Runtime,
    schema,
    serialization,
    sweeps,
    version_0_1,
)
from gan_jax.config.schedules import Schedule
from gan_jax.config.validation import DATASET_NAMES
from gan_jax.core.errors import UserError
from gan_jax.networks import interface, lstm, mlp, pacgan
from tests.helpers.odd_config import CONFIG
from tests.helpers.paths import REPOSITORY

FIXTURES = REPOSITORY / "tests" / "fixtures" / "v0_1"
TREE = json.loads(serialization.dumps(CONFIG))


class Foreign(interface.Generator):
    width: int = 3


def modified_json(path, value):
    """Return CONFIG as JSON text with another value at a dotted path."""
    tree = copy.deepcopy(TREE)
    *outer, last = path.split(".")
    parent = tree
    for name in outer:
        parent = parent[name]
    parent[last] = value
    return json.dumps(tree)


def assert_rejected(text, *messages):
    with pytest.raises(UserError) as error:
        serialization.loads(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "gen",
            Foreign(),
            "gen must be of a registered type, got tests.config.test_serialization.Foreign",
        ),
        ("gen.widths", [7, 5], "gen.widths must be a tuple, got [7, 5]"),
        (
            "gen.activation",
            nn.relu,
            "gen.activation must be a value that JSON can represent, got <",
        ),
        ("steps", np.int64(3), "got np.int64(3)"),
        ("batch_size", 64.0, "batch_size must be an integer, got 64.0"),
        ("gen_opt.lr", math.nan, "got nan"),
        (
            "penalties.r1",
            math.inf,
            "objective.penalties.r1 must be a value that JSON can represent, got inf",
        ),
        ("data.labels", 1, "data.labels must be true or false, got 1"),
        ("gen", "mlp", "gen must be a generator, got 'mlp'"),
    ],
)
def test_dumps_rejects_values_that_loads_cannot_restore(path, value, message):
    with pytest.raises(UserError) as error:
        serialization.dumps(CONFIG.replace(**{path: value}))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "3", "[]", '"x"', "{}", "\ufeff{}", "\x00", "9" * 5000),
        *("[" * 100_000, '{"a":' * 100_000, "[" * 999 + "]" * 999),
        *('{"_type": "Config"}', '{"format": 2}', json.dumps([TREE]), json.dumps(TREE["gen_opt"])),
        *(json.dumps(TREE)[:-1], json.dumps(TREE) + "}"),
    ],
    ids=lambda text: text[:12].encode("unicode_escape").decode() + f"({len(text)})",
)
def test_text_without_a_config_is_rejected(text):
    assert_rejected(text)


@pytest.mark.parametrize("path", ["_type", "gen._type", "objective.penalties.r2._type", "seed"])
@pytest.mark.parametrize(
    "name",
    [
        *("os:system", "builtins:eval", "this:s", "this.s", "this", "flax.linen.Dense"),
        *("gan_jax.config:Config", "gan_jax.networks.mlp:Generator", "gan_jaxen.config:Config"),
        *(
            "gan_jax.config.schema.Config",
            "networks.mlp:Generator",
            "networks.mlp",
            "networks",
            "Batch",
        ),
        *("networks.mlp.nn", "networks.mlp.no", "config", "Config.__init__", "Config\n", "", "."),
        *(None, 3, [], ["os:system"]),
    ],
)
def test_foreign_types_are_rejected(path, name):
    text = modified_json(path, {"_type": name} if path == "seed" else name)
    assert_rejected(text, "must be of a registered type", "--import")
    assert "this" not in sys.modules  # it is not imported either


@pytest.mark.parametrize("number", [1, 3, 2.0, True, "2", None, [2]])
def test_other_formats_are_rejected(number):
    assert_rejected(json.dumps({**TREE, "format": number}), "format must be 2, got")


def test_every_type_of_a_config_has_one_name():
    names = [name for name, _ in serialization._package_types().items()]
    types = [*serialization._package_types().values()]
    assert len(set(types)) == len(names)
    assert {*serialization._nested_dataclasses(Config), *DATASET_NAMES} - {schema.Data} <= set(
        types
    )
    assert not [name for name in names if name.startswith("gan_jax")]


RECORD_0_1 = json.loads((FIXTURES / "record" / "digits_cgan.json").read_text())["config"]
DATA_0_1 = {  # non-default values of the fields of version 0.1's Data, by their present type
    "ImageData": {"size": 9, "channels": 3, "cond": ["a"], "symmetric": True},
    "PointData": {},
    "AudioData": {"length": 512, "rate": 8000, "normalize": True, "spectrogram": True},
    "TextData": {"test_path": "/t", "level": "characters", "tokens": 5, "vocabulary": 9},
}
SHARED_0_1 = {"split": "all", "path": "/p", "dir": "/d", "labels": True, "per_class": 3, "draw": 4}
NAMES_0_1 = {"ImageData": "npz", "PointData": "grid", "AudioData": "sounds", "TextData": "lines"}
# A changed value of each field of version 0.1's Config, by the present path of the field.
CONFIG_0_1 = {
    "name": "other",
    "steps": 7,
    "objective.loss": "minimax",
    "objective.label_smoothing": 0.25,
    "objective.penalty_every": 2,
    "objective.path_length_every": 3,
    "objective.auxiliary_disc": 0.5,
    "objective.auxiliary_gen": 0.125,
    "objective.reconstruction": 0.5,
    "objective.weight_clip": 0.5,
    "n_critic": 2,
    "prior.dim": 3,
    "prior.distribution": "uniform",
    "ema.half_life": 4.0,
    "ema.ramp": 0.5,
    "batch_size": 9,
    "seed": 5,
    "seeds": [1, 2],
}
SETTINGS_0_1 = {
    "microbatch": 4,
    "remat": True,
    "log_every": 2,
    "score_every": 3,
    "sample_every": 4,
    "checkpoint_every": 5,
    "keep": 6,
    "skip_limit": 7,
}
# Fields with object values, and fields whose value the networks of the record determine.
OTHERS_0_1 = {"_type", "gen", "disc", "data", "penalties", "augment", "masks", "sweep"}
OTHERS_0_1 |= {"gen_opt", "disc_opt", "pretrain", "path_length", "perceptual"}


def value_at(config, path):
    value = operator.attrgetter(path)(config)
    return list(value) if isinstance(value, tuple) else value


def test_a_record_of_version_0_1_is_loaded():
    config = serialization.loads(json.dumps(RECORD_0_1))
    assert config.gen == mlp.Generator(shape=(8, 8, 1), widths=(4,), classes=10)
    assert config.data == ImageData("digits", "all", size=8, labels=True)
    assert config.objective.penalties == Penalties(r1=1.0)
    assert (config.augment, config.masks) == (Augment(), Masks())
    assert config.gen_opt == Optimizer(lr=0.0004)
    assert config.pretrain == Pretrain()
    assert serialization.loads(serialization.dumps(config)) == config


def test_the_tables_list_every_field_of_version_0_1():
    flags = {schema.flag_of(path) for path in CONFIG_0_1}
    assert flags | SETTINGS_0_1.keys() | OTHERS_0_1 == RECORD_0_1.keys()
    fields = {name for data in DATA_0_1.values() for name in data} | SHARED_0_1.keys()
    assert fields | {"_type", "name"} == RECORD_0_1["data"].keys()


@pytest.mark.parametrize("path", CONFIG_0_1)
def test_a_field_of_version_0_1_moves_to_its_present_path(path):
    value, flag = CONFIG_0_1[path], schema.flag_of(path)
    config = serialization.loads(json.dumps({**RECORD_0_1, flag: value}))
    assert value_at(config, path) == value
    assert value_at(serialization.loads(json.dumps(RECORD_0_1)), path) != value
    unchanged = {name: CONFIG_0_1[name] for name in CONFIG_0_1 if name != path}
    assert all(value_at(config, name) != other for name, other in unchanged.items())


@pytest.mark.parametrize("field", ["path_length", "perceptual"])
def test_a_weight_of_version_0_1_moves_to_the_objective(field):
    tree = version_0_1.upgrade({**RECORD_0_1, field: 0.5})
    assert tree["objective"][field] == 0.5
    assert field not in tree


@pytest.mark.parametrize("kind", DATA_0_1)
def test_the_name_of_version_0_1_data_selects_their_type(kind):
    fields = SHARED_0_1 | DATA_0_1[kind]
    data = {**RECORD_0_1["data"], **fields, "name": NAMES_0_1[kind]}
    tree = {**RECORD_0_1, "data": data, "augment": {"_type": "gan_jax.augment:Augment"}}
    config = serialization.loads(json.dumps(tree))
    assert type(config.data).__name__ == kind
    assert config.data.name == NAMES_0_1[kind]
    fields = {{"draw": "subset_seed"}.get(name, name): value for name, value in fields.items()}
    assert {name: value_at(config.data, name) for name in fields} == fields


def test_renamed_fields_and_values_of_version_0_1():
    augment = {"_type": "gan_jax.augment:Augment", "blit": 0.5, "colour": 0.25, "p": 0.5}
    augment["diffaugment"] = ["cutout", "colour"]
    tree = {**RECORD_0_1, "augment": augment}
    sweep = {"_type": "gan_jax.sweeps:Sweep", "field": "augment.colour", "values": [0.5, 0.25]}
    config = serialization.loads(json.dumps({**tree, "sweep": [sweep]}))
    expected = Augment(blit=0.5, color=0.25, p=0.5, diffaugment=("cutout", "color"))
    assert config.augment == expected
    assert config.sweep == (sweeps.Sweep("augment.color", (0.5, 0.25)),)
    masks = {"_type": "gan_jax.masks:Masks", "kinds": ["box", "half", "free", "pixels"]}
    upgraded = version_0_1.upgrade({**RECORD_0_1, "masks": masks})
    assert upgraded["masks"] == {"_type": "Masks", "kinds": ["box", "half", "strokes", "random"]}
    pacgan_0_1 = {"_type": "gan_jax.networks.packed:Packed", "disc": RECORD_0_1["disc"], "pack": 4}
    upgraded = version_0_1.upgrade(pacgan_0_1)
    assert upgraded == serialization._encode(
        pacgan.PacGAN(serialization._decode(upgraded["disc"], "disc"), 4), ""
    )


@pytest.mark.parametrize("value", [None, 3, [[]], {"free": 1}, ["free", None]])
def test_invalid_mask_kinds_of_version_0_1_are_rejected(value):
    masks = {"_type": "gan_jax.masks:Masks", "kinds": value}
    assert_rejected(json.dumps({**RECORD_0_1, "masks": masks}), "masks")


@pytest.mark.parametrize("name", ["mnist", "mnist:3.0.1", "folder", "stacked_mnist"])
def test_data_of_version_0_1_are_images_by_default(name):
    tree = {**RECORD_0_1, "data": {**RECORD_0_1["data"], "name": name}}
    assert serialization.loads(json.dumps(tree)).data == ImageData(name, "all", size=8, labels=True)


def test_settings_of_version_0_1_are_read_from_its_config():
    logging, runtime = serialization.load_settings({**RECORD_0_1, **SETTINGS_0_1}, "config.json")
    assert logging == Logging(2, 3, 4, 5, 6)
    assert runtime == Runtime(microbatch=4, remat=True, skip_limit=7)
    config = serialization.loads(json.dumps({**RECORD_0_1, **SETTINGS_0_1}))
    assert config == serialization.loads(json.dumps(RECORD_0_1))


def test_settings_round_trip():
    logging = Logging(2, 3, 4, 5, 6)
    runtime = Runtime(3, 2, 4, remat=True, stream=True, workers=5, skip_limit=7)
    text = serialization.dumps_settings(logging, runtime)
    assert serialization.load_settings(json.loads(text), "settings.json") == (logging, runtime)
    assert set(json.loads(text)) == {"format", "logging", "runtime"}
    partial = {"format": 2, "logging": {"keep": 4}}
    settings = serialization.load_settings(partial, "settings.json")
    assert settings == (Logging(keep=4), Runtime())
    assert serialization.load_settings(TREE, "config.json") == (Logging(), Runtime())


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([], "must be an object, got []"),
        ({"format": 2, "runtime": 3}, "runtime must be an object, got 3"),
        ({"format": 2, "logging": {"keep": "all"}}, "keep must be an integer, got 'all'"),
        ({"format": 2, "runtime": {"remat": 1}}, "remat must be true or false, got 1"),
        ({"log_every": 1.5}, "log_every must be an integer, got 1.5"),
    ],
)
def test_damaged_settings_are_rejected(tree, message):
    with pytest.raises(UserError) as error:
        serialization.load_settings(tree, "settings.json")
    assert str(error.value).startswith("settings.json is damaged: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("path", "type_name", "cls"),
    [
        ("gan_jax.networks.packed:Packed", "networks.pacgan.PacGAN", pacgan.PacGAN),
        ("gan_jax.schedules:Schedule", "Schedule", Schedule),
        ("gan_jax.sweeps:Sweep", "Sweep", sweeps.Sweep),
        ("gan_jax.networks.lstm:Cell", "networks.lstm.Cell", lstm.Cell),
    ],
)
def test_aliases_of_version_0_1(path, type_name, cls):
    assert version_0_1.upgrade([{"_type": path}]) == [{"_type": type_name}]
    assert serialization._registered_types()[type_name] is cls


NETWORKS = """
import dataclasses
import flax.linen as nn
from gan_jax import train
from gan_jax.config import Config, PointData, Preset, Prior
from gan_jax.networks import interface

@dataclasses.dataclass(frozen=True)
class Size:
    width: int = 4

class Generator(interface.Generator):
    size: Size = Size()

    @nn.compact
    def __call__(self, z, cond=None, *, train):
        return nn.Dense(2)(nn.relu(nn.Dense(self.size.width)(z)))

class Discriminator(interface.Discriminator):
    @nn.compact
    def __call__(self, x, cond=None, *, train):
        return nn.Dense(1)(nn.relu(nn.Dense(4)(x)))[:, 0]

config = Config(
    "mine", Generator(Size(3)), Discriminator(), steps=1, data=PointData("ring"), prior=Prior(2)
)
if __name__ == "__main__":
    train.main({"full": Preset(config)})
"""


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Change to a folder with a package and a recipe file of a user's own networks."""
    (tmp_path / "my_package" / "inner").mkdir(parents=True)
    for folder in ("my_package", "my_package/inner"):
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "my_package" / "inner" / "nets.py").write_text(NETWORKS)
    (tmp_path / "my_package" / "__main__.py").write_text("raise SystemExit('it was run')")
    (tmp_path / "my_recipe.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]
    serialization._user_types.clear()


@pytest.mark.parametrize(
    ("name", "module"), [("my_package", "my_package.inner.nets"), ("my_recipe.py", "my_recipe")]
)
@pytest.mark.usefixtures("user")
def test_imported_types_have_names(name, module):
    serialization.import_types(name)
    config = sys.modules[module].config
    tree = json.loads(serialization.dumps(config))
    assert tree["gen"]["_type"] == f"{module}.Generator"
    assert tree["gen"]["size"] == {"_type": f"{module}.Size", "width": 3}
    assert serialization.loads(json.dumps(tree)) == config
    serialization.import_types(name)  # a second import has no effect
    assert serialization.loads(json.dumps(tree)) == config
    serialization._user_types.clear()
    assert_rejected(json.dumps(tree), f"{module}.Generator", "--import MODULE")


@pytest.mark.usefixtures("user")
def test_types_of_a_config_can_be_registered():
    sys.path.append(os.getcwd())
    config = importlib.import_module("my_package.inner.nets").config
    with pytest.raises(UserError, match=r"serialization\.register"):
        serialization.dumps(config)
    serialization.register_types_of(config)
    assert serialization.loads(serialization.dumps(config)) == config


def test_a_module_cannot_take_the_name_of_a_network(user):
    (user / "networks").mkdir()
    (user / "networks" / "mlp.py").write_text(NETWORKS)
    with pytest.raises(UserError, match=r"gan_jax has a networks\.mlp\.Discriminator"):
        serialization.import_types("networks")
    del sys.modules["networks"], sys.modules["networks.mlp"]
    assert serialization.loads(json.dumps(TREE)) == CONFIG


@pytest.mark.parametrize("name", ["my_nothing", "my_nothing.py", "json.py", "my package", ""])
def test_import_errors_are_one_line(user, name):
    (user / "json.py").write_text("")
    with pytest.raises(UserError, match="--import must be a module or a file, got") as error:
        serialization.import_types(name)
    assert "\n" not in str(error.value)


@pytest.mark.nightly
@pytest.mark.usefixtures("user")
def test_a_recipe_file_is_trained_and_sampled(command):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    arguments = [sys.executable, "my_recipe.py", "--workdir", "run", "--batch-size", "8"]
    subprocess.run([*arguments, "--devices", "1"], check=True, env=environment, capture_output=True)
    assert json.loads(Path("run/config.json").read_text())["gen"]["_type"] == "my_recipe.Generator"
    status, _, error = command(app.main, "sample run --num-samples 1")
    assert (status, error.count("\n"), "--import MODULE" in error) == (2, 1, True)
    assert "my_recipe" not in sys.modules
    assert command(app.main, "sample run --num-samples 1 --import my_recipe")[0] == 0


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("steps", "many", "steps must be an integer, got 'many'"),
        ("steps", None, "steps must be an integer, got None"),
        ("batch_size", 1.5, "batch_size must be an integer, got 1.5"),
        ("batch_size", 64.0, "batch_size must be an integer, got 64.0"),
        ("seed", True, "seed must be an integer, got True"),
        ("objective.loss", 3, "objective.loss must be text, got 3"),
        ("objective.loss", ["hinge"], "objective.loss must be text, got ('hinge',)"),
        ("name", 3, "name must be text, got 3"),
        ("objective.weight_clip", "0.1", "objective.weight_clip must be a number, got '0.1'"),
        ("objective.weight_clip", False, "objective.weight_clip must be a number, got False"),
        ("objective.weight_clip", 10**400, "must be a number, got 1000"),
        ("objective.weight_clip", 2**53 + 1, "must be a number, got 9007199254740993"),
        ("gen", 3, "gen must be a generator, got 3"),
        ("gen", TREE["gen_opt"], "gen must be a generator, got an Optimizer"),
        ("gen.widths", 7, "gen.widths must be a list, each an integer, got 7"),
        ("gen.widths", [7, "5"], "gen.widths must be a list, each an integer, got (7, '5')"),
        ("gen.widths", [[7]], "gen.widths must be a list, each an integer, got ((7,),)"),
        ("gen.norm", "spectral", 'gen.norm must be one of "none", "batch"'),
        ("gen.norm", 0, "got 0"),
        ("gen.axis", "devices", "has no field 'axis'"),
        ("gen_opt", [], "gen_opt must be an Optimizer, got ()"),
        ("gen_opt", TREE["gen"], "gen_opt must be an Optimizer, got a Generator"),
        ("gen_opt.lr", "fast", "gen_opt.lr must be a number or a Schedule, got 'fast'"),
        ("gen_opt.lr", None, "gen_opt.lr must be a number or a Schedule, got None"),
        ("gen_opt.lr.steps", 0, "gen_opt.lr: schedule steps must be at least 1, got 0"),
        ("gen_opt.lr.steps", 2.5, "gen_opt.lr.steps must be an integer, got 2.5"),
        ("gen_opt.lr.shape", "square", "got 'square'"),
        ("gen_opt.lr.start", math.nan, "gen_opt.lr.start must be finite, got nan"),
        ("gen_opt.b1", TREE["gen_opt"]["lr"], "gen_opt.b1 must be a number, got a Schedule"),
        ("objective.penalties.r1", math.inf, "objective.penalties.r1 must be finite, got inf"),
        ("data", None, "data must be a Data, got None"),
        ("data.labels", 1, "data.labels must be true or false, got 1"),
        ("data.channels", 2, "data.channels must be one of 1, 3 or null, got 2"),
        ("data.path", ["a"], "data.path must be text or null, got ('a',)"),
        ("learning_rate", 1, "Config has no field 'learning_rate'"),
        ("step", 1, "Config has no field 'step' (did you mean 'steps'?)"),
        ("gen_opt.lt", 1, "gen_opt: Optimizer has no field 'lt'"),
        ("a\nb", 1, r"Config has no field 'a\nb'"),
        ("seed", {"a": 1}, "seed must be of a registered type, got _type None"),
        ("seed", -1, "seed must be from 0 to 4294967295, got -1"),  # raised by `validate`
    ],
)
def test_an_invalid_value_is_named(path, value, message):
    assert_rejected(modified_json(path, value), message)


def test_an_integer_is_accepted_as_a_number():
    assert serialization.loads(modified_json("objective.weight_clip", 1)).objective.weight_clip == 1


def is_contained(tree, other):
    """Return whether `other` has every value of the JSON tree `tree`."""
    if isinstance(tree, dict) and isinstance(other, dict):
        return all(
            name in other and is_contained(value, other[name]) for name, value in tree.items()
        )
    return tree == other


def assert_loads_or_rejects(text):
    """Assert a one-line UserError, or a Config with every value of the text."""
    try:
        config = serialization.loads(text)
    except UserError:
        assert_rejected(text)
        return
    restored = serialization.dumps(config)
    assert serialization.loads(restored) == config
    assert is_contained(json.loads(text), json.loads(restored))


@settings(max_examples=300)
@given(st.data())
def test_damaged_text(data):
    text = json.dumps(TREE)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        removed = data.draw(st.integers(0, 3))
        text = (
            text[:start]
            + data.draw(st.text('0123456789.-e"{}[],:nul \\x', max_size=2))
            + text[start + removed :]
        )
    assert_loads_or_rejects(text)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KNOWN = st.sampled_from(
    [TREE["gen"], TREE["data"], TREE["gen_opt"]["lr"], TREE["objective"]["penalties"]]
)
JSON = st.recursive(
    SCALARS | KNOWN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def paths(tree, path=()):
    """Yield every path into a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for name, value in items if isinstance(tree, (dict, list)) else ():
        yield (*path, name)
        if isinstance(value, (dict, list)):
            yield from paths(value, (*path, name))


@settings(max_examples=300)
@given(st.data())
def test_damaged_tree(data):
    tree = copy.deepcopy(TREE)
    *outer, last = data.draw(st.sampled_from(list(paths(tree))))
    parent = tree
    for name in outer:
        parent = parent[name]
    match data.draw(st.sampled_from(["replace", "remove", "rename"])):
        case "replace":
            parent[last] = data.draw(JSON)
        case "remove":
            del parent[last]
        case "rename" if isinstance(parent, dict):
            parent[data.draw(st.text(max_size=5))] = parent.pop(last)
    assert_loads_or_rejects(json.dumps(tree))

"""The config: exact JSON, every value that validation refuses, and what tells two configs apart."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.config import Config, Data, Optimizer, Penalties, schema, serialization
from gan_jax.config.schedules import Schedule
from gan_jax.config.validation import validate
from gan_jax.core.errors import UserError
from gan_jax.losses import adversarial, penalties
from gan_jax.networks import layers, mlp
from tests.helpers.odd_config import CONFIG


def changed(config, path, value):
    """The config with another value at a dotted name."""
    name, _, rest = path.partition(".")
    inner = changed(getattr(config, name), rest, value) if rest else value
    return config.replace(**{name: inner})


SHARE = st.floats(0, 1, exclude_max=True)
POSITIVE = st.floats(0, 1e300)
STEPS = st.integers(1, 2**10)
VALUE = POSITIVE | st.builds(
    Schedule, POSITIVE, POSITIVE, STEPS, st.sampled_from(["linear", "cosine"])
)
WIDTHS = st.lists(st.integers(1, 99), max_size=3).map(tuple)
OPTIMIZER = st.builds(
    Optimizer, st.sampled_from(["adam", "rmsprop"]), VALUE, SHARE, SHARE, st.floats(1e-300, 1)
)
CONFIGS = st.builds(
    Config,
    name=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", fullmatch=True),
    gen=st.builds(mlp.Generator, shape=WIDTHS, widths=WIDTHS, activation=st.just("elu")),
    disc=st.builds(mlp.Discriminator, widths=WIDTHS, norm=st.sampled_from(["none", "spectral"])),
    steps=STEPS,
    data=st.builds(Data, st.text(), st.text(), path=st.none() | st.text(), size=st.none() | STEPS),
    loss=st.sampled_from(sorted(adversarial.LOSSES)),
    penalties=st.builds(Penalties, VALUE, VALUE, VALUE, VALUE, VALUE),
    gen_opt=OPTIMIZER,
    disc_opt=OPTIMIZER,
    ema_half_life=VALUE,
    ema_ramp=SHARE,
    n_critic=STEPS,
    seed=st.integers(0, 2**32 - 1),
)


@given(CONFIGS)
def test_json_gives_back_what_it_was_given(config):
    text = serialization.dumps(config)
    again = serialization.loads(text)
    assert again == config
    assert serialization.dumps(again) == text  # also where == is blind: 1 and 1.0, 0.0 and -0.0


def test_json_of_everything_that_is_not_a_default():
    again = serialization.loads(serialization.dumps(CONFIG))
    assert again == CONFIG
    assert type(again.gen) is mlp.Generator
    assert again.gen.widths == (7, 5)
    assert type(again.penalties.r2) is Schedule


def test_a_left_out_field_has_its_default():
    tree = json.loads(serialization.dumps(CONFIG))
    del tree["ema_half_life"]
    assert serialization.loads(json.dumps(tree)) == CONFIG.replace(ema_half_life=0.0)


def test_the_device_axis_is_not_written():
    sharded = CONFIG.replace(gen=layers.on_axis(CONFIG.gen, "devices"))
    assert sharded.gen.axis == "devices"
    assert serialization.dumps(sharded) == serialization.dumps(CONFIG)


NAN = math.nan
WRONG = {
    **dict.fromkeys(("steps", "penalty_every", "n_critic", "z_dim", "batch_size"), (0, -1)),
    **dict.fromkeys(
        ("log_every", "sample_every", "checkpoint_every", "keep", "skip_limit"), (0, -5)
    ),
    "score_every": (-1, 2**31),
    "seed": (-1, 2**32),
    "loss": ("hingee", ""),
    "label_smoothing": (-0.1, 1.0, NAN),
    "latent": ("gaussian",),
    "data.size": (0, -8),
    "data.per_class": (-1, 2**31),
    "data.draw": (-1, 2**32),
    **dict.fromkeys(("weight_clip", "ema_ramp"), (-0.1, NAN, math.inf)),
    **dict.fromkeys(
        (
            "ema_half_life",
            "gen_opt.lr",
            "disc_opt.lr",
            *(f"penalties.{name}" for name in penalties.PENALTIES),
        ),
        (-1e-9, NAN, math.inf, -math.inf, Schedule(1.0, -1.0, 5), Schedule(-1.0, 1.0, 5)),
    ),
    **dict.fromkeys(("gen_opt.name", "disc_opt.name"), ("adamw",)),
    **dict.fromkeys(("gen_opt.b1", "disc_opt.b1"), (-0.1, 1.0, NAN)),
    **dict.fromkeys(("gen_opt.b2", "disc_opt.b2"), (-0.1, 1.0, NAN, Schedule(0.9, 1.0, 5))),
}


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, values in WRONG.items() for value in values],
    ids=str,
)
def test_validate_names_field_and_value(path, value):
    validate(CONFIG)
    with pytest.raises(UserError) as error:
        validate(changed(CONFIG, path, value))
    shown = repr(str(value)) if isinstance(value, Schedule) else repr(value)
    assert str(error.value).startswith(f"{path} is {shown}: it must be ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": "hinje"}, "did you mean 'hinge'?"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "0 with the loss 'hinge'"),
        ({"steps": 2**20, "n_critic": 2**5, "batch_size": 2**7}, "must stay below 2^32"),
    ],
)
def test_validate_explains(changes, said):
    with pytest.raises(UserError) as error:
        validate(CONFIG.replace(**changes))
    assert said in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 2**20 - 1, "n_critic": 2**5, "batch_size": 2**7},
        {"label_smoothing": 0.1, "loss": "minimax"},
        {"gen_opt": Optimizer(lr=0, b1=0.0, b2=Schedule(0.0, 0.999, 5))},
        {"seed": 0, "weight_clip": 0.01},
    ],
    ids=str,
)
def test_validate_lets_the_edges_pass(changes):
    assert validate(CONFIG.replace(**changes)) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "b"),
        ("seed", 3),
        ("gen", mlp.Discriminator()),
        ("gen.widths", (7, 6)),
        ("data.split", "half"),
        ("gen_opt.lr", 2e-4),
        ("gen_opt.lr.end", 1.0),
        ("penalties.r1", Schedule(1 / 3, 1 / 3, 1)),
    ],
)
def test_differences_name_the_field(path, value):
    other = dataclasses.replace(changed(CONFIG, path, value), steps=77)  # steps do not count
    other = changed(other, "data.path", "elsewhere")  # nor does the place of the data
    here = CONFIG
    for name in path.split("."):
        here = getattr(here, name)
    assert schema.differences(CONFIG, other) == {path: (here, value)}


def test_differences_of_the_same_config_are_none():
    other = CONFIG.replace(steps=1, gen=CONFIG.gen.clone(parent=None))
    assert schema.differences(CONFIG, other) == {}

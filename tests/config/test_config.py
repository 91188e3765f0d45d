"""Configs: JSON round trips, validation errors and differences."""

import json
import math
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.config import (
    EMA,
    Config,
    ImageData,
    Logging,
    Objective,
    Optimizer,
    Penalties,
    PointData,
    Runtime,
    schema,
    serialization,
)
from gan_jax.config.schedules import Schedule
from gan_jax.config.validation import DATASET_NAMES, validate, validate_logging, validate_runtime
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.losses import adversarial, penalties
from gan_jax.networks import layers, mlp
from tests.helpers.odd_config import CONFIG

NOT_IMAGES = [name for names in DATASET_NAMES.values() for name in names]
FRACTION = st.floats(0, 1, exclude_max=True)
POSITIVE = st.floats(0, 1e300)
STEPS = st.integers(1, 2**10)
SCALAR = POSITIVE | st.builds(
    Schedule, POSITIVE, POSITIVE, STEPS, st.sampled_from(["linear", "cosine"])
)
WIDTHS = st.lists(st.integers(1, 99), max_size=3).map(tuple)
OPTIMIZER = st.builds(
    Optimizer,
    st.sampled_from(["adam", "rmsprop"]),
    SCALAR,
    FRACTION,
    FRACTION,
    st.floats(1e-300, 1),
)
CONFIGS = st.builds(
    Config,
    name=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", fullmatch=True),
    gen=st.builds(mlp.Generator, shape=WIDTHS, widths=WIDTHS, activation=st.just("elu")),
    disc=st.builds(mlp.Discriminator, widths=WIDTHS, norm=st.sampled_from(["none", "spectral"])),
    steps=STEPS,
    data=st.builds(
        ImageData,
        st.text().filter(lambda name: name.partition(":")[0] not in NOT_IMAGES),
        st.text(),
        path=st.none() | st.text(),
        size=st.none() | STEPS,
    ),
    objective=st.builds(
        Objective,
        st.sampled_from(sorted(adversarial.LOSSES)),
        penalties=st.builds(Penalties, SCALAR, SCALAR, SCALAR, SCALAR, SCALAR),
    ),
    gen_opt=OPTIMIZER,
    disc_opt=OPTIMIZER,
    ema=st.builds(EMA, SCALAR, FRACTION),
    n_critic=STEPS,
    seed=st.integers(0, 2**32 - 1),
)


@given(CONFIGS)
def test_json_round_trip_is_exact(config):
    text = serialization.dumps(config)
    restored = serialization.loads(text)
    assert restored == config
    assert serialization.dumps(restored) == text  # == does not tell 1 from 1.0, or 0.0 from -0.0


def test_json_round_trip_of_non_default_values():
    restored = serialization.loads(serialization.dumps(CONFIG))
    assert restored == CONFIG
    assert type(restored.gen) is mlp.Generator
    assert restored.gen.widths == (7, 5)
    assert type(restored.objective.penalties.r2) is Schedule


def test_a_missing_field_has_its_default():
    tree = json.loads(serialization.dumps(CONFIG))
    del tree["ema"]["half_life"]
    assert serialization.loads(json.dumps(tree)) == CONFIG.replace(ema_half_life=0.0)


def test_the_device_axis_is_not_serialized():
    sharded = CONFIG.replace(gen=layers.on_axis(CONFIG.gen, "devices"))
    assert sharded.gen.axis == "devices"
    assert serialization.dumps(sharded) == serialization.dumps(CONFIG)


NAN = math.nan
INVALID = {
    **dict.fromkeys(("steps", "penalty_every", "n_critic", "z_dim", "batch_size"), (0, -1)),
    "seed": (-1, 2**32),
    "loss": ("hingee", ""),
    "label_smoothing": (-0.1, 1.0, NAN),
    "latent": ("gaussian",),
    "data.size": (0, -8),
    "data.per_class": (-1, 2**31),
    "data.subset_seed": (-1, 2**32),
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
    [(path, value) for path, values in INVALID.items() for value in values],
    ids=str,
)
def test_validation_errors_name_field_and_value(path, value):
    validate(CONFIG)
    with pytest.raises(UserError) as error:
        validate(CONFIG.replace(**{path: value}))
    formatted = repr(str(value)) if isinstance(value, Schedule) else repr(value)
    assert str(error.value).startswith(f"{path} must be ")
    assert str(error.value).endswith(f", got {formatted}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [0, -5, 2**31])
@pytest.mark.parametrize("field", ["log_every", "sample_every", "checkpoint_every", "keep"])
def test_logging_errors_name_field_and_value(field, value):
    with pytest.raises(UserError, match=f"^{field} must be at least 1 .* got {value}$"):
        validate_logging(CONFIG, Logging(**{field: value}))


@pytest.mark.parametrize("value", [-1, 2**31])
def test_logging_errors_name_score_every(value):
    with pytest.raises(UserError, match=f"^score_every must be at least 0 .* got {value}$"):
        validate_logging(CONFIG, Logging(score_every=value))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("skip_limit", 0),
        ("skip_limit", 2**31),
        ("microbatch", -1),
        ("members_at_once", 0),
        ("workers", -1),
        ("workers", 2),  # without stream
    ],
)
def test_runtime_errors_name_field_and_value(field, value):
    with pytest.raises(UserError, match=f"^{field} must be .* got {value}$"):
        validate_runtime(Runtime(**{field: value}))


def test_default_settings_are_valid():
    validate_logging(CONFIG, Logging())
    validate_runtime(Runtime())
    validate_runtime(Runtime(stream=True, workers=2, members_at_once=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "hinje"}, "did you mean 'hinge'?"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "0 with the loss 'hinge'"),
        (
            {"steps": 2**20, "n_critic": 2**5, "batch_size": 2**7},
            "batch_size is below 2^32, got 1048576",
        ),
    ],
)
def test_validation_errors_explain_the_constraint(changes, message):
    with pytest.raises(UserError) as error:
        validate(CONFIG.replace(**changes))
    assert message in str(error.value)


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
def test_boundary_values_are_valid(changes):
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
        ("loss", "hinge"),
        ("z_dim", 3),
        ("latent", "uniform"),
        ("ema_half_life", 1.0),
    ],
)
def test_differences_name_the_field(path, value):
    other = CONFIG.replace(**{path: value}, steps=77)  # steps are ignored
    other = other.replace(**{"data.path": "elsewhere"})  # and so is the path of the data
    present = operator.attrgetter(".".join(schema.path_of(path)))(CONFIG)
    assert schema.differences(CONFIG, other) == {path: (present, value)}


def test_equal_configs_have_no_differences():
    other = CONFIG.replace(steps=1, gen=CONFIG.gen.clone(parent=None))
    assert schema.differences(CONFIG, other) == {}


@pytest.mark.parametrize(
    ("flag", "value", "path"),
    [
        ("loss", "hinge", "objective.loss"),
        ("penalties", Penalties(dragan=1.0), "objective.penalties"),
        ("penalties.r1", 2.0, "objective.penalties.r1"),
        ("path_length_every", 3, "objective.path_length_every"),
        ("z_dim", 7, "prior.dim"),
        ("latent", "uniform", "prior.distribution"),
        ("ema_half_life", 5.0, "ema.half_life"),
        ("ema_ramp", 0.25, "ema.ramp"),
        ("steps", 3, "steps"),
        ("gen_opt.lr.start", 0.5, "gen_opt.lr.start"),
        ("data", PointData("grid"), "data"),
        ("objective", Objective("hinge"), "objective"),
    ],
)
def test_replace_accepts_flag_names(flag, value, path):
    config = CONFIG.replace(**{flag: value})
    assert operator.attrgetter(path)(config) == value
    assert CONFIG.replace(**{flag: operator.attrgetter(path)(CONFIG)}) == CONFIG
    assert schema.flag_of(path) == flag
    assert ".".join(schema.path_of(flag)) == path


def test_replace_rejects_unknown_names():
    for name in ("dim", "half_life", "log_every", "learning_rate"):
        with pytest.raises(TypeError, match=name):
            CONFIG.replace(**{name: 1})


def test_every_data_config_can_be_loaded_and_validated():
    types = set(schema.Data.__subclasses__())
    assert types == set(DATASET_NAMES) == set(sources.LOADERS)

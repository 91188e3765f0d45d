"""Populations: each member equals its solo run, whatever is trained with it."""

import contextlib
import dataclasses
import itertools
import types

import chex
import jax
import numpy as np
import pytest
from jax import lax

from gan_jax.config import (
    Augment,
    Config,
    ImageData,
    Masks,
    Objective,
    Optimizer,
    Penalties,
    PointData,
    Prior,
    population,
    schema,
)
from gan_jax.config.schedules import Schedule
from gan_jax.config.sweeps import Sweep
from gan_jax.config.validation import validate
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.networks import mlp, unet
from gan_jax.training import parallel, population_state
from gan_jax.training.initialize import initialize
from gan_jax.training.state import generator_variables, variables
from tests.helpers import small

pytestmark = pytest.mark.integration

SEEDS = (5, 0, 9, 3)
# Lazy penalties, in addition to the features of small.CONFIG.
MANY = small.config(seeds=SEEDS, steps=4, penalty_every=2)
TINY = Config(
    name="tiny",
    gen=mlp.Generator(shape=(2,), widths=(8,), out="linear", norm="batch"),
    disc=mlp.Discriminator(widths=(8,)),
    steps=3,
    data=PointData("ring"),
    objective=Objective(loss="relativistic_average"),
    gen_opt=Optimizer(eps=1e-4),
    disc_opt=Optimizer(eps=1e-4),
    prior=Prior(dim=4),
    batch_size=8,
    seeds=SEEDS,
)


def tiny(**changes):
    return TINY.replace(**changes)


def assert_member(config, state, metrics, number, solo, solo_metrics, rtol, atol):
    """Assert that a member is close to its solo run, and has the same key."""
    _, member = population_state.member_run(config, state, number)
    # The solo run may have no moving average, and no penalties that other members have.
    small.assert_trees_close(member, solo, rtol, atol, strict=False)
    np.testing.assert_array_equal(*map(jax.random.key_data, (member.key, solo.key)))
    rows = {name: row[:, number] for name, row in metrics.items()}
    small.assert_trees_close(rows, solo_metrics, rtol, atol, strict=False)


# Members of a population.


def test_members_are_in_the_order_of_nested_loops_with_seeds_innermost():
    sweep = (Sweep("gen_opt.lr.start", (1e-3, 2e-3)), Sweep("penalties.r1", (0.0, 1.0, 2.0)))
    config = small.config(seeds=(7, 4), seed=99, sweep=sweep)
    members = population.member_configs(config)
    lr = small.CONFIG.gen_opt.lr
    expected = [
        small.config(
            seed=seed,
            gen_opt=dataclasses.replace(
                small.CONFIG.gen_opt, lr=dataclasses.replace(lr, start=start)
            ),
            penalties=dataclasses.replace(small.CONFIG.objective.penalties, r1=r1),
        )
        for start in (1e-3, 2e-3)
        for r1 in (0.0, 1.0, 2.0)
        for seed in (7, 4)
    ]
    assert members == expected
    assert population.sweep_cells(config)[4] == {"gen_opt.lr.start": 2e-3, "penalties.r1": 1.0}
    values = population.swept_values(config)
    assert [value.dtype for value in values.values()] == [np.float32] * 2
    np.testing.assert_array_equal(values["gen_opt.lr.start"], np.float32([1e-3] * 6 + [2e-3] * 6))
    np.testing.assert_array_equal(values["penalties.r1"], [0, 0, 1, 1, 2, 2] * 2)
    key_data = jax.random.key_data(population.root_keys(config))
    for row, member in zip(key_data, expected, strict=True):
        np.testing.assert_array_equal(row, jax.random.key_data(keys.root_key(member.seed)))


@pytest.mark.parametrize(
    ("seeds", "sweep", "member_seeds"),
    [
        ((), (), [3]),
        ((8,), (), [8]),
        ((8, 2), (), [8, 2]),
        ((), (Sweep("ema_ramp", (1.0, 2.0, 3.0)),), [3, 3, 3]),
        ((8, 2), (Sweep("ema_ramp", (1.0,)),), [8, 2]),
    ],
)
def test_a_population_has_seeds_or_swept_values(seeds, sweep, member_seeds):
    config = small.config(seed=3, seeds=seeds, sweep=sweep)
    members = population.member_configs(config)
    assert [member.seed for member in members] == member_seeds
    assert not any(population.is_population(member) for member in members)
    expected = bool(seeds or sweep)
    assert population.is_population(config) == expected
    assert population.root_keys(config).shape == ((len(members),) if expected else ())
    assert all(len(values) == len(members) for values in population.swept_values(config).values())
    if not expected:
        assert members == [config]
        tree = {"x": np.arange(3)}
        assert population_state.select_member(config, tree, 0) is tree


def test_bind_replaces_nested_fields_and_nothing_else():
    config = small.CONFIG
    bound = population.bind(
        config, {"gen_opt.lr.end": 5.0, "gen_opt.b1": 0.25, "ema_half_life": 7.0, "seed": 2}
    )
    assert bound.gen_opt == Optimizer(
        lr=Schedule(1e-3, 5.0, 20, "cosine"), b1=0.25, b2=0.99, eps=1e-4
    )
    assert (bound.ema.half_life, bound.seed) == (7.0, 2)
    back = {"gen_opt": config.gen_opt, "ema_half_life": 100.0, "seed": 0}
    assert bound.replace(**back) == config
    bound = population.bind(config, {"penalties.r2": 0.5})
    assert bound.objective.penalties == Penalties(r1=0.1, r2=0.5)
    assert population.bind(config, {}) == config


# Seeds: MANY uses most features of training, with lazy penalties.


@pytest.fixture(scope="module")
def many():
    """Results of MANY in one chunk and in three, and the number of traces of its step."""
    traces = []
    make_train_step = parallel.make_train_step

    def counting(config, axis=None, **options):
        step = make_train_step(config, axis, **options)
        return lambda state, batch: traces.append(1) or step(state, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "make_train_step", counting)
        program = parallel.make_program(MANY, jax.local_devices()[:1], 16)
        whole = small.run_chunks(MANY, program)
        chunked = small.run_chunks(MANY, program, chunks=(1, 2, 1))
    return types.SimpleNamespace(whole=whole, chunked=chunked, traces=len(traces), program=program)


@pytest.fixture(scope="module")
def solos():
    """Solo runs of the members of MANY, with one program, which does not depend on the seed."""
    members = population.member_configs(MANY)
    program = parallel.make_program(members[0], jax.local_devices()[:1], 16)
    return [small.run_chunks(member, program) for member in members]


@pytest.mark.parametrize("number", range(4))
def test_member_equals_its_solo_run(many, solos, number):
    state, metrics = many.whole
    assert (
        population_state.member_run(MANY, state, number)[0]
        == population.member_configs(MANY)[number]
    )
    assert {row.shape for row in metrics.values()} == {(4, 4)}
    assert solos[number][1].keys() == metrics.keys()
    assert int(state.step) == 4
    # Batched products sum in another order. Adam divides the rounding errors of 1e-7 by its eps of
    # 1e-4 and applies 1e-3 of that, four times, and the players amplify it.
    assert_member(MANY, state, metrics, number, *solos[number], rtol=1e-4, atol=2e-6)


def test_members_are_different(many):
    state, metrics = many.whole
    for name in ("disc_loss", "gen_loss", "r1", "r2", "gen_grad_norm"):
        assert len(np.unique(metrics[name][1])) == 4, name
    kernels = np.asarray(state.gen.params["Dense_0"]["kernel"])
    assert len(np.unique(kernels, axis=0)) == 4


def test_chunks_do_not_change_a_bit(many):
    small.assert_same_bits(many.whole[0], many.chunked[0])
    chex.assert_trees_all_equal(many.whole[1], many.chunked[1])


def test_the_step_is_traced_once(many):
    assert many.traces == 1


def primitives(jaxpr):
    """Yield the names of all operations of a program, including nested ones."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from primitives(inner)


@pytest.mark.parametrize(
    ("devices", "max_concurrent", "programs"), [(1, None, 1), (1, 1, 1), (1, 3, 2), (2, None, 1)]
)
def test_lazy_penalties_stay_lazy(devices, max_concurrent, programs):
    """All members share the condition, so `cond` computes one branch only.

    With one condition per member, `vmap` would turn it into a `select` of both branches. Members
    that do not fill a group have a second program.
    """
    config = tiny(penalties=Penalties(r1=0.1), penalty_every=2)
    local_devices = jax.local_devices()[:devices]
    data = sources.load(config.data).batch

    def names(config, max_concurrent):
        program = parallel.make_program(config, local_devices, 16, max_concurrent)
        state = jax.eval_shape(
            lambda roots: population_state.init_population(
                config, roots, jax.tree.map(lambda x: x[:8], data)
            ),
            population.root_keys(config),
        )
        function = program.function(data)
        rest = (np.int32(3), data, *program.arguments)
        return list(primitives(jax.make_jaxpr(lambda state: function(state, *rest))(state).jaxpr))

    solo = names(population.member_configs(config)[0], None).count("cond")
    assert solo >= 1
    assert names(config, max_concurrent).count("cond") == solo * programs


# Groups of members, and several devices.


@pytest.fixture(scope="module")
def ungrouped():
    return small.train_state(TINY)


@pytest.mark.parametrize("max_concurrent", [1, 3])  # of four members; 3 leaves a remainder
def test_groups_do_not_change_the_members(ungrouped, max_concurrent):
    state, metrics = small.train_state(TINY, chunks=(1, 2), max_concurrent=max_concurrent)
    assert {row.shape for row in metrics.values()} == {(3, 4)}
    # Rounding errors of batched products of other sizes, after three steps of Adam.
    small.assert_trees_close(state, ungrouped[0], rtol=1e-5, atol=5e-7)
    small.assert_trees_close(metrics, ungrouped[1], rtol=1e-5, atol=5e-7)
    chex.assert_trees_all_equal(
        jax.random.key_data(state.key), jax.random.key_data(ungrouped[0].key)
    )


@pytest.mark.parametrize(
    ("width", "platform", "expected"),
    [(8, "cpu", 4), (400, "cpu", 1), (400, "gpu", 4)],  # 400 x 400 weights: a large network
)
def test_default_number_of_concurrent_members(width, platform, expected):
    config = tiny(disc=mlp.Discriminator(widths=(width, width)))
    state = initialize(config, sources.load(config.data), jax.local_devices()[:1])
    device = types.SimpleNamespace(platform=platform)
    assert parallel.default_max_concurrent_members(config, state, [device]) == expected


@pytest.mark.parametrize("max_concurrent", [None, 2])
def test_devices_do_not_change_the_members(ungrouped, max_concurrent):
    state, metrics = small.train_state(TINY, devices=2, max_concurrent=max_concurrent)
    # As in test_contracts: batch statistics and relativistic means are summed in another order.
    small.assert_trees_close(state, ungrouped[0], rtol=1e-4, atol=2e-6)
    small.assert_trees_close(metrics, ungrouped[1], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(("devices", "max_concurrent"), [(1, None), (1, 3), (2, None)])
def test_inputs_of_members_are_bitwise_those_of_solo_runs(devices, max_concurrent, monkeypatch):
    def spy(config, axis=None, **_):
        def step(state, batch):
            def example_keys(purpose, iteration=0):
                root = keys.step_key(state.key, purpose, state.step, iteration)
                return keys.example_keys(root, batch.real.shape[1], axis)

            z = keys.latents(
                example_keys(keys.Purpose.DISC_Z, 1), config.prior.dim, config.prior.distribution
            )
            penalty_keys = jax.random.key_data(example_keys(keys.Purpose.PENALTY))
            inputs = {"real": batch.real, "z": z[None], "noise": penalty_keys[None]}
            if axis:
                inputs = lax.all_gather(inputs, axis, axis=1, tiled=True)
            return state.replace(step=state.step + 1), inputs

        return step

    monkeypatch.setattr(parallel, "make_train_step", spy)
    config = tiny(n_critic=2, seeds=SEEDS[:-1], sweep=(Sweep("gen_opt.lr", (1.0, 2.0)),))
    members = population.member_configs(config)
    program = parallel.make_program(members[0], jax.local_devices()[:1], 16)
    solo = [small.run_chunks(member, program)[1] for member in members[:3]]
    _, all_inputs = small.train_state(config, devices, max_concurrent=max_concurrent)
    assert all_inputs["real"].shape == (3, 6, 2, 8, 2)
    for number in range(6):
        member_inputs = {name: inputs[:, number] for name, inputs in all_inputs.items()}
        # A sweep does not change random numbers.
        chex.assert_trees_all_equal(member_inputs, solo[number % 3])
    assert len(np.unique(all_inputs["z"][:, :3])) == all_inputs["z"][:, :3].size


# Sweeps: each sweepable field has a low and a high value in one of these groups.

GAME = tiny(
    seeds=(), seed=12, loss="non_saturating", gen=TINY.gen.clone(norm="none"), batch_size=16
)
GROUPS = {
    "likelihood": (
        small.TEXTS.replace(steps=2),
        {
            "pretrain.opt.lr": (0.01, 0.03),
            "pretrain.opt.b1": (0.0, 0.9),
            "pretrain.opt.b2": (0.3, 0.6),
            "pretrain.opt.eps": (0.02, 0.2),
            "pretrain.clip": (0.0, 0.1),
        },
    ),
    "adam and rmsprop": (
        GAME.replace(
            gen_opt=Optimizer("adam"),
            disc_opt=Optimizer("rmsprop"),
            ema_half_life=50.0,
        ),
        {
            "gen_opt.lr": (0.01, 0.03),
            "gen_opt.b1": (0.0, 0.9),
            "gen_opt.b2": (0.3, 0.6),
            "gen_opt.eps": (0.02, 0.2),
            "disc_opt.lr": (0.005, 0.02),
            "disc_opt.b1": (0.0, 0.7),
            "disc_opt.b2": (0.4, 0.8),
            "disc_opt.eps": (0.01, 0.1),
            "ema_ramp": (0.0, 0.5),
        },
    ),
    "optimistic_adam and sgd": (
        GAME.replace(gen_opt=Optimizer("optimistic_adam"), disc_opt=Optimizer("sgd")),
        {
            "gen_opt.lr": (0.01, 0.03),
            "gen_opt.b1": (0.2, 0.9),
            "gen_opt.b2": (0.3, 0.6),
            "gen_opt.eps": (0.02, 0.2),
            "disc_opt.lr": (0.05, 0.2),
            "disc_opt.b1": (0.0, 0.7),
        },
    ),
    "losses and penalties": (
        GAME.replace(gen_opt=Optimizer("sgd", 0.1, 0.0), disc_opt=Optimizer("sgd", 0.1, 0.0)),
        {
            "penalties.r1": (0.0, 0.2),
            "penalties.r2": (0.0, 0.3),
            "penalties.gradient_penalty": (0.0, 0.4),
            "penalties.one_sided": (0.0, 2.0),
            "penalties.dragan": (0.0, 0.6),
            "label_smoothing": (0.0, 0.25),
            "weight_clip": (0.0, 0.5),
            "ema_half_life": (0.0, 50.0),
        },
    ),
    "schedules": (
        GAME.replace(
            gen_opt=Optimizer(
                lr=Schedule(1.0, 1.0, 3), b2=Schedule(0.1, 0.1, 3, "cosine"), eps=0.1
            ),
            disc_opt=Optimizer("sgd", 0.1, 0.0),
            penalties=Penalties(r1=Schedule(1.0, 1.0, 4)),
            ema_half_life=Schedule(1.0, 1.0, 2),
        ),
        {
            "gen_opt.lr.start": (0.01, 0.03),
            "gen_opt.lr.end": (0.0, 0.02),
            "gen_opt.b2.start": (0.5, 0.2),
            "gen_opt.b2.end": (0.9, 0.6),
            "penalties.r1.start": (0.0, 1.1),
            "penalties.r1.end": (0.3, 2.0),
            "ema_half_life.start": (0.0, 40.0),
            "ema_half_life.end": (30.0, 70.0),
        },
    ),
    "augmentation and class heads": (
        GAME.replace(
            gen=mlp.Generator(shape=(8, 8, 1), widths=(8,), classes=10),
            disc=small.WithClassHead(),
            data=ImageData("digits", "all", labels=True),
            augment=Augment(cutout=1.0, adaptive=True, adapt_every=1),
            gen_opt=Optimizer("sgd", 0.1, 0.0),
            disc_opt=Optimizer("sgd", 0.1, 0.0),
        ),
        {
            "augment.p": (0.3, 0.6),
            "augment.target": (-0.9, 0.9),
            "augment.adapt_images": (100.0, 400.0),
            "auxiliary_disc": (0.0, 1.0),
            "auxiliary_gen": (0.0, 1.0),
        },
    ),
    "inpainting": (
        GAME.replace(
            gen=unet.Generator(8, 1, (4, 4), (1, 1), (1, 1), 1),
            disc=unet.Discriminator(8, (4, 4), (1, 1), (1, 1), 1),
            data=ImageData("digits", "all", symmetric=True),
            masks=Masks(("box",)),
            gen_opt=Optimizer("sgd", 0.1, 0.0),
            disc_opt=Optimizer("sgd", 0.1, 0.0),
        ),
        {"reconstruction": (0.0, 1.0), "perceptual": (0.0, 1.0)},
    ),
}
# SGD, or eps of at least 0.01: errors hardly grow in three steps.
CLOSE = {"rtol": 1e-5, "atol": 5e-7}


@pytest.fixture(scope="module")
def train_sweep():
    """Function of a group to (config, state, metrics) of all combinations, trained once."""
    results = {}

    def train(group):
        if group not in results:
            base, fields = GROUPS[group]
            sweep = tuple(Sweep(*field) for field in fields.items())
            config = base.replace(sweep=sweep)
            validate(config)
            results[group] = (config, *small.train_state(config))
        return results[group]

    return train


def member_number(bits):
    """Return the number of the member with these values, 0 low and 1 high."""
    return int("".join(map(str, bits)), 2)


LONG = ("likelihood", "optimistic_adam and sgd", "augmentation and class heads", "inpainting")


@pytest.mark.parametrize("group", [small.nightly(x) if x in LONG else x for x in GROUPS])
def test_sweep_member_equals_the_solo_run_with_its_values(train_sweep, group):
    """Tests a member with low values of some fields and high values of others."""
    config, state, metrics = train_sweep(group)
    base, fields = GROUPS[group]
    bits = [i // 2 % 2 for i in range(1, len(fields) + 1)]
    number = member_number(bits)
    member_config, member = population_state.member_run(config, state, number)
    values = {name: pair[bit] for (name, pair), bit in zip(fields.items(), bits, strict=True)}
    assert member_config == population.bind(base, values)
    solo, solo_metrics = small.train_state(member_config)
    assert_member(config, state, metrics, number, solo, solo_metrics, **CLOSE)
    if solo.ema is None and member.ema is not None:  # half-life 0
        small.assert_trees_close(generator_variables(member), variables(solo.gen), **CLOSE)
    assert metrics["skipped"].sum() == 0


@pytest.mark.parametrize(
    ("group", "field"),
    [
        small.nightly(group, field) if group in LONG else (group, field)
        for group, (_, fields) in GROUPS.items()
        for field in fields
    ],
)
def test_swept_field_changes_the_result(train_sweep, group, field):
    """The change exceeds the tolerance above, which therefore distinguishes the values."""
    config, state, _ = train_sweep(group)
    names = [sweep.field for sweep in config.sweep]
    high, low = [1] * len(names), [int(name != field) for name in names]
    (_, high_state), (_, low_state) = (
        population_state.member_run(config, state, member_number(bits)) for bits in (high, low)
    )
    with pytest.raises(AssertionError):
        small.assert_trees_close(high_state, low_state, **CLOSE)
    small.assert_trees_close(high_state.key, low_state.key, 0, 0)


def test_every_sweepable_field_is_tested():
    def walk(value, prefix=""):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if dataclasses.is_dataclass(inner) and not isinstance(inner, Schedule):
                yield from walk(inner, f"{prefix}{field.name}.")
            else:
                yield prefix + field.name

    def is_sweepable(field):
        values = (0.5,) if field != "label_smoothing" else (0.25,)
        for base in (GAME, GROUPS["inpainting"][0]):
            with contextlib.suppress(UserError):
                validate(base.replace(sweep=(Sweep(field, values),)))
                return True
        return False

    tested = {field for _, fields in GROUPS.values() for field in fields}
    sweepable = {field for field in map(schema.flag_of, walk(GAME)) if is_sweepable(field)}
    assert sweepable == {field for field in tested if not field.endswith((".start", ".end"))}


def test_every_combination_has_its_swept_weight_clip(train_sweep):
    config, state, _ = train_sweep("losses and penalties")
    weights = np.asarray(jax.tree.leaves(state.disc.params)[-1])
    bits = np.array(list(itertools.product((0, 1), repeat=len(config.sweep))))
    largest = np.abs(weights).reshape(len(bits), -1).max(1)
    assert (largest[bits[:, 6] == 1] <= 0.5).all()
    assert (largest[bits[:, 6] == 0] > 0.5).all()

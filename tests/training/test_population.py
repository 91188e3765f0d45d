"""Contract 4: a member of a population is the run of its own config, whatever else is trained."""

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
MANY = small.config(seeds=SEEDS, steps=4, penalty_every=2)  # lazy penalties, beside small's demands
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
    """A population's member is that solo run, and its key bit by bit."""
    _, mine = population_state.member_run(config, state, number)
    # The solo run may be without an average, and without penalties that others have.
    small.assert_trees_close(mine, solo, rtol, atol, strict=False)
    np.testing.assert_array_equal(*map(jax.random.key_data, (mine.key, solo.key)))
    rows = {name: row[:, number] for name, row in metrics.items()}
    small.assert_trees_close(rows, solo_metrics, rtol, atol, strict=False)


# Which members there are.


def test_members_are_in_the_order_of_nested_loops_the_seeds_innermost():
    sweep = (Sweep("gen_opt.lr.start", (1e-3, 2e-3)), Sweep("penalties.r1", (0.0, 1.0, 2.0)))
    config = small.config(seeds=(7, 4), seed=99, sweep=sweep)
    found = population.member_configs(config)
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
    assert found == expected
    assert population.sweep_cells(config)[4] == {"gen_opt.lr.start": 2e-3, "penalties.r1": 1.0}
    values = population.swept_values(config)
    assert [value.dtype for value in values.values()] == [np.float32] * 2
    np.testing.assert_array_equal(values["gen_opt.lr.start"], np.float32([1e-3] * 6 + [2e-3] * 6))
    np.testing.assert_array_equal(values["penalties.r1"], [0, 0, 1, 1, 2, 2] * 2)
    roots = jax.random.key_data(population.root_keys(config))
    for row, one in zip(roots, expected, strict=True):
        np.testing.assert_array_equal(row, jax.random.key_data(keys.root_key(one.seed)))


@pytest.mark.parametrize(
    ("seeds", "sweep", "seed_of_each"),
    [
        ((), (), [3]),
        ((8,), (), [8]),
        ((8, 2), (), [8, 2]),
        ((), (Sweep("ema_ramp", (1.0, 2.0, 3.0)),), [3, 3, 3]),
        ((8, 2), (Sweep("ema_ramp", (1.0,)),), [8, 2]),
    ],
)
def test_a_population_has_seeds_or_swept_values(seeds, sweep, seed_of_each):
    config = small.config(seed=3, seeds=seeds, sweep=sweep)
    found = population.member_configs(config)
    assert [one.seed for one in found] == seed_of_each
    assert not any(population.is_population(one) for one in found)
    many = bool(seeds or sweep)
    assert population.is_population(config) == many
    assert population.root_keys(config).shape == ((len(found),) if many else ())
    assert all(len(values) == len(found) for values in population.swept_values(config).values())
    if not many:
        assert found == [config]
        tree = {"x": np.arange(3)}
        assert population_state.select_member(config, tree, 0) is tree


def test_bind_goes_to_any_depth_and_changes_nothing_else():
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


# Seeds: the demanding game, with lazy penalties.


@pytest.fixture(scope="module")
def many():
    """MANY in one chunk, and in three with the same program; how often its step was traced."""
    traces = []
    make = parallel.make_train_step

    def counted(config, axis=None, **options):
        step = make(config, axis, **options)
        return lambda state, batch: traces.append(1) or step(state, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "make_train_step", counted)
        program = parallel.make_program(MANY, jax.local_devices()[:1], 16)
        whole = small.run_chunks(MANY, program)
        cut = small.run_chunks(MANY, program, chunks=(1, 2, 1))
    return types.SimpleNamespace(whole=whole, cut=cut, traces=len(traces), program=program)


@pytest.fixture(scope="module")
def solos():
    """The runs that MANY's members are. One program serves all: a seed is not in it."""
    members = population.member_configs(MANY)
    program = parallel.make_program(members[0], jax.local_devices()[:1], 16)
    return [small.run_chunks(one, program) for one in members]


@pytest.mark.parametrize("number", range(4))
def test_a_member_is_its_solo_run(many, solos, number):
    state, metrics = many.whole
    assert (
        population_state.member_run(MANY, state, number)[0]
        == population.member_configs(MANY)[number]
    )
    assert {row.shape for row in metrics.values()} == {(4, 4)}
    assert solos[number][1].keys() == metrics.keys()
    assert int(state.step) == 4
    # Sums of a batched product are taken in another order; Adam divides the rounding errors of
    # 1e-7 by its eps of 1e-4 and takes 1e-3 of that, four times, in a game that feeds it back.
    assert_member(MANY, state, metrics, number, *solos[number], rtol=1e-4, atol=2e-6)


def test_members_are_not_each_other(many):
    state, metrics = many.whole
    for name in ("disc_loss", "gen_loss", "r1", "r2", "gen_grad_norm"):
        assert len(np.unique(metrics[name][1])) == 4, name
    kernels = np.asarray(state.gen.params["Dense_0"]["kernel"])
    assert len(np.unique(kernels, axis=0)) == 4


def test_chunks_do_not_change_a_bit(many):
    small.assert_same_bits(many.whole[0], many.cut[0])
    chex.assert_trees_all_equal(many.whole[1], many.cut[1])


def test_the_step_is_traced_once(many):
    assert many.traces == 1


def primitives(jaxpr):
    """The names of all operations of a program, inner ones too."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from primitives(inner)


@pytest.mark.parametrize(
    ("devices", "at_once", "programs"), [(1, None, 1), (1, 1, 1), (1, 3, 2), (2, None, 1)]
)
def test_lazy_penalties_stay_lazy(devices, at_once, programs):
    """The choice is one for all members, so a `cond` that computes one side; with a choice of its
    own for each member, `vmap` would make it a `select` of both. A remainder has a program too."""
    config = tiny(penalties=Penalties(r1=0.1), penalty_every=2)
    on = jax.local_devices()[:devices]
    data = sources.load(config.data).batch

    def names(config, at_once):
        program = parallel.make_program(config, on, 16, at_once)
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
    assert names(config, at_once).count("cond") == solo * programs


# In groups, and on several devices.


@pytest.fixture(scope="module")
def together():
    return small.train_state(TINY)


@pytest.mark.parametrize("at_once", [1, 3])  # of four; 3 leaves a remainder
def test_groups_do_not_change_the_members(together, at_once):
    state, metrics = small.train_state(TINY, chunks=(1, 2), at_once=at_once)
    assert {row.shape for row in metrics.values()} == {(3, 4)}
    # Batched products of other sizes: their rounding errors, through three steps of Adam.
    small.assert_trees_close(state, together[0], rtol=1e-5, atol=5e-7)
    small.assert_trees_close(metrics, together[1], rtol=1e-5, atol=5e-7)
    chex.assert_trees_all_equal(
        jax.random.key_data(state.key), jax.random.key_data(together[0].key)
    )


@pytest.mark.parametrize(
    ("width", "platform", "expected"),
    [(8, "cpu", 4), (400, "cpu", 1), (400, "gpu", 4)],  # 400 x 400 weights and some more
)
def test_members_at_once_where_nobody_says(width, platform, expected):
    config = tiny(disc=mlp.Discriminator(widths=(width, width)))
    state = initialize(config, sources.load(config.data), jax.local_devices()[:1])
    device = types.SimpleNamespace(platform=platform)
    assert parallel.default_max_concurrent_members(config, state, [device]) == expected


@pytest.mark.parametrize("at_once", [None, 2])
def test_devices_do_not_change_the_members(together, at_once):
    state, metrics = small.train_state(TINY, devices=2, at_once=at_once)
    # As in test_contracts: batch statistics and relativistic means summed in another order.
    small.assert_trees_close(state, together[0], rtol=1e-4, atol=2e-6)
    small.assert_trees_close(metrics, together[1], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(("devices", "at_once"), [(1, None), (1, 3), (2, None)])
def test_members_see_their_own_inputs_bitwise(devices, at_once, monkeypatch):
    def spy(config, axis=None, **_):
        def step(state, batch):
            def example(purpose, iteration=0):
                root = keys.step_key(state.key, purpose, state.step, iteration)
                return keys.example_keys(root, batch.real.shape[1], axis)

            z = keys.latents(
                example(keys.Purpose.DISC_Z, 1), config.prior.dim, config.prior.distribution
            )
            noise = jax.random.key_data(example(keys.Purpose.PENALTY))
            seen = {"real": batch.real, "z": z[None], "noise": noise[None]}
            if axis:
                seen = lax.all_gather(seen, axis, axis=1, tiled=True)
            return state.replace(step=state.step + 1), seen

        return step

    monkeypatch.setattr(parallel, "make_train_step", spy)
    config = tiny(n_critic=2, seeds=SEEDS[:-1], sweep=(Sweep("gen_opt.lr", (1.0, 2.0)),))
    members = population.member_configs(config)
    program = parallel.make_program(members[0], jax.local_devices()[:1], 16)
    solo = [small.run_chunks(one, program)[1] for one in members[:3]]
    _, found = small.train_state(config, devices, at_once=at_once)
    assert found["real"].shape == (3, 6, 2, 8, 2)
    for number in range(6):
        mine = {name: seen[:, number] for name, seen in found.items()}
        chex.assert_trees_all_equal(mine, solo[number % 3])  # the sweep changes no randomness
    assert len(np.unique(found["z"][:, :3])) == found["z"][:, :3].size


# Sweeps: each field that may be swept has a low and a high value in one of these groups.

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
    "the game": (
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
    "repairs": (
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
CLOSE = {"rtol": 1e-5, "atol": 5e-7}  # SGD, or an eps of 0.01 and more: little grows in three steps


@pytest.fixture(scope="module")
def sweep_of():
    """sweep_of(group) -> (config, state, metrics) of all combinations, trained once."""
    made = {}

    def train(group):
        if group not in made:
            base, fields = GROUPS[group]
            sweep = tuple(Sweep(*one) for one in fields.items())
            config = base.replace(sweep=sweep)
            validate(config)
            made[group] = (config, *small.train_state(config))
        return made[group]

    return train


def number_of(bits):
    """The member with these values, 0 low and 1 high."""
    return int("".join(map(str, bits)), 2)


LONG = ("likelihood", "optimistic_adam and sgd", "augmentation and class heads", "repairs")


@pytest.mark.parametrize("group", [small.nightly(x) if x in LONG else x for x in GROUPS])
def test_a_cell_is_the_solo_run_with_its_values(sweep_of, group):
    """One in which some fields have their low values and some their high ones."""
    config, state, metrics = sweep_of(group)
    base, fields = GROUPS[group]
    bits = [i // 2 % 2 for i in range(1, len(fields) + 1)]
    number = number_of(bits)
    one, mine = population_state.member_run(config, state, number)
    values = {name: pair[bit] for (name, pair), bit in zip(fields.items(), bits, strict=True)}
    assert one == population.bind(base, values)
    solo, solo_metrics = small.train_state(one)
    assert_member(config, state, metrics, number, solo, solo_metrics, **CLOSE)
    if solo.ema is None and mine.ema is not None:  # the cell of half-life 0
        small.assert_trees_close(generator_variables(mine), variables(solo.gen), **CLOSE)
    assert metrics["skipped"].sum() == 0


@pytest.mark.parametrize(
    ("group", "field"),
    [
        small.nightly(group, field) if group in LONG else (group, field)
        for group, (_, fields) in GROUPS.items()
        for field in fields
    ],
)
def test_a_swept_field_matters(sweep_of, group, field):
    """By more than the tolerance above, which could otherwise not tell a value from another."""
    config, state, _ = sweep_of(group)
    names = [sweep.field for sweep in config.sweep]
    high, low = [1] * len(names), [int(name != field) for name in names]
    (_, a), (_, b) = (
        population_state.member_run(config, state, number_of(bits)) for bits in (high, low)
    )
    with pytest.raises(AssertionError):
        small.assert_trees_close(a, b, **CLOSE)
    small.assert_trees_close(a.key, b.key, 0, 0)


def test_every_field_that_may_be_swept_is_tested():
    def walk(value, prefix=""):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if dataclasses.is_dataclass(inner) and not isinstance(inner, Schedule):
                yield from walk(inner, f"{prefix}{field.name}.")
            else:
                yield prefix + field.name

    def may_be_swept(field):
        values = (0.5,) if field != "label_smoothing" else (0.25,)
        for base in (GAME, GROUPS["repairs"][0]):
            with contextlib.suppress(UserError):
                validate(base.replace(sweep=(Sweep(field, values),)))
                return True
        return False

    tested = {field for _, fields in GROUPS.values() for field in fields}
    found = {field for field in map(schema.flag_of, walk(GAME)) if may_be_swept(field)}
    assert found == {field for field in tested if not field.endswith((".start", ".end"))}


def test_cells_of_every_combination_differ(sweep_of):
    config, state, _ = sweep_of("the game")
    weights = np.asarray(jax.tree.leaves(state.disc.params)[-1])
    bits = np.array(list(itertools.product((0, 1), repeat=len(config.sweep))))
    clipped = np.abs(weights).reshape(len(bits), -1).max(1)
    assert (clipped[bits[:, 6] == 1] <= 0.5).all()
    assert (clipped[bits[:, 6] == 0] > 0.5).all()

"""Optimizers against their formulas in float64.

Rates and decays are those of the train step, and bias corrections those of the number of updates.
Lazy penalties change both.
"""

import jax
import numpy as np
import pytest

from gan_jax.config import Optimizer
from gan_jax.config.schedules import Schedule, resolve
from gan_jax.training import optimizers

# Schedules depend on the train step, bias correction on the number of updates. With lazy penalties
# one step has two updates.
STEPS = (3, 4, 4)
EPS = 0.01  # large enough to show its position in the formula
LR, B2 = Schedule(0.1, 0.01, 8), Schedule(0.6, 0.9, 16, "cosine")
RATES = {3: 0.1 - 0.09 * 3 / 8, 4: 0.1 - 0.09 * 4 / 8}
DECAYS = {step: 0.6 + 0.3 * (0.5 - 0.5 * np.cos(np.pi * step / 16)) for step in STEPS}


def gradient_trees(dtype):
    """Return the gradients of the updates."""
    normal = np.random.default_rng(0).normal
    return [
        {"w": normal(size=(2, 3)).astype(dtype), "b": normal(size=3).astype(dtype)} for _ in STEPS
    ]


def optimizer_updates(config, lazy):
    """Return the updates of `make_optimizer`, compiled with a traced step as in training."""

    @jax.jit
    def update(grads, state, step):
        return optimizers.make_optimizer(resolve(config, step), lazy).update(grads, state)

    updates, gradients = [], gradient_trees(np.float32)
    state = optimizers.make_optimizer(resolve(config, 0), lazy).init(gradients[0])
    for grads, step in zip(gradients, STEPS, strict=True):
        update_, state = update(grads, state, step)
        updates.append(update_)
    return updates


def adam(gradients, b1, lr, b2):
    m = v = 0.0
    for t, (g, a, b) in enumerate(zip(gradients, lr, b2, strict=True), 1):
        m, v = b1 * m + (1 - b1) * g, b * v + (1 - b) * g**2
        yield -a * m / (1 - b1**t) / (np.sqrt(v / (1 - b**t)) + EPS)


def optimistic_adam(gradients, b1, lr, b2):
    """Yield twice Adam's direction minus the previous one (1711.00141, alg. 1).

    optax uses the first direction as its predecessor.
    """
    m = v = 0.0
    previous = None
    for t, (g, a, b) in enumerate(zip(gradients, lr, b2, strict=True), 1):
        m, v = b1 * m + (1 - b1) * g, b * v + (1 - b) * g**2
        direction = m / (1 - b1**t) / (np.sqrt(v / (1 - b**t)) + EPS)
        yield -a * (2 * direction - (direction if previous is None else previous))
        previous = direction


def rmsprop(gradients, b1, lr, b2):
    """Yield the updates of optax: eps under the root, momentum of updates including rates."""
    v = trace = 0.0
    for g, a, b in zip(gradients, lr, b2, strict=True):
        v = b * v + (1 - b) * g**2
        trace = b1 * trace - a * g / np.sqrt(v + EPS)
        yield trace


def sgd(gradients, b1, lr, _):
    trace = 0.0
    for g, a in zip(gradients, lr, strict=True):
        trace = b1 * trace + g
        yield -a * trace


FORMULAS = {"adam": adam, "optimistic_adam": optimistic_adam, "rmsprop": rmsprop, "sgd": sgd}


def assert_updates_match_formula(config, lazy, lr, b2):
    lazy_factor = lazy / (lazy + 1) if lazy > 1 else 1.0
    updates, gradients = optimizer_updates(config, lazy), gradient_trees(np.float64)
    for name in gradients[0]:
        formula_updates = FORMULAS[config.name](
            [g[name] for g in gradients],
            config.b1**lazy_factor,
            [a * lazy_factor for a in lr],
            [b**lazy_factor for b in b2],
        )
        for t, (actual, expected) in enumerate(zip(updates, formula_updates, strict=True), 1):
            # Float32 rounds at 1e-7. Dividing by 1 - b2 or 1 - b2^t, at least 0.1, multiplies that
            # by ten, and so does a sum of terms of both signs. Other formulas differ by over 1e-2.
            np.testing.assert_allclose(
                actual[name], expected, rtol=2e-5, atol=1e-6, err_msg=f"{name}, update {t}"
            )


@pytest.mark.parametrize("lazy", [1, 3])
@pytest.mark.parametrize("b1", [0.0, 0.4])
@pytest.mark.parametrize("name", FORMULAS)
def test_three_updates_with_schedules(name, b1, lazy):
    config = Optimizer(name, lr=LR, b1=b1, b2=B2, eps=EPS)
    assert_updates_match_formula(
        config, lazy, [RATES[s] for s in STEPS], [DECAYS[s] for s in STEPS]
    )


@pytest.mark.parametrize("name", FORMULAS)
def test_three_updates_with_numbers(name):
    config = Optimizer(name, lr=0.05, b1=0.4, b2=0.8, eps=EPS)
    assert_updates_match_formula(config, 3, [0.05] * 3, [0.8] * 3)


@pytest.mark.parametrize(
    ("name", "b1", "moments"),
    [
        ("adam", 0.5, 2),
        ("optimistic_adam", 0.5, 3),
        ("rmsprop", 0.0, 1),
        ("rmsprop", 0.5, 2),
        ("sgd", 0.0, 0),
        ("sgd", 0.5, 1),
    ],
)
def test_the_state_holds_moments_and_no_rate(name, b1, moments):
    """Rates of a config may change or be swept without changing the state."""
    params = gradient_trees(np.float32)[0]
    leaves = jax.tree.leaves(optimizers.make_optimizer(Optimizer(name, b1=b1)).init(params))
    counts = [leaf for leaf in leaves if not leaf.ndim]
    assert len(leaves) - len(counts) == moments * len(params)
    assert all(leaf.dtype in (np.int32, bool) for leaf in counts)


@pytest.mark.parametrize("name", FORMULAS)
def test_one_program_sweeps_rates(name):
    """lr and b2 may be traced: batched updates equal the separate ones."""
    grads = gradient_trees(np.float32)[0]
    rates = {"lr": np.float32([0.1, 0.2]), "b2": np.float32([0.8, 0.9])}

    def first(lr, b2):
        optimizer = optimizers.make_optimizer(Optimizer(name, lr=lr, b2=b2, eps=EPS))
        return optimizer.update(grads, optimizer.init(grads))[0]

    swept = jax.jit(jax.vmap(first))(**rates)
    for i in range(2):
        separate = first(float(rates["lr"][i]), float(rates["b2"][i]))
        for leaf in grads:
            # A Python number b2 makes 1 - b2 float64, a relative difference of 1e-7 / 0.1.
            np.testing.assert_allclose(swept[leaf][i], separate[leaf], rtol=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_zero_gradient_is_a_zero_update(name):
    grads = jax.tree.map(np.zeros_like, gradient_trees(np.float32)[0])
    optimizer = optimizers.make_optimizer(Optimizer(name))
    updates, _ = optimizer.update(grads, optimizer.init(grads))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(updates))


def test_unknown_name_is_rejected():
    with pytest.raises(ValueError, match="adagrad"):
        optimizers.make_optimizer(Optimizer("adagrad"))

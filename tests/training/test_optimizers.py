"""The optimisers against their formulas, written out in float64: rates and decays at the train
step, bias corrections at the count of updates, and what lazy penalties do to both."""

import jax
import numpy as np
import pytest

from gan_jax.config import Optimizer
from gan_jax.config.schedules import Schedule, resolve
from gan_jax.training import optimizers

# The train step is not the count of updates: schedules follow the one, bias correction the other.
# Lazy penalties make two updates of one step.
STEPS = (3, 4, 4)
EPS = 0.01  # of a size that its place in the formula shows
LR, B2 = Schedule(0.1, 0.01, 8), Schedule(0.6, 0.9, 16, "cosine")
RATES = {3: 0.1 - 0.09 * 3 / 8, 4: 0.1 - 0.09 * 4 / 8}
DECAYS = {step: 0.6 + 0.3 * (0.5 - 0.5 * np.cos(np.pi * step / 16)) for step in STEPS}


def trees(dtype):
    """The gradients of the updates."""
    draw = np.random.default_rng(0).normal
    return [{"w": draw(size=(2, 3)).astype(dtype), "b": draw(size=3).astype(dtype)} for _ in STEPS]


def made(config, lazy):
    """The updates as `make` has them: compiled, with a traced step, as in a train step."""

    @jax.jit
    def update(grads, state, step):
        return optimizers.make_optimizer(resolve(config, step), lazy).update(grads, state)

    updates, gradients = [], trees(np.float32)
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
    """Twice Adam's direction less the one before (1711.00141, alg. 1); before the first one optax
    sees the same one."""
    m = v = 0.0
    before = None
    for t, (g, a, b) in enumerate(zip(gradients, lr, b2, strict=True), 1):
        m, v = b1 * m + (1 - b1) * g, b * v + (1 - b) * g**2
        r = m / (1 - b1**t) / (np.sqrt(v / (1 - b**t)) + EPS)
        yield -a * (2 * r - (r if before is None else before))
        before = r


def rmsprop(gradients, b1, lr, b2):
    """As optax has it: eps under the root, and the momentum is of steps, rates and all."""
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


def assert_is_the_formula(config, lazy, lr, b2):
    c = lazy / (lazy + 1) if lazy > 1 else 1.0
    updates, gradients = made(config, lazy), trees(np.float64)
    for name in gradients[0]:
        expected = FORMULAS[config.name](
            [g[name] for g in gradients], config.b1**c, [a * c for a in lr], [b**c for b in b2]
        )
        for t, (ours, theirs) in enumerate(zip(updates, expected, strict=True), 1):
            # Float32 rounds at 1e-7; 1 - b2 and 1 - b2^t, of 0.1 at least, make ten times that of
            # it, and so does a sum of terms of both signs. Any other formula is 1e-2 off or more.
            np.testing.assert_allclose(
                ours[name], theirs, rtol=2e-5, atol=1e-6, err_msg=f"{name}, update {t}"
            )


@pytest.mark.parametrize("lazy", [1, 3])
@pytest.mark.parametrize("b1", [0.0, 0.4])
@pytest.mark.parametrize("name", FORMULAS)
def test_three_updates_with_schedules(name, b1, lazy):
    config = Optimizer(name, lr=LR, b1=b1, b2=B2, eps=EPS)
    assert_is_the_formula(config, lazy, [RATES[s] for s in STEPS], [DECAYS[s] for s in STEPS])


@pytest.mark.parametrize("name", FORMULAS)
def test_three_updates_with_numbers(name):
    config = Optimizer(name, lr=0.05, b1=0.4, b2=0.8, eps=EPS)
    assert_is_the_formula(config, 3, [0.05] * 3, [0.8] * 3)


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
    """So a config's rates may change, or be a sweep's, without a word in the state."""
    params = trees(np.float32)[0]
    leaves = jax.tree.leaves(optimizers.make_optimizer(Optimizer(name, b1=b1)).init(params))
    counts = [leaf for leaf in leaves if not leaf.ndim]
    assert len(leaves) - len(counts) == moments * len(params)
    assert all(leaf.dtype in (np.int32, bool) for leaf in counts)


@pytest.mark.parametrize("name", FORMULAS)
def test_one_program_sweeps_rates(name):
    """lr and b2 may be traced: an update of each of a batch of them is that of each alone."""
    grads = trees(np.float32)[0]
    rates = {"lr": np.float32([0.1, 0.2]), "b2": np.float32([0.8, 0.9])}

    def first(lr, b2):
        optimizer = optimizers.make_optimizer(Optimizer(name, lr=lr, b2=b2, eps=EPS))
        return optimizer.update(grads, optimizer.init(grads))[0]

    swept = jax.jit(jax.vmap(first))(**rates)
    for i in range(2):
        alone = first(float(rates["lr"][i]), float(rates["b2"][i]))
        for leaf in grads:
            # The same formula; b2 as a Python number makes 1 - b2 in float64, so 1e-7 / 0.1 of it.
            np.testing.assert_allclose(swept[leaf][i], alone[leaf], rtol=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_no_gradient_is_no_step_and_no_nan(name):
    grads = jax.tree.map(np.zeros_like, trees(np.float32)[0])
    optimizer = optimizers.make_optimizer(Optimizer(name))
    updates, _ = optimizer.update(grads, optimizer.init(grads))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(updates))


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="adagrad"):
        optimizers.make_optimizer(Optimizer("adagrad"))

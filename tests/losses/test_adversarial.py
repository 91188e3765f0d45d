"""The losses against their closed forms: values, gradients, optima on finite tables, extremes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from gan_jax.losses import adversarial

LOG2 = np.log(2.0)
HALVES = [(name, half) for name in adversarial.LOSSES for half in ("disc", "gen")]

# Functions of one logit with their derivatives, in numpy float64, written apart from the source.
SP = (lambda t: np.logaddexp(0, t), lambda t: 0.5 + 0.5 * np.tanh(t / 2))
HINGE = (lambda t: np.maximum(0, 1 + t), lambda t: 1.0 * (t > -1))
LINE = (lambda t: t, np.ones_like)


def flip(pair):
    return lambda t: pair[0](-t), lambda t: -pair[1](-t)


def square(weight, centre):
    return lambda t: weight * (t - centre) ** 2, lambda t: 2 * weight * (t - centre)


# How the sides meet; what the critic averages over the reals and over the fakes (or over the pairs'
# differences); what the generator averages over the fakes, None where it is the critic's, swapped.
CLOSED = {
    "minimax": ("apart", flip(SP), SP, (lambda t: -SP[0](t), lambda t: -SP[1](t))),
    "non_saturating": ("apart", flip(SP), SP, flip(SP)),
    "least_squares": ("apart", square(0.5, 1), square(0.5, 0), square(0.5, 1)),
    "hinge": ("apart", flip(HINGE), HINGE, flip(LINE)),
    "wasserstein": ("apart", flip(LINE), LINE, flip(LINE)),
    "relativistic": ("pairs", flip(SP), None, None),
    "relativistic_average": ("means", flip(SP), SP, None),
    "relativistic_average_least_squares": ("means", square(1, 1), square(1, -1), None),
    "relativistic_average_hinge": ("means", flip(HINGE), HINGE, None),
}


def closed_form(name, half, real, fake):
    """The value and its gradients with respect to the logits of the reals and of the fakes."""
    meet, of_real, of_fake, gen = CLOSED[name]
    if half == "gen" and gen is None:
        value, of_fake, of_real = closed_form(name, "disc", fake, real)
        return value, of_real, of_fake
    if half == "gen":
        return gen[0](fake).mean(), np.zeros(len(real)), gen[1](fake) / len(fake)
    if meet == "pairs":
        slope = of_real[1](real - fake) / len(real)
        return of_real[0](real - fake).mean(), slope, -slope
    share = 1.0 if meet == "means" else 0.0
    a, b = real - share * fake.mean(), fake - share * real.mean()
    u, v = of_real[1](a) / len(a), of_fake[1](b) / len(b)
    value = of_real[0](a).mean() + of_fake[0](b).mean()
    return value, u - share * v.sum() / len(a), v - share * u.sum() / len(b)


def logits(seed, *shape, scale=2.0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(scale * rng.standard_normal(shape), jnp.float32) for _ in range(2)]


EXTREMES = [np.repeat([[a], [b], [a], [b]], 8, 1) for a, b in ((1e4, -1e4), (1e4, 1e4))]
BATCHES = [logits(0, 4, 8), logits(1, 4, 8, scale=20.0), [EXTREMES[0], -EXTREMES[0]], EXTREMES]


@pytest.mark.parametrize(("name", "half"), HALVES)
def test_closed_form(name, half):
    function = getattr(adversarial.gan_loss(name), half)
    each = jax.jit(jax.vmap(jax.value_and_grad(function, (0, 1))))
    reals, fakes = (np.concatenate(side).astype(np.float32) for side in zip(*BATCHES, strict=True))
    found = jax.tree.leaves(each(reals, fakes))
    assert all(part.dtype == jnp.float32 and bool(jnp.isfinite(part).all()) for part in found)
    for i, (real, fake) in enumerate(zip(np.float64(reals), np.float64(fakes), strict=True)):
        # Float32 keeps 6e-8 of each term; the average losses subtract terms that are as large as
        # the largest logit.
        atol = 1e-6 * max(1.0, abs(real).max(), abs(fake).max())
        for ours, theirs in zip(found, closed_form(name, half, real, fake), strict=True):
            np.testing.assert_allclose(ours[i], theirs, rtol=2e-6, atol=atol)


@pytest.mark.parametrize(("name", "half"), HALVES)
def test_numerical_gradients(name, half):
    with jax.enable_x64(True):  # so that a finite difference has digits to compare
        sides = [jnp.asarray(side, jnp.float64) for side in logits(3, 7)]
        function = jax.jit(getattr(adversarial.LOSSES[name], half))
        # Central differences at 1e-4 err by 1e-8, third derivatives being of order one.
        check_grads(function, sides, order=1, eps=1e-4, atol=1e-7, rtol=1e-7)


# Finite tables: p and q as counts of 10, so that a batch holds each point as often as it is likely.
TABLES = [([2, 3, 5], [2, 3, 5]), ([5, 3, 2], [1, 4, 5]), ([8, 1, 1], [1, 1, 8])]


def entropy(p, q):
    """KL(p || q) of tables without zeros."""
    return (p * jnp.log(p / q)).sum()


def jensen(p, q):
    return 0.5 * entropy(p, (p + q) / 2) + 0.5 * entropy(q, (p + q) / 2)


def best(name, p, q):
    """The optimal critic's logits on the table, and its loss."""
    match name:
        case "minimax" | "non_saturating":
            return np.log(p / q), 2 * LOG2 - 2 * jensen(p, q)
        case "least_squares":
            return p / (p + q), 0.5 * (p * q / (p + q)).sum()
        case "hinge":
            return np.sign(p - q), 2 * (1 - 0.5 * np.abs(p - q).sum())
        case "relativistic":  # a pair is drawn from p x q, or is one from it the other way round
            return np.log(p / q) + 3, LOG2 - jensen(np.outer(p, q), np.outer(q, p))
    return np.full(len(p), 4.0), CHANCE[name]  # known for p = q only


# The loss of the best critic where the generator has won, p = q.
CHANCE = {
    "minimax": 1.386294,
    "non_saturating": 1.386294,
    "least_squares": 0.25,
    "hinge": 2.0,
    "wasserstein": 0.0,
    "relativistic": 0.693147,
    "relativistic_average": 2 * LOG2,
    "relativistic_average_least_squares": 2.0,
    "relativistic_average_hinge": 2.0,
}


@pytest.mark.parametrize("name", adversarial.LOSSES)
def test_optimal_critic(name):
    def disc(f, real, fake):
        return adversarial.LOSSES[name].disc(f[real], f[fake])

    tables = TABLES[:1] if name == "wasserstein" or "average" in name else TABLES
    here, elsewhere = jax.jit(jax.value_and_grad(disc)), jax.jit(jax.vmap(disc, (0, None, None)))
    away = np.logspace(-2, 1, 100)[:, None] * np.random.default_rng(0).standard_normal((100, 3))
    for counts_p, counts_q in tables:
        real, fake = np.repeat(range(3), counts_p), np.repeat(range(3), counts_q)
        if CLOSED[name][0] == "pairs":
            real, fake = np.repeat(real, 10), np.tile(fake, 10)
        p, q = np.asarray(counts_p) / 10, np.asarray(counts_q) / 10
        critic, least = best(name, p, q)
        value, grad = here(jnp.asarray(critic, jnp.float32), real, fake)
        np.testing.assert_allclose(value, least, atol=1e-6)  # float32 sums of order one
        if counts_p == counts_q:
            np.testing.assert_allclose(value, CHANCE[name], atol=1e-6)  # the digits given
        if name != "hinge" or counts_p == counts_q:  # else it lies on the kinks of the loss
            np.testing.assert_allclose(grad, np.zeros(3), atol=1e-6)  # cancelling, of order one
        # All are convex in f, so a better critic could be seen from nearby.
        others = elsewhere(jnp.asarray(critic + away, jnp.float32), real, fake)
        slack = 1e-6 * (1 + np.abs(away).max(1))  # float32 sums of terms as large as the logits
        assert bool((others >= value - slack).all())


def test_conditional_optimum():
    # Two equally likely conditions x, a table and a shift h(x) of the critic each. The pairs meet
    # within a condition, so the minimum is the mean of the tables' minima, and h does not matter.
    real, fake, minima = [], [], []
    for (counts_p, counts_q), shift in zip(TABLES[1:], (5.0, -2.0), strict=True):
        critic, least = best("relativistic", np.asarray(counts_p) / 10, np.asarray(counts_q) / 10)
        real.append(np.repeat(np.repeat(critic + shift, counts_p), 10))
        fake.append(np.tile(np.repeat(critic + shift, counts_q), 10))
        minima.append(least)
    value = adversarial.relativistic_disc(*map(jnp.asarray, map(np.concatenate, (real, fake))))
    np.testing.assert_allclose(value, np.mean(minima), rtol=1e-6)  # a float32 mean of order one


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_generator_descends(name):
    # With the optimal critic held fixed: 2 JSD (1406.2661), KL(q|p) - 2 JSD (1701.04862, thm. 2.5).
    p = jnp.asarray([0.5, 0.3, 0.2])
    scores = jnp.asarray([0.3, -1.0, 0.5])
    f = jnp.log(p / jax.nn.softmax(scores))

    def expected_loss(scores):
        each = jax.vmap(lambda f: adversarial.LOSSES[name].gen(f[None], f[None]))(f)
        return (jax.nn.softmax(scores) * each).sum()

    def divergence(scores):
        q = jax.nn.softmax(scores)
        return 2 * jensen(p, q) if name == "minimax" else entropy(q, p) - 2 * jensen(p, q)

    ours, theirs = jax.jit(lambda x: (jax.grad(expected_loss)(x), jax.grad(divergence)(x)))(scores)
    assert float(jnp.abs(theirs).max()) > 0.01
    np.testing.assert_allclose(ours, theirs, atol=1e-6)  # float32 terms of order one


@pytest.mark.parametrize("smoothing", [0.1, 0.3])
@pytest.mark.parametrize("name", adversarial.SMOOTHABLE)
def test_label_smoothing(name, smoothing):
    disc = adversarial.gan_loss(name, smoothing).disc
    fake = jnp.asarray([-1.0, 0.0, 2.0])
    real = jnp.full(3, np.log((1 - smoothing) / smoothing), jnp.float32)
    value, (of_real, of_fake) = jax.value_and_grad(disc, (0, 1))(real, fake)
    least = -smoothing * np.log(smoothing) - (1 - smoothing) * np.log(1 - smoothing)
    _, _, plain = closed_form(name, "disc", np.asarray(real), np.asarray(fake))
    np.testing.assert_allclose(of_real, np.zeros(3), atol=1e-7)  # one rounding of terms below 1
    np.testing.assert_allclose(of_fake, plain, rtol=2e-6)  # one-sided: the fakes' part is as it was
    np.testing.assert_allclose(value, least + SP[0](np.asarray(fake)).mean(), rtol=1e-6)
    for shift in (-0.1, 0.1):  # it is a minimum: curvature s(1-s) of order 0.1
        assert float(disc(real + shift, fake)) > float(value) + 1e-4


def test_unknown_name():
    with pytest.raises(KeyError, match="none"):
        adversarial.gan_loss("none")


@pytest.mark.parametrize("name", [name for name in CLOSED if CLOSED[name][0] != "apart"])
def test_relativistic(name):
    loss, (real, fake) = adversarial.LOSSES[name], logits(6, 7)
    for half in loss:
        plain = jax.value_and_grad(half, (0, 1))(real, fake)
        shifted = jax.value_and_grad(half, (0, 1))(real + 16, fake + 16)
        for ours, theirs in zip(*map(jax.tree.leaves, (shifted, plain)), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-5)  # float32 near 16 is 1e-6 apart
    assert loss.gen(real, fake) == loss.disc(fake, real)


def test_pairings():
    # The mean over the n ways to turn the fakes round, in each of which all are used, is that over
    # all pairs: any pairing is an unbiased estimate of it.
    real, fake = logits(7, 7)
    turned = [adversarial.relativistic_disc(real, jnp.roll(fake, k)) for k in range(len(fake))]
    pairs = SP[0](-np.subtract.outer(np.asarray(real), np.asarray(fake)))
    np.testing.assert_allclose(np.mean(turned), pairs.mean(), rtol=1e-6)  # float32 means


@pytest.mark.parametrize("shapes", [((4, 1), (4,)), ((4,), (4, 1)), ((4, 2), (4, 1)), ((4,), (3,))])
def test_paired_shapes(shapes):
    for half in adversarial.LOSSES["relativistic"]:
        with pytest.raises(AssertionError):
            half(*map(jnp.zeros, shapes))


@pytest.mark.parametrize("name", adversarial.LOSSES)
def test_several_logits_an_example_count_alike(name):
    """Losses are means over examples and their logits, pairs being of the same one of them."""
    real, fake = logits(5, 4, 3)
    for half in adversarial.LOSSES[name]:
        expected = half(real.reshape(-1), fake.reshape(-1))
        np.testing.assert_allclose(half(real, fake), expected, rtol=1e-6)  # float32 means


def test_wasserstein_distance():
    # Gaussians of equal variance: W1 is the distance of the means, which the identity critic has,
    # and no other 1-Lipschitz one exceeds.
    noise, loss = (
        jax.random.normal(jax.random.key(0), (1000,)),
        adversarial.LOSSES["wasserstein"].disc,
    )
    critics = (jnp.sin, jnp.tanh, jnp.abs, jnp.negative, lambda x: jax.nn.relu(x - 1))
    for distance in (0.0, 0.5, 3.0):
        real = noise + distance
        np.testing.assert_allclose(-loss(real, noise), distance, atol=1e-5)  # 1000 float32 terms
        assert all(float(-loss(f(real), f(noise))) <= distance + 1e-5 for f in critics)  # likewise


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cross_entropy(dtype):
    """Against the sum of exponentials; the gradient is (softmax - one-hot) / n."""
    random = np.random.default_rng(4)
    logits = jnp.asarray(3 * random.normal(size=(5, 4)), dtype)
    labels = jnp.array([3, 0, 1, 1, 2])
    value, slope = jax.value_and_grad(adversarial.cross_entropy)(logits, labels)
    exact = np.float64(logits)
    p = np.exp(exact) / np.exp(exact).sum(1, keepdims=True)
    rows = np.eye(4)[np.asarray(labels)]
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, -np.log((p * rows).sum(1)).mean(), rtol=1e-6)  # float32
    # Float32, rounded to the 8 bits of bfloat16 at the end.
    np.testing.assert_allclose(
        np.float64(slope), (p - rows) / 5, rtol=1e-2 if dtype == "bfloat16" else 1e-5, atol=1e-7
    )


def test_cross_entropy_of_extreme_logits():
    logits, labels = jnp.array([[1e4, -1e4, 0.0]]), jnp.array([1])
    value, slope = jax.value_and_grad(adversarial.cross_entropy)(logits, labels)
    np.testing.assert_array_equal(value, 2e4)
    np.testing.assert_array_equal(slope, [[1, -1, 0]])


@pytest.mark.parametrize("labels", [jnp.zeros((4, 1), int), jnp.zeros(3, int)])
def test_cross_entropy_shapes(labels):
    with pytest.raises(AssertionError):
        adversarial.cross_entropy(jnp.zeros((4, 3)), labels)

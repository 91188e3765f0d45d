"""Adversarial losses against closed forms: values, gradients, optima, extreme logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from gan_jax.losses import adversarial

LOG2 = np.log(2.0)
PLAYERS = [(name, player) for name in adversarial.LOSSES for player in ("disc", "gen")]

# Functions of one logit and their derivatives, in NumPy float64, independent of the package.
SOFTPLUS = (lambda t: np.logaddexp(0, t), lambda t: 0.5 + 0.5 * np.tanh(t / 2))
HINGE = (lambda t: np.maximum(0, 1 + t), lambda t: 1.0 * (t > -1))
LINEAR = (lambda t: t, np.ones_like)


def flip(pair):
    return lambda t: pair[0](-t), lambda t: -pair[1](-t)


def square(weight, center):
    return lambda t: weight * (t - center) ** 2, lambda t: 2 * weight * (t - center)


# How reals and fakes are combined; functions that the discriminator's loss averages over the reals
# and over the fakes (or over the differences of pairs); function that the generator's loss averages
# over the fakes, or None where it is the discriminator's loss with the sides swapped.
CLOSED_FORMS = {
    "minimax": (
        "separate",
        flip(SOFTPLUS),
        SOFTPLUS,
        (lambda t: -SOFTPLUS[0](t), lambda t: -SOFTPLUS[1](t)),
    ),
    "non_saturating": ("separate", flip(SOFTPLUS), SOFTPLUS, flip(SOFTPLUS)),
    "least_squares": ("separate", square(0.5, 1), square(0.5, 0), square(0.5, 1)),
    "hinge": ("separate", flip(HINGE), HINGE, flip(LINEAR)),
    "wasserstein": ("separate", flip(LINEAR), LINEAR, flip(LINEAR)),
    "relativistic": ("pairs", flip(SOFTPLUS), None, None),
    "relativistic_average": ("means", flip(SOFTPLUS), SOFTPLUS, None),
    "relativistic_average_least_squares": ("means", square(1, 1), square(1, -1), None),
    "relativistic_average_hinge": ("means", flip(HINGE), HINGE, None),
}


def closed_form(name, player, real, fake):
    """Return the loss and its gradients with respect to the real and the fake logits."""
    combination, real_term, fake_term, gen = CLOSED_FORMS[name]
    if player == "gen" and gen is None:
        value, fake_slopes, real_slopes = closed_form(name, "disc", fake, real)
        return value, real_slopes, fake_slopes
    if player == "gen":
        return gen[0](fake).mean(), np.zeros(len(real)), gen[1](fake) / len(fake)
    if combination == "pairs":
        slope = real_term[1](real - fake) / len(real)
        return real_term[0](real - fake).mean(), slope, -slope
    weight = 1.0 if combination == "means" else 0.0
    a, b = real - weight * fake.mean(), fake - weight * real.mean()
    real_slopes, fake_slopes = real_term[1](a) / len(a), fake_term[1](b) / len(b)
    value = real_term[0](a).mean() + fake_term[0](b).mean()
    return (
        value,
        real_slopes - weight * fake_slopes.sum() / len(a),
        fake_slopes - weight * real_slopes.sum() / len(b),
    )


def logits(seed, *shape, scale=2.0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(scale * rng.standard_normal(shape), jnp.float32) for _ in range(2)]


EXTREME_LOGITS = [np.repeat([[a], [b], [a], [b]], 8, 1) for a, b in ((1e4, -1e4), (1e4, 1e4))]
BATCHES = [
    logits(0, 4, 8),
    logits(1, 4, 8, scale=20.0),
    [EXTREME_LOGITS[0], -EXTREME_LOGITS[0]],
    EXTREME_LOGITS,
]


@pytest.mark.parametrize(("name", "player"), PLAYERS)
def test_closed_form(name, player):
    function = getattr(adversarial.gan_loss(name), player)
    value_and_grad = jax.jit(jax.vmap(jax.value_and_grad(function, (0, 1))))
    reals, fakes = (np.concatenate(side).astype(np.float32) for side in zip(*BATCHES, strict=True))
    results = jax.tree.leaves(value_and_grad(reals, fakes))
    assert all(leaf.dtype == jnp.float32 and bool(jnp.isfinite(leaf).all()) for leaf in results)
    for i, (real, fake) in enumerate(zip(np.float64(reals), np.float64(fakes), strict=True)):
        # Float32 rounds each term by 6e-8. The average losses subtract terms that are as large as
        # the largest logit.
        atol = 1e-6 * max(1.0, abs(real).max(), abs(fake).max())
        for actual, expected in zip(results, closed_form(name, player, real, fake), strict=True):
            np.testing.assert_allclose(actual[i], expected, rtol=2e-6, atol=atol)


@pytest.mark.parametrize(("name", "player"), PLAYERS)
def test_numerical_gradients(name, player):
    with jax.enable_x64(True):  # finite differences need the digits
        sides = [jnp.asarray(side, jnp.float64) for side in logits(3, 7)]
        function = jax.jit(getattr(adversarial.LOSSES[name], player))
        # Central differences at 1e-4 err by 1e-8, as third derivatives are of order one.
        check_grads(function, sides, order=1, eps=1e-4, atol=1e-7, rtol=1e-7)


# Finite distributions p and q as counts out of 10: a batch contains each point that often.
DISTRIBUTIONS = [([2, 3, 5], [2, 3, 5]), ([5, 3, 2], [1, 4, 5]), ([8, 1, 1], [1, 1, 8])]


def kl(p, q):
    """Return KL(p || q) of distributions without zeros."""
    return (p * jnp.log(p / q)).sum()


def jsd(p, q):
    return 0.5 * kl(p, (p + q) / 2) + 0.5 * kl(q, (p + q) / 2)


def optimum(name, p, q):
    """Return the logits of the optimal discriminator, and its loss."""
    match name:
        case "minimax" | "non_saturating":
            return np.log(p / q), 2 * LOG2 - 2 * jsd(p, q)
        case "least_squares":
            return p / (p + q), 0.5 * (p * q / (p + q)).sum()
        case "hinge":
            return np.sign(p - q), 2 * (1 - 0.5 * np.abs(p - q).sum())
        case "relativistic":  # classifies whether a pair is from p x q or q x p
            return np.log(p / q) + 3, LOG2 - jsd(np.outer(p, q), np.outer(q, p))
    return np.full(len(p), 4.0), PERFECT_LOSS[name]  # known only for p = q


# Loss of the optimal discriminator for a perfect generator, p = q.
PERFECT_LOSS = {
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
def test_optimal_discriminator(name):
    def disc(f, real, fake):
        return adversarial.LOSSES[name].disc(f[real], f[fake])

    cases = DISTRIBUTIONS[:1] if name == "wasserstein" or "average" in name else DISTRIBUTIONS
    with_grad, batched = jax.jit(jax.value_and_grad(disc)), jax.jit(jax.vmap(disc, (0, None, None)))
    offsets = np.logspace(-2, 1, 100)[:, None] * np.random.default_rng(0).standard_normal((100, 3))
    for counts_p, counts_q in cases:
        real, fake = np.repeat(range(3), counts_p), np.repeat(range(3), counts_q)
        if CLOSED_FORMS[name][0] == "pairs":
            real, fake = np.repeat(real, 10), np.tile(fake, 10)
        p, q = np.asarray(counts_p) / 10, np.asarray(counts_q) / 10
        optimal, minimum = optimum(name, p, q)
        value, grad = with_grad(jnp.asarray(optimal, jnp.float32), real, fake)
        np.testing.assert_allclose(value, minimum, atol=1e-6)  # float32 sums of order one
        if counts_p == counts_q:
            np.testing.assert_allclose(value, PERFECT_LOSS[name], atol=1e-6)  # digits of the table
        if name != "hinge" or counts_p == counts_q:  # otherwise the loss has a kink there
            np.testing.assert_allclose(grad, np.zeros(3), atol=1e-6)  # canceling terms of order one
        # All losses are convex in f, so a better discriminator would exist nearby.
        losses_nearby = batched(jnp.asarray(optimal + offsets, jnp.float32), real, fake)
        slack = 1e-6 * (1 + np.abs(offsets).max(1))  # float32 sums of terms as large as the logits
        assert bool((losses_nearby >= value - slack).all())


def test_conditional_optimum():
    # Two equally likely conditions x, each with its distributions and a shift h(x) of the logits.
    # Pairs have the same condition, so the minimum is the mean of both minima, and h cancels.
    real, fake, minima = [], [], []
    for (counts_p, counts_q), shift in zip(DISTRIBUTIONS[1:], (5.0, -2.0), strict=True):
        optimal, minimum = optimum(
            "relativistic", np.asarray(counts_p) / 10, np.asarray(counts_q) / 10
        )
        real.append(np.repeat(np.repeat(optimal + shift, counts_p), 10))
        fake.append(np.tile(np.repeat(optimal + shift, counts_q), 10))
        minima.append(minimum)
    value = adversarial.relativistic_disc(*map(jnp.asarray, map(np.concatenate, (real, fake))))
    np.testing.assert_allclose(value, np.mean(minima), rtol=1e-6)  # a float32 mean of order one


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_generator_descends(name):
    # For the fixed optimal discriminator: 2 JSD (1406.2661), KL(q|p) - 2 JSD (1701.04862, th. 2.5).
    p = jnp.asarray([0.5, 0.3, 0.2])
    scores = jnp.asarray([0.3, -1.0, 0.5])
    f = jnp.log(p / jax.nn.softmax(scores))

    def expected_loss(scores):
        loss_per_point = jax.vmap(lambda f: adversarial.LOSSES[name].gen(f[None], f[None]))(f)
        return (jax.nn.softmax(scores) * loss_per_point).sum()

    def divergence(scores):
        q = jax.nn.softmax(scores)
        return 2 * jsd(p, q) if name == "minimax" else kl(q, p) - 2 * jsd(p, q)

    actual, expected = jax.jit(lambda x: (jax.grad(expected_loss)(x), jax.grad(divergence)(x)))(
        scores
    )
    assert float(jnp.abs(expected).max()) > 0.01
    np.testing.assert_allclose(actual, expected, atol=1e-6)  # float32 terms of order one


@pytest.mark.parametrize("smoothing", [0.1, 0.3])
@pytest.mark.parametrize("name", adversarial.SMOOTHABLE)
def test_label_smoothing(name, smoothing):
    disc = adversarial.gan_loss(name, smoothing).disc
    fake = jnp.asarray([-1.0, 0.0, 2.0])
    real = jnp.full(3, np.log((1 - smoothing) / smoothing), jnp.float32)
    value, (real_grad, fake_grad) = jax.value_and_grad(disc, (0, 1))(real, fake)
    minimum = -smoothing * np.log(smoothing) - (1 - smoothing) * np.log(1 - smoothing)
    _, _, fake_slopes = closed_form(name, "disc", np.asarray(real), np.asarray(fake))
    np.testing.assert_allclose(real_grad, np.zeros(3), atol=1e-7)  # one rounding of terms below 1
    np.testing.assert_allclose(fake_grad, fake_slopes, rtol=2e-6)  # one-sided: fakes unchanged
    np.testing.assert_allclose(value, minimum + SOFTPLUS[0](np.asarray(fake)).mean(), rtol=1e-6)
    for shift in (-0.1, 0.1):  # a minimum: curvature s(1-s) of order 0.1
        assert float(disc(real + shift, fake)) > float(value) + 1e-4


def test_unknown_name():
    with pytest.raises(KeyError, match="none"):
        adversarial.gan_loss("none")


@pytest.mark.parametrize(
    "name", [name for name in CLOSED_FORMS if CLOSED_FORMS[name][0] != "separate"]
)
def test_relativistic_losses_ignore_a_shift_and_are_symmetric(name):
    loss, (real, fake) = adversarial.LOSSES[name], logits(6, 7)
    for player_loss in loss:
        plain = jax.value_and_grad(player_loss, (0, 1))(real, fake)
        shifted = jax.value_and_grad(player_loss, (0, 1))(real + 16, fake + 16)
        for actual, expected in zip(*map(jax.tree.leaves, (shifted, plain)), strict=True):
            np.testing.assert_allclose(actual, expected, atol=2e-5)  # float32 near 16: 1e-6 apart
    assert loss.gen(real, fake) == loss.disc(fake, real)


def test_pairings():
    # The mean over all n cyclic shifts of the fakes is the mean over all pairs: the loss of one
    # pairing is an unbiased estimate of it.
    real, fake = logits(7, 7)
    shifted = [adversarial.relativistic_disc(real, jnp.roll(fake, k)) for k in range(len(fake))]
    pairs = SOFTPLUS[0](-np.subtract.outer(np.asarray(real), np.asarray(fake)))
    np.testing.assert_allclose(np.mean(shifted), pairs.mean(), rtol=1e-6)  # float32 means


@pytest.mark.parametrize("shapes", [((4, 1), (4,)), ((4,), (4, 1)), ((4, 2), (4, 1)), ((4,), (3,))])
def test_paired_shapes(shapes):
    for player_loss in adversarial.LOSSES["relativistic"]:
        with pytest.raises(AssertionError):
            player_loss(*map(jnp.zeros, shapes))


@pytest.mark.parametrize("name", adversarial.LOSSES)
def test_several_logits_per_example_have_equal_weight(name):
    """Losses are means over examples and logits. Pairs consist of corresponding logits."""
    real, fake = logits(5, 4, 3)
    for player_loss in adversarial.LOSSES[name]:
        expected = player_loss(real.reshape(-1), fake.reshape(-1))
        np.testing.assert_allclose(player_loss(real, fake), expected, rtol=1e-6)  # float32 means


def test_wasserstein_distance():
    # Gaussians of equal variance: W1 is the distance of the means. The identity critic attains it,
    # and no other 1-Lipschitz critic exceeds it.
    noise, loss = (
        jax.random.normal(jax.random.key(0), (1000,)),
        adversarial.LOSSES["wasserstein"].disc,
    )
    critics = (jnp.sin, jnp.tanh, jnp.abs, jnp.negative, lambda x: jax.nn.relu(x - 1))
    for distance in (0.0, 0.5, 3.0):
        real = noise + distance
        np.testing.assert_allclose(-loss(real, noise), distance, atol=1e-5)  # 1000 float32 terms
        assert all(float(-loss(f(real), f(noise))) <= distance + 1e-5 for f in critics)  # as above


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cross_entropy(dtype):
    """Values match the sum of exponentials; gradients are (softmax - one-hot) / n."""
    rng = np.random.default_rng(4)
    logits = jnp.asarray(3 * rng.normal(size=(5, 4)), dtype)
    labels = jnp.array([3, 0, 1, 1, 2])
    value, gradient = jax.value_and_grad(adversarial.cross_entropy)(logits, labels)
    exact = np.float64(logits)
    p = np.exp(exact) / np.exp(exact).sum(1, keepdims=True)
    one_hot = np.eye(4)[np.asarray(labels)]
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, -np.log((p * one_hot).sum(1)).mean(), rtol=1e-6)  # float32
    # Float32, rounded to the 8 bits of bfloat16 at the end if the logits are bfloat16.
    np.testing.assert_allclose(
        np.float64(gradient),
        (p - one_hot) / 5,
        rtol=1e-2 if dtype == "bfloat16" else 1e-5,
        atol=1e-7,
    )


def test_cross_entropy_of_extreme_logits():
    logits, labels = jnp.array([[1e4, -1e4, 0.0]]), jnp.array([1])
    value, gradient = jax.value_and_grad(adversarial.cross_entropy)(logits, labels)
    np.testing.assert_array_equal(value, 2e4)
    np.testing.assert_array_equal(gradient, [[1, -1, 0]])


@pytest.mark.parametrize("labels", [jnp.zeros((4, 1), int), jnp.zeros(3, int)])
def test_cross_entropy_shapes(labels):
    with pytest.raises(AssertionError):
        adversarial.cross_entropy(jnp.zeros((4, 3)), labels)

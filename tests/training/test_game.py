"""The game in closed form: Dirac-GAN through the train step, and the gauge of the paired critic.

Dirac-GAN (Mescheder et al. 2018, 1801.04406): all reals are 0, the generator is a point theta, the
critic a line psi x. The step moves psi first, then theta against the new psi.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.config import Objective, Prior, schema
from gan_jax.data import batch
from gan_jax.losses import adversarial, penalties
from gan_jax.networks import interface
from gan_jax.training import state, step

REAL = jnp.zeros((2, 1))


class Point(interface.Generator):
    @nn.compact
    def __call__(self, z, *_, **__):
        return jnp.zeros((len(z), 1)) + self.param("theta", nn.initializers.normal(1.0), (1, 1))


class Line(interface.Discriminator):
    @nn.compact
    def __call__(self, x, *_, **__):
        return x @ self.param("psi", nn.initializers.normal(1.0), (1,))


def dirac(loss, key, gen_lr, disc_lr, **weights):
    """The train step and the first state. Rates and weights may be traced: a sweep is a vmap."""
    plain = schema.Config(
        "dirac",
        Point(),
        Line(),
        steps=1,
        objective=Objective(loss=loss),
        prior=Prior(dim=1),
        batch_size=2,
    )
    setting = plain.replace(
        penalties=schema.Penalties(**weights),
        gen_opt=schema.Optimizer("sgd", lr=gen_lr, b1=0.0),
        disc_opt=schema.Optimizer("sgd", lr=disc_lr, b1=0.0),
    )
    train_step = step.make_train_step(setting)
    start = state.init_state(setting, key, batch.Batch(REAL))
    return lambda now: train_step(now, batch.Batch(REAL[None]))[0], start


def place(now):
    return jnp.stack([now.gen.params["theta"][0, 0], now.disc.params["psi"][0]])


def jacobian(loss, gen_lr, disc_lr, **weights):
    """The derivative of (theta, psi) after a step by (theta, psi) before, at the optimum (0, 0)."""
    train_step, start = dirac(loss, jax.random.key(0), gen_lr, disc_lr, **weights)

    def moved(at):
        gen = start.gen.replace(params={"theta": at[:1, None]})
        disc = start.disc.replace(params={"psi": at[1:]})
        return place(train_step(start.replace(gen=gen, disc=disc)))

    return jax.jacobian(moved)(jnp.zeros(2))


# -dL_G/df and dL_D/df at f = 0, all logits being alike: l'(0) of the generator and of the critic.
SLOPES = {
    "minimax": (0.5, 0.5),
    "non_saturating": (0.5, 0.5),
    "least_squares": (1.0, 0.0),  # without a bias its critic f = 0 is not that of p = q
    "hinge": (1.0, 1.0),
    "wasserstein": (1.0, 1.0),
    "relativistic": (0.5, 0.5),
    "relativistic_average": (1.0, 1.0),
    "relativistic_average_least_squares": (4.0, 4.0),
    "relativistic_average_hinge": (2.0, 2.0),
}


@pytest.mark.parametrize("loss", adversarial.LOSSES)
def test_alternating_map(loss):
    # The weights of R1, or of R2: one program serves both.
    gammas = [(gamma, 0.0) for gamma in (0.0, 0.3, 1.0, 4.0)]
    gammas += [(0.0, gamma) for gamma, _ in gammas]
    cells = [(g, d, *both) for g in (0.02, 0.1) for d in (0.05, 0.2) for both in gammas]
    sweep = jax.jit(jax.vmap(lambda g, d, r1, r2: jacobian(loss, g, d, r1=r1, r2=r2)))
    c_gen, c_disc = SLOPES[loss]
    for (gen_lr, disc_lr, r1, r2), ours in zip(cells, sweep(*jnp.asarray(cells).T), strict=True):
        gamma = r1 + r2
        # psi' = psi - disc_lr (c_disc theta + gamma psi), theta' = theta + gen_lr c_gen psi'.
        psi = np.asarray([-disc_lr * c_disc, 1 - disc_lr * gamma])
        expected = [np.asarray([1.0, 0.0]) + gen_lr * c_gen * psi, psi]
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-7)  # float32 of order one
        radius = np.abs(np.linalg.eigvals(np.float64(ours))).max()
        if c_disc and gamma:  # it contracts; the slowest of these cells does by 0.0005
            assert radius < 1 - 1e-4
        elif c_disc:  # a rotation for ever: the modulus is the root of a float32 determinant
            np.testing.assert_allclose(radius, 1.0, atol=1e-6)


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "relativistic"])
def test_flow(loss):
    # (J - I) / lr tends to the flow, with eigenvalues -gamma/2 +- sqrt(gamma^2/4 - l'(0)^2): no
    # turning from gamma = 1 on. Half of R1 and half of R2 make one of either.
    lr, shares = 1e-3, ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5))
    cells = [(gamma, *both) for gamma in (0.0, 0.2, 0.9, 1.1, 3.0) for both in shares]

    def field(gamma, r1, r2):
        return (jacobian(loss, lr, lr, r1=gamma * r1, r2=gamma * r2) - jnp.eye(2)) / lr

    fields = jax.jit(jax.vmap(field))(*jnp.asarray(cells).T)
    for (gamma, *_), found in zip(cells, fields, strict=True):
        root = np.sqrt(complex(gamma**2 / 4 - 0.25))
        ours = sorted(np.linalg.eigvals(np.complex128(found)), key=lambda z: z.real + z.imag)
        # Entries are off by up to lr gamma / 2 + 1e-4 (float32 over lr), and eigenvalues near the
        # critical gamma by that over 2 |root| > 0.4.
        np.testing.assert_allclose(ours, [-gamma / 2 - root, -gamma / 2 + root], atol=5e-3)
        assert (abs(ours[0].imag) > 0.1) == (gamma < 1)


# A thousand cells: learning rates, weights of the penalty, and seeds of where both players start.
AXES = np.linspace(0.05, 0.2, 10), np.geomspace(0.3, 3.0, 10), np.arange(10)
LR, WEIGHT, SEED = (axis.ravel() for axis in np.meshgrid(*AXES))
LENGTH = 1000


@functools.cache
def program(loss, *names):
    """path(shares, lr, weight, seed): (theta, psi) before and after every step of every cell,
    [cells, LENGTH + 1, 2]; `shares` of the weight are the penalties'."""

    def path(shares, lr, weight, seed):
        weights = {name: share * weight for name, share in zip(names, shares, strict=True)}
        train_step, start = dirac(loss, jax.random.key(seed), lr, lr, **weights)
        last, places = lax.scan(lambda s, _: (train_step(s), place(s)), start, None, length=LENGTH)
        return jnp.concatenate([places, place(last)[None]])

    return jax.jit(jax.vmap(path, (None, 0, 0, 0)))


def paths(loss, **shares):
    """As `program`, of all cells."""
    cells = jnp.asarray(LR, jnp.float32), jnp.asarray(WEIGHT, jnp.float32), jnp.asarray(SEED)
    return np.float64(program(loss, *shares)(jnp.asarray([*shares.values()]), *cells))


@pytest.mark.parametrize(("r1", "r2"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("loss", ["non_saturating", "relativistic", "wasserstein"])
def test_penalised_paths(loss, r1, r2):
    # RpGAN is here the non-saturating game, R2 is R1, and both together are either at twice gamma.
    found, gamma = paths(loss, r1=r1, r2=r2), (r1 + r2) * WEIGHT
    slope = np.ones_like if loss == "wasserstein" else lambda f: 1 / (1 + np.exp(-f))
    (theta, psi), expected = found[:, 0].T, [found[:, 0]]
    for _ in range(LENGTH):
        psi = psi - LR * (slope(theta * psi) * theta + gamma * psi)
        theta = theta + LR * slope(-theta * psi) * psi
        expected.append(np.stack([theta, psi], -1))
    # Float32, on paths of order one along which errors do not grow.
    np.testing.assert_allclose(found, np.stack(expected, 1), atol=2e-5)
    radius = np.linalg.norm(found, axis=2)  # the slowest (lr 0.05, gamma 6): by exp(-0.042 x 50)
    assert (radius[:, -1] < 0.2 * radius[:, 0]).all()


def test_unpenalised_paths():
    # The bilinear game keeps theta^2 + psi^2 - lr theta psi for ever, as symplectic Euler does.
    found = paths("wasserstein", r1=0.0, r2=0.0)
    kept = np.square(found).sum(2) - LR[:, None] * found.prod(2)
    # A thousand steps of a few roundings each, which do not all have the same sign.
    np.testing.assert_allclose(kept, np.broadcast_to(kept[:, :1], kept.shape), rtol=1e-4)


def test_wgan_gp_does_not_converge():
    # Where psi > 0 the flow is psi' = 2 lambda (1 - psi) - theta, theta' = psi: theta has to pass
    # 2 lambda before psi turns; psi < 0 mirrors it. With lambda < 1 it goes round for ever, else it
    # creeps into (+-2 lambda, 0), with no slope and a wrong theta. (1% for the steps' length.)
    theta = paths("wasserstein", gradient_penalty=1.0)[:, -400:, 0]
    assert (np.abs(theta).max(1) > 0.99 * 2 * WEIGHT).all()
    turning = WEIGHT < 0.9
    assert (np.minimum(theta.max(1), -theta.min(1)) > 0.99 * 2 * WEIGHT)[turning].all()
    # R1 on the same game, rates, weights and seeds: the slowest (gamma 0.3) by exp(-0.15 x 50).
    found = np.linalg.norm(paths("wasserstein", r1=1.0, r2=0.0), axis=2)
    assert (found[:, -1] < 1e-3 * found[:, 0]).all()


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def pair_game(critic, x, x_fake, y, fake):
    """L_D, L_G, R1, R2 of D(x, y) = f(x, y) - f(x, G(x)); the penalties are by y, never by x."""
    logits, none = (critic(x, y), critic(x_fake, fake)), jnp.zeros(len(x))
    return {
        "disc": adversarial.LOSSES["relativistic"].disc(*logits),
        "gen": adversarial.LOSSES["relativistic"].gen(*logits),
        "r1": penalties.r1(lambda y: critic(x, y), y, fake, none),
        "r2": penalties.r2(lambda y: critic(x_fake, y), y, fake, none),
    }


X, Y = draw(0, 6, 2), draw(1, 6, 3)
PARAMS, PHI, GEN = (draw(2, 5, 8), draw(3, 8)), draw(4, 2, 8), draw(5, 2, 3)


@jax.jit
def gauged(strength, params, gen, phi, x_fake):
    """The game of a curved critic f(x, y) + strength h_phi(x), and its gradients."""

    def game(params, gen, phi):
        def critic(x, y):
            f = jnp.tanh(jnp.concatenate([x, y], 1) @ params[0]) @ params[1]
            return f + strength * jnp.tanh(x @ phi).sum(1)

        return pair_game(critic, X, x_fake, Y, X @ gen)

    return game(params, gen, phi), jax.jacrev(game, (0, 1, 2))(params, gen, phi)


@pytest.mark.parametrize("roll", [0, 1])
def test_gauge(roll):
    arguments = PARAMS, GEN, PHI, jnp.roll(X, roll, 0)
    (plain, plain_grads), (values, grads) = gauged(0.0, *arguments), gauged(1.0, *arguments)
    for name, (by_params, by_gen, by_phi) in grads.items():
        if roll and name in ("disc", "gen"):  # with another x at the fakes h no longer cancels
            assert abs(float(values[name] - plain[name])) > 0.01
            assert float(jnp.abs(by_phi).max()) > 0.01
            continue
        assert not by_phi.any()  # exactly: the two sides send back one another's negative
        tree, expected = (values[name], by_params, by_gen), (plain[name], *plain_grads[name][:2])
        for ours, theirs in zip(*map(jax.tree.leaves, (tree, expected)), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)  # float32 logits of up to 8 with h


def test_linear_pairs():
    fake, w = X @ GEN, draw(6, 3)

    def game(w):  # of f = wy + u(x), so that D = w (y - G), whatever u is
        return pair_game(lambda x, y: y @ w + 3 * jnp.sin(x).sum(1), X, X, Y, fake)

    values, grads = jax.jit(lambda w: (game(w), jax.jacrev(game)(w)))(w)
    away = np.float64(Y) - np.float64(fake)
    d = away @ np.float64(w)
    wrong = 1 / (1 + np.exp(d))  # sigmoid(-D)
    lost, pull = np.logaddexp(0, -d).mean(), wrong @ away / len(d)
    expected = {
        "disc": (lost, -pull),
        "gen": (lost + d.mean(), away.mean(0) - pull),  # L_G - L_D = E D
        "r1": (0.5 * float(w @ w), w),
        "r2": (0.5 * float(w @ w), w),
    }
    for name, (value, grad) in expected.items():  # float32, logits of order ten that cancel
        np.testing.assert_allclose(values[name], value, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(grads[name], grad, rtol=1e-5, atol=1e-6)


def test_perfect_pairs():
    # y = G(x): log 2 each. Elsewhere L_D + L_G is larger: 2 log 2 + D^2 / 4 near D = 0.
    curved = pair_game(lambda x, y: jnp.sin(x.sum(1) * y.sum(1)), X, X, Y, Y)
    np.testing.assert_allclose([curved["disc"], curved["gen"]], np.log(2), rtol=1e-6)  # float32
    for d in (-30.0, -1.0, -0.1, 0.1, 1.0, 30.0):
        both = [half(jnp.full(1, d), jnp.zeros(1)) for half in adversarial.LOSSES["relativistic"]]
        assert float(sum(both)) > 2 * np.log(2) + 0.002

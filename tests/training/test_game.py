"""Training dynamics in closed form: Dirac-GAN, and the relativistic conditional GAN.

Dirac-GAN (Mescheder et al. 2018, 1801.04406): all reals are 0, the generator is a point theta, and
the discriminator is linear, psi x. A step updates psi first, then theta against the new psi.
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
    """Return the train step and the first state. Rates and weights may be traced."""
    base = schema.Config(
        "dirac",
        Point(),
        Line(),
        steps=1,
        objective=Objective(loss=loss),
        prior=Prior(dim=1),
        batch_size=2,
    )
    config = base.replace(
        penalties=schema.Penalties(**weights),
        gen_opt=schema.Optimizer("sgd", lr=gen_lr, b1=0.0),
        disc_opt=schema.Optimizer("sgd", lr=disc_lr, b1=0.0),
    )
    train_step = step.make_train_step(config)
    start = state.init_state(config, key, batch.Batch(REAL))
    return lambda train_state: train_step(train_state, batch.Batch(REAL[None]))[0], start


def position(state):
    return jnp.stack([state.gen.params["theta"][0, 0], state.disc.params["psi"][0]])


def jacobian(loss, gen_lr, disc_lr, **weights):
    """Return the Jacobian of a step on (theta, psi), at the optimum (0, 0)."""
    train_step, start = dirac(loss, jax.random.key(0), gen_lr, disc_lr, **weights)

    def updated(at):
        gen = start.gen.replace(params={"theta": at[:1, None]})
        disc = start.disc.replace(params={"psi": at[1:]})
        return position(train_step(start.replace(gen=gen, disc=disc)))

    return jax.jacobian(updated)(jnp.zeros(2))


# -dL_G/df and dL_D/df if all logits are f = 0: l'(0) of the generator and of the discriminator.
SLOPES = {
    "minimax": (0.5, 0.5),
    "non_saturating": (0.5, 0.5),
    "least_squares": (1.0, 0.0),  # without a bias, f = 0 is not optimal for p = q
    "hinge": (1.0, 1.0),
    "wasserstein": (1.0, 1.0),
    "relativistic": (0.5, 0.5),
    "relativistic_average": (1.0, 1.0),
    "relativistic_average_least_squares": (4.0, 4.0),
    "relativistic_average_hinge": (2.0, 2.0),
}


@pytest.mark.parametrize("loss", adversarial.LOSSES)
def test_jacobian_of_alternating_updates(loss):
    # Weights of R1, or of R2, with one program.
    gammas = [(gamma, 0.0) for gamma in (0.0, 0.3, 1.0, 4.0)]
    gammas += [(0.0, gamma) for gamma, _ in gammas]
    settings = [(g, d, *weights) for g in (0.02, 0.1) for d in (0.05, 0.2) for weights in gammas]
    sweep = jax.jit(jax.vmap(lambda g, d, r1, r2: jacobian(loss, g, d, r1=r1, r2=r2)))
    c_gen, c_disc = SLOPES[loss]
    for (gen_lr, disc_lr, r1, r2), actual in zip(
        settings, sweep(*jnp.asarray(settings).T), strict=True
    ):
        gamma = r1 + r2
        # psi' = psi - disc_lr (c_disc theta + gamma psi), theta' = theta + gen_lr c_gen psi'.
        psi = np.asarray([-disc_lr * c_disc, 1 - disc_lr * gamma])
        expected = [np.asarray([1.0, 0.0]) + gen_lr * c_gen * psi, psi]
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)  # float32 of order one
        radius = np.abs(np.linalg.eigvals(np.float64(actual))).max()
        if c_disc and gamma:  # contracts, in the slowest case by 0.0005
            assert radius < 1 - 1e-4
        elif c_disc:  # rotates: the modulus is the root of a float32 determinant
            np.testing.assert_allclose(radius, 1.0, atol=1e-6)


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "relativistic"])
def test_eigenvalues_of_the_gradient_flow(loss):
    # (J - I) / lr tends to the flow, with eigenvalues -gamma/2 +- sqrt(gamma^2/4 - l'(0)^2), which
    # are real from gamma = 1. Half of R1 and half of R2 are equal to all of either.
    lr, shares = 1e-3, ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5))
    settings = [
        (gamma, *share_pair) for gamma in (0.0, 0.2, 0.9, 1.1, 3.0) for share_pair in shares
    ]

    def field(gamma, r1, r2):
        return (jacobian(loss, lr, lr, r1=gamma * r1, r2=gamma * r2) - jnp.eye(2)) / lr

    fields = jax.jit(jax.vmap(field))(*jnp.asarray(settings).T)
    for (gamma, *_), flow in zip(settings, fields, strict=True):
        root = np.sqrt(complex(gamma**2 / 4 - 0.25))
        eigenvalues = sorted(np.linalg.eigvals(np.complex128(flow)), key=lambda z: z.real + z.imag)
        # Entries err by up to lr gamma / 2 + 1e-4 (float32 over lr), and eigenvalues near the
        # critical gamma by that over 2 |root| > 0.4.
        np.testing.assert_allclose(eigenvalues, [-gamma / 2 - root, -gamma / 2 + root], atol=5e-3)
        assert (abs(eigenvalues[0].imag) > 0.1) == (gamma < 1)


# A thousand runs: learning rates, weights of the penalty, and seeds of the initial positions.
AXES = np.linspace(0.05, 0.2, 10), np.geomspace(0.3, 3.0, 10), np.arange(10)
LR, WEIGHT, SEED = (axis.ravel() for axis in np.meshgrid(*AXES))
LENGTH = 1000


@functools.cache
def program(loss, *names):
    """Return a function path(shares, lr, weight, seed) to all (theta, psi) of all runs.

    The paths have the shape [runs, LENGTH + 1, 2]. A penalty has the weight share * weight.
    """

    def path(shares, lr, weight, seed):
        weights = {name: share * weight for name, share in zip(names, shares, strict=True)}
        train_step, start = dirac(loss, jax.random.key(seed), lr, lr, **weights)
        last, positions = lax.scan(
            lambda s, _: (train_step(s), position(s)), start, None, length=LENGTH
        )
        return jnp.concatenate([positions, position(last)[None]])

    return jax.jit(jax.vmap(path, (None, 0, 0, 0)))


def paths(loss, **shares):
    """Return the paths of `program` for all runs."""
    runs = jnp.asarray(LR, jnp.float32), jnp.asarray(WEIGHT, jnp.float32), jnp.asarray(SEED)
    return np.float64(program(loss, *shares)(jnp.asarray([*shares.values()]), *runs))


@pytest.mark.parametrize(("r1", "r2"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("loss", ["non_saturating", "relativistic", "wasserstein"])
def test_penalized_paths(loss, r1, r2):
    # Here RpGAN is equal to the non-saturating loss, R2 to R1, and both to either at twice gamma.
    path, gamma = paths(loss, r1=r1, r2=r2), (r1 + r2) * WEIGHT
    slope = np.ones_like if loss == "wasserstein" else lambda f: 1 / (1 + np.exp(-f))
    (theta, psi), expected = path[:, 0].T, [path[:, 0]]
    for _ in range(LENGTH):
        psi = psi - LR * (slope(theta * psi) * theta + gamma * psi)
        theta = theta + LR * slope(-theta * psi) * psi
        expected.append(np.stack([theta, psi], -1))
    # Float32, on paths of order one that do not amplify errors.
    np.testing.assert_allclose(path, np.stack(expected, 1), atol=2e-5)
    radius = np.linalg.norm(path, axis=2)  # the slowest (lr 0.05, gamma 6): by exp(-0.042 x 50)
    assert (radius[:, -1] < 0.2 * radius[:, 0]).all()


def test_unpenalized_paths():
    # The bilinear game conserves theta^2 + psi^2 - lr theta psi, as symplectic Euler does.
    path = paths("wasserstein", r1=0.0, r2=0.0)
    conserved = np.square(path).sum(2) - LR[:, None] * path.prod(2)
    # A thousand steps of a few roundings each, with different signs.
    np.testing.assert_allclose(
        conserved, np.broadcast_to(conserved[:, :1], conserved.shape), rtol=1e-4
    )


def test_wgan_gp_does_not_converge():
    # For psi > 0 the flow is psi' = 2 lambda (1 - psi) - theta, theta' = psi: theta must exceed
    # 2 lambda before psi changes sign; psi < 0 is symmetric. For lambda < 1 it cycles forever;
    # otherwise it approaches (+-2 lambda, 0), a wrong theta with no slope. (1% for the step size.)
    theta = paths("wasserstein", gradient_penalty=1.0)[:, -400:, 0]
    assert (np.abs(theta).max(1) > 0.99 * 2 * WEIGHT).all()
    cycling = WEIGHT < 0.9
    assert (np.minimum(theta.max(1), -theta.min(1)) > 0.99 * 2 * WEIGHT)[cycling].all()
    # R1 with the same loss, rates, weights and seeds: the slowest (gamma 0.3) by exp(-0.15 x 50).
    radius = np.linalg.norm(paths("wasserstein", r1=1.0, r2=0.0), axis=2)
    assert (radius[:, -1] < 1e-3 * radius[:, 0]).all()


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def pair_losses(discriminator, x, x_fake, y, fake):
    """Return L_D, L_G, R1 and R2 of D(x, y) = f(x, y) - f(x, G(x)).

    The penalties take the gradient with respect to y.
    """
    logits, no_keys = (discriminator(x, y), discriminator(x_fake, fake)), jnp.zeros(len(x))
    return {
        "disc": adversarial.LOSSES["relativistic"].disc(*logits),
        "gen": adversarial.LOSSES["relativistic"].gen(*logits),
        "r1": penalties.r1(lambda y: discriminator(x, y), y, fake, no_keys),
        "r2": penalties.r2(lambda y: discriminator(x_fake, y), y, fake, no_keys),
    }


X, Y = normal(0, 6, 2), normal(1, 6, 3)
PARAMS, PHI, GEN = (normal(2, 5, 8), normal(3, 8)), normal(4, 2, 8), normal(5, 2, 3)


@jax.jit
def losses_and_grads(strength, params, gen, phi, x_fake):
    """Return losses and gradients of a nonlinear f(x, y) + strength h_phi(x)."""

    def game(params, gen, phi):
        def discriminator(x, y):
            f = jnp.tanh(jnp.concatenate([x, y], 1) @ params[0]) @ params[1]
            return f + strength * jnp.tanh(x @ phi).sum(1)

        return pair_losses(discriminator, X, x_fake, Y, X @ gen)

    return game(params, gen, phi), jax.jacrev(game, (0, 1, 2))(params, gen, phi)


@pytest.mark.parametrize("roll", [0, 1])
def test_terms_of_the_condition_alone_cancel(roll):
    arguments = PARAMS, GEN, PHI, jnp.roll(X, roll, 0)
    (plain, plain_grads), (values, grads) = (
        losses_and_grads(0.0, *arguments),
        losses_and_grads(1.0, *arguments),
    )
    for name, (by_params, by_gen, by_phi) in grads.items():
        if roll and name in ("disc", "gen"):  # with another x for the fakes, h does not cancel
            assert abs(float(values[name] - plain[name])) > 0.01
            assert float(jnp.abs(by_phi).max()) > 0.01
            continue
        assert not by_phi.any()  # exactly: the gradients of the two sides are opposite
        actual, expected = (values[name], by_params, by_gen), (plain[name], *plain_grads[name][:2])
        for ours, theirs in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)  # float32 logits of up to 8 with h


def test_linear_discriminator_of_pairs():
    fake, w = X @ GEN, normal(6, 3)

    def game(w):  # f = wy + u(x), so D = w (y - G) for every u
        return pair_losses(lambda x, y: y @ w + 3 * jnp.sin(x).sum(1), X, X, Y, fake)

    values, grads = jax.jit(lambda w: (game(w), jax.jacrev(game)(w)))(w)
    gap = np.float64(Y) - np.float64(fake)
    d = gap @ np.float64(w)
    p_wrong = 1 / (1 + np.exp(d))  # sigmoid(-D)
    disc_loss, slope = np.logaddexp(0, -d).mean(), p_wrong @ gap / len(d)
    expected = {
        "disc": (disc_loss, -slope),
        "gen": (disc_loss + d.mean(), gap.mean(0) - slope),  # L_G - L_D = E D
        "r1": (0.5 * float(w @ w), w),
        "r2": (0.5 * float(w @ w), w),
    }
    for name, (value, grad) in expected.items():  # float32, logits of order ten that cancel
        np.testing.assert_allclose(values[name], value, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(grads[name], grad, rtol=1e-5, atol=1e-6)


def test_losses_of_a_perfect_generator():
    # y = G(x): log 2 each. Otherwise L_D + L_G is larger: 2 log 2 + D^2 / 4 near D = 0.
    perfect = pair_losses(lambda x, y: jnp.sin(x.sum(1) * y.sum(1)), X, X, Y, Y)
    np.testing.assert_allclose([perfect["disc"], perfect["gen"]], np.log(2), rtol=1e-6)  # float32
    for d in (-30.0, -1.0, -0.1, 0.1, 1.0, 30.0):
        losses = [
            player_loss(jnp.full(1, d), jnp.zeros(1))
            for player_loss in adversarial.LOSSES["relativistic"]
        ]
        assert float(sum(losses)) > 2 * np.log(2) + 0.002

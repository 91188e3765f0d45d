"""Adversarial losses: pairs of pure functions of logits, both to be minimised.

Each half takes the logits of the reals and of the fakes, float32 [n], or [n, r] of a critic with
several an example, and returns the mean over all (of the whole batch: the step gathers the logits
of all devices first).
sp is softplus: -log sigmoid(f) = sp(-f), stable at any logit. p data, q model.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

softplus = jax.nn.softplus


class GanLoss(NamedTuple):
    """disc(real_logits, fake_logits) and gen(real_logits, fake_logits), each -> scalar."""

    disc: Callable[[jax.Array, jax.Array], jax.Array]
    gen: Callable[[jax.Array, jax.Array], jax.Array]


def _paired(real: jax.Array, fake: jax.Array) -> jax.Array:
    chex.assert_rank((real, fake), {1, 2})
    chex.assert_equal_shape((real, fake))
    return real - fake


def logistic_disc(real: jax.Array, fake: jax.Array, *, smoothing: float = 0.0) -> jax.Array:
    """E_p sp(-f) + E_q sp(f); optimum f = log p/q. Goodfellow et al. 2014 (1406.2661), eq. 1.

    With one-sided label smoothing s the reals' target is 1-s (Salimans et al. 2016, 1606.03498,
    sec. 3.4): (1-s) sp(-f) + s sp(f), least at f = log((1-s)/s).
    """
    target = (1 - smoothing) * softplus(-real) + smoothing * softplus(real)
    return target.mean() + softplus(fake).mean()


def minimax_gen(real: jax.Array, fake: jax.Array) -> jax.Array:
    """-E_q sp(f): log(1 - D(G(z))), as the minimax game has it. 1406.2661, eq. 1."""
    return -softplus(fake).mean()


def non_saturating_gen(real: jax.Array, fake: jax.Array) -> jax.Array:
    """E_q sp(-f): -log D(G(z)). 1406.2661, sec. 3."""
    return softplus(-fake).mean()


def least_squares_disc(real: jax.Array, fake: jax.Array) -> jax.Array:
    """1/2 E_p (f-1)^2 + 1/2 E_q f^2; optimum p/(p+q). Mao et al. 2017 (1611.04076), eq. 9."""
    return 0.5 * jnp.square(real - 1).mean() + 0.5 * jnp.square(fake).mean()


def least_squares_gen(real: jax.Array, fake: jax.Array) -> jax.Array:
    """1/2 E_q (f-1)^2. 1611.04076, eq. 9."""
    return 0.5 * jnp.square(fake - 1).mean()


def hinge_disc(real: jax.Array, fake: jax.Array) -> jax.Array:
    """E_p max(0, 1-f) + E_q max(0, 1+f). Lim & Ye 2017 (1705.02894); 1802.05957, eq. 16."""
    return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()


def wasserstein_disc(real: jax.Array, fake: jax.Array) -> jax.Array:
    """E_q f - E_p f, over 1-Lipschitz f minus the W1 distance. Arjovsky et al. 2017, 1701.07875."""
    return fake.mean() - real.mean()


def wasserstein_gen(real: jax.Array, fake: jax.Array) -> jax.Array:
    """-E_q f. 1701.07875, alg. 1; the hinge loss has the same generator half."""
    return -fake.mean()


def relativistic_disc(real: jax.Array, fake: jax.Array) -> jax.Array:
    """E sp(-(f(x) - f(y))) over pairs of the i-th real x and the i-th fake y: RSGAN / RpGAN.

    Jolicoeur-Martineau 2018 (1807.00734), eq. 5; Huang et al. 2024 (2501.05441), eq. 2. With the
    same cond on both sides it is sp(-D(x, y)) for D(x, y) = f(x, y) - f(x, G(x, z)).
    """
    return softplus(-_paired(real, fake)).mean()


def relativistic_gen(real: jax.Array, fake: jax.Array) -> jax.Array:
    """E sp(-(f(y) - f(x))): the pairs swapped, non-saturating. 1807.00734, eq. 6."""
    return softplus(_paired(real, fake)).mean()


def _average(of_real: Callable, of_fake: Callable) -> GanLoss:
    """Relativistic average (1807.00734, sec. 4.2): each logit less the mean of the other side's."""

    def disc(real: jax.Array, fake: jax.Array) -> jax.Array:
        return of_real(real - fake.mean()).mean() + of_fake(fake - real.mean()).mean()

    return GanLoss(disc, gen=lambda real, fake: disc(fake, real))


LOSSES = {
    "minimax": GanLoss(logistic_disc, minimax_gen),
    "non_saturating": GanLoss(logistic_disc, non_saturating_gen),
    "least_squares": GanLoss(least_squares_disc, least_squares_gen),
    "hinge": GanLoss(hinge_disc, wasserstein_gen),
    "wasserstein": GanLoss(wasserstein_disc, wasserstein_gen),
    "relativistic": GanLoss(relativistic_disc, relativistic_gen),
    "relativistic_average": _average(lambda f: softplus(-f), softplus),
    "relativistic_average_least_squares": _average(
        lambda f: jnp.square(f - 1), lambda f: jnp.square(f + 1)
    ),
    "relativistic_average_hinge": _average(
        lambda f: jax.nn.relu(1 - f), lambda f: jax.nn.relu(1 + f)
    ),
}
# Means over examples, or over pairs: the mean over parts of a batch is that over all of it.
PER_EXAMPLE = ("minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic")
SMOOTHABLE = ("minimax", "non_saturating")


def cross_entropy(class_logits: jax.Array, labels: jax.Array) -> jax.Array:
    """E -log p(y|x) for p the softmax of class_logits [n, classes] and labels y [n]: an auxiliary
    classifier's loss, float32. Odena et al. 2017 (1610.09585), eq. 3."""
    chex.assert_rank((class_logits, labels), (2, 1))
    chex.assert_equal_shape_prefix((class_logits, labels), 1)
    logp = jax.nn.log_softmax(class_logits.astype(jnp.float32))
    # A product rather than a gather, whose gradient adds up in any order.
    return -(logp * jax.nn.one_hot(labels, logp.shape[1])).sum(1).mean()


def perceptual(fake: Mapping[str, jax.Array], real: Mapping[str, jax.Array]) -> jax.Array:
    """Of what a critic hands out for fakes and reals by name, the entries features_<stage>
    [n, ...]: the mean absolute difference of the i-th fake to the i-th real, summed over the
    stages, float32. Feature matching of Wang et al. 2018 (1711.11585), eq. 4."""
    stages = [name for name in fake if name.startswith("features_")]
    return jnp.stack([jnp.abs(fake[name] - real[name]).mean() for name in stages]).sum()


def gan_loss(name: str, label_smoothing: float = 0.0) -> GanLoss:
    """The named loss. Raises KeyError on another name; smoothing is for those in SMOOTHABLE."""
    loss = LOSSES[name]
    if name in SMOOTHABLE:
        return loss._replace(disc=functools.partial(logistic_disc, smoothing=label_smoothing))
    return loss

"""Adversarial losses as pure functions of logits.

A loss has one function for each player, both to be minimized. They take the logits of real and of
generated examples, float32 [n], or [n, r] where a discriminator returns several logits per example,
and return the mean over all of them. The train step gathers the logits of all devices first, so the
mean is over the whole batch.

Notation: sp is softplus, and -log sigmoid(f) = sp(-f) is stable for every logit f; p is the data
distribution and q the generator's.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Logits = Float[Array, " n *r"]
Scalar = Float[Array, ""]

softplus = jax.nn.softplus


class GanLoss(NamedTuple):
    """Pair of loss functions (real_logits, fake_logits) -> scalar."""

    disc: Callable[[Array, Array], Array]
    """Loss of the discriminator."""
    gen: Callable[[Array, Array], Array]
    """Loss of the generator."""


def _paired_difference(real: Logits, fake: Logits) -> Logits:
    chex.assert_rank((real, fake), {1, 2})
    chex.assert_equal_shape((real, fake))
    return real - fake


def logistic_disc(real: Logits, fake: Logits, *, smoothing: float = 0.0) -> Scalar:
    """Compute E_p sp(-f) + E_q sp(f) (Goodfellow et al. 2014, 1406.2661, eq. 1).

    The optimum is f = log p/q. One-sided label smoothing (Salimans et al. 2016, 1606.03498,
    sec. 3.4) replaces the first term by (1-s) sp(-f) + s sp(f), whose minimum is f = log((1-s)/s).

    Args:
        real: Logits of real examples.
        fake: Logits of generated examples.
        smoothing: Label smoothing s in [0, 1); the target of real examples is 1-s.

    Returns:
        The loss of the discriminator.

    Example:
        >>> logits = jnp.zeros(4)
        >>> round(float(logistic_disc(logits, logits)), 4)  # 2 log 2
        1.3863
    """
    real_loss = (1 - smoothing) * softplus(-real) + smoothing * softplus(real)
    return real_loss.mean() + softplus(fake).mean()


def minimax_gen(real: Logits, fake: Logits) -> Scalar:
    """Compute -E_q sp(f), that is E log(1 - D(G(z))) of the minimax game. 1406.2661, eq. 1."""
    return -softplus(fake).mean()


def non_saturating_gen(real: Logits, fake: Logits) -> Scalar:
    """Compute E_q sp(-f), that is -E log D(G(z)). 1406.2661, sec. 3."""
    return softplus(-fake).mean()


def least_squares_disc(real: Logits, fake: Logits) -> Scalar:
    """Compute 1/2 E_p (f-1)^2 + 1/2 E_q f^2 (Mao et al. 2017, 1611.04076, eq. 9).

    The optimum is f = p/(p+q).
    """
    return 0.5 * jnp.square(real - 1).mean() + 0.5 * jnp.square(fake).mean()


def least_squares_gen(real: Logits, fake: Logits) -> Scalar:
    """Compute 1/2 E_q (f-1)^2. 1611.04076, eq. 9."""
    return 0.5 * jnp.square(fake - 1).mean()


def hinge_disc(real: Logits, fake: Logits) -> Scalar:
    """Compute E_p max(0, 1-f) + E_q max(0, 1+f).

    Lim & Ye 2017 (1705.02894); Miyato et al. 2018 (1802.05957), eq. 16.
    """
    return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()


def wasserstein_disc(real: Logits, fake: Logits) -> Scalar:
    """Compute E_q f - E_p f (Arjovsky et al. 2017, 1701.07875).

    Its minimum over 1-Lipschitz critics f is minus the Wasserstein-1 distance.
    """
    return fake.mean() - real.mean()


def wasserstein_gen(real: Logits, fake: Logits) -> Scalar:
    """Compute -E_q f (1701.07875, alg. 1), also the generator's loss for the hinge loss."""
    return -fake.mean()


def relativistic_disc(real: Logits, fake: Logits) -> Scalar:
    """Compute E sp(-(f(x) - f(y))) over pairs of the i-th real x and the i-th fake y.

    RSGAN / RpGAN: Jolicoeur-Martineau 2018 (1807.00734), eq. 5; Huang et al. 2024 (2501.05441),
    eq. 2. If both sides have the same condition, this is sp(-D(x, y)) for
    D(x, y) = f(x, y) - f(x, G(x, z)).
    """
    return softplus(-_paired_difference(real, fake)).mean()


def relativistic_gen(real: Logits, fake: Logits) -> Scalar:
    """Compute E sp(-(f(y) - f(x))), the loss of swapped pairs (1807.00734, eq. 6).

    It is non-saturating.
    """
    return softplus(_paired_difference(real, fake)).mean()


def _relativistic_average(real_loss: Callable, fake_loss: Callable) -> GanLoss:
    """Subtract the other side's mean from each logit (1807.00734, sec. 4.2)."""

    def disc(real: Logits, fake: Logits) -> Scalar:
        return real_loss(real - fake.mean()).mean() + fake_loss(fake - real.mean()).mean()

    return GanLoss(disc, gen=lambda real, fake: disc(fake, real))


LOSSES = {
    "minimax": GanLoss(logistic_disc, minimax_gen),
    "non_saturating": GanLoss(logistic_disc, non_saturating_gen),
    "least_squares": GanLoss(least_squares_disc, least_squares_gen),
    "hinge": GanLoss(hinge_disc, wasserstein_gen),
    "wasserstein": GanLoss(wasserstein_disc, wasserstein_gen),
    "relativistic": GanLoss(relativistic_disc, relativistic_gen),
    "relativistic_average": _relativistic_average(lambda f: softplus(-f), softplus),
    "relativistic_average_least_squares": _relativistic_average(
        lambda f: jnp.square(f - 1), lambda f: jnp.square(f + 1)
    ),
    "relativistic_average_hinge": _relativistic_average(
        lambda f: jax.nn.relu(1 - f), lambda f: jax.nn.relu(1 + f)
    ),
}
# Means over examples or pairs. The mean over microbatches equals the mean over the batch.
PER_EXAMPLE = ("minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic")
SMOOTHABLE = ("minimax", "non_saturating")


def cross_entropy(class_logits: Float[Array, "n classes"], labels: Int[Array, " n"]) -> Scalar:
    """Compute E -log p(y|x), the loss of an auxiliary classifier, in float32.

    p is the softmax of `class_logits` and y are the `labels`. Odena et al. 2017 (1610.09585),
    eq. 3.
    """
    chex.assert_rank((class_logits, labels), (2, 1))
    chex.assert_equal_shape_prefix((class_logits, labels), 1)
    logp = jax.nn.log_softmax(class_logits.astype(jnp.float32))
    # A product, because the gradient of a gather sums in an unspecified order.
    return -(logp * jax.nn.one_hot(labels, logp.shape[1])).sum(1).mean()


def perceptual(
    fake: Mapping[str, Float[Array, "..."]], real: Mapping[str, Float[Array, "..."]]
) -> Scalar:
    """Compute the feature matching loss (Wang et al. 2018, 1711.11585, eq. 4), float32.

    Both mappings hold a discriminator's auxiliary outputs by name. The loss is the mean absolute
    difference of the i-th fake and the i-th real example in the entries `features_<stage>`
    [n, ...], summed over the stages.
    """
    stages = [name for name in fake if name.startswith("features_")]
    return jnp.stack([jnp.abs(fake[name] - real[name]).mean() for name in stages]).sum()


def gan_loss(name: str, label_smoothing: float = 0.0) -> GanLoss:
    """Return the loss with this name, with label smoothing if it is in `SMOOTHABLE`.

    Raises:
        KeyError: If no loss has this name.

    Example:
        >>> loss = gan_loss("hinge")
        >>> float(loss.disc(jnp.array([2.0, 0.5]), jnp.array([-2.0, 0.0])))
        0.75
    """
    loss = LOSSES[name]
    if name in SMOOTHABLE:
        return loss._replace(disc=functools.partial(logistic_disc, smoothing=label_smoothing))
    return loss

"""Objectives of both players, as pure functions of parameters and a batch.

    disc_loss            L_D(D(T(x)), D(T(G(z)))) + classification
    disc_penalty         sum_k w_k penalty_k(D o T)
    gen_loss             L_G(D(T(x)), D(T(G(z)))) + L1 + perceptual + classification
    path_length_penalty  w (|J^T y| - a)^2, with J the Jacobian of G

x are real examples, z latents, and T is the optional augmentation. A loss applies the networks once
and sums its terms, which share the outputs. To add a term, write a function and list it in
`DISC_TERMS` or `GEN_TERMS`. All objectives return (value, (new statistics, metrics)), the form that
`update` expects.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.struct
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key, Shaped

from gan_jax.config import schedules
from gan_jax.losses import adversarial, path_length, penalties
from gan_jax.training.gan import Augmentation, Gan
from gan_jax.training.state import Metrics, Player


class DiscBatch(flax.struct.PyTreeNode):
    """Inputs of a discriminator update, leaves [n, ...]."""

    real: Float[Array, "n ..."]
    fake: Float[Array, "n ..."]
    cond: Any
    augment_real: Augmentation
    augment_fake: Augmentation
    penalty_keys: Key[Array, " n"]


class GenBatch(flax.struct.PyTreeNode):
    """Inputs of a generator update, leaves [n, ...]."""

    real: Float[Array, "n ..."]
    latent_keys: Key[Array, " n"]
    cond: Any
    augment_real: Augmentation
    augment_fake: Augmentation


class PathBatch(flax.struct.PyTreeNode):
    """Inputs of path length regularization, leaves [n, ...]."""

    latents: Shaped[Array, "n dim"]
    direction_keys: Key[Array, " n"]
    cond: Any


class DiscOutputs(NamedTuple):
    """Batch and outputs of the discriminator, shared by the terms of its loss."""

    batch: DiscBatch
    real_logits: Float[Array, "m ..."]
    """Logits of the whole batch, over all devices."""
    fake_logits: Float[Array, "m ..."]
    real_auxiliary: dict[str, Array]
    """Class logits and features by name, for the examples of this device."""


class GenOutputs(NamedTuple):
    """Batch and outputs of both networks, shared by the terms of the generator's loss."""

    batch: GenBatch
    fake: Float[Array, "n ..."]
    real_logits: Float[Array, "m ..."]
    """Logits of the whole batch, over all devices."""
    fake_logits: Float[Array, "m ..."]
    real_auxiliary: dict[str, Array]
    """Class logits and features by name, for the examples of this device."""
    fake_auxiliary: dict[str, Array]


class Term(NamedTuple):
    """A term of a loss."""

    value: Array
    metrics: Metrics
    weight: Any = None
    """Factor of the value in the loss; None for 1."""


Loss = tuple[Float[Array, ""], tuple[Any, Metrics]]


def disc_loss(params: Any, batch: DiscBatch, *, gan: Gan, stats: Any) -> Loss:
    """Compute the discriminator's loss: adversarial and auxiliary terms.

    Args:
        params: Parameters of the discriminator.
        batch: Real examples, fakes, conditions and keys.
        gan: Networks and hyper-parameters at this step.
        stats: Statistics of the discriminator before the update.

    Returns:
        The loss, the new statistics, and the metrics.
    """
    real_logits, stats, auxiliary = gan.discriminate(
        params, stats, batch.real, batch.cond, batch.augment_real
    )
    fake_logits, stats, _ = gan.discriminate(
        params, stats, batch.fake, batch.cond, batch.augment_fake
    )
    outputs = DiscOutputs(batch, gan.gather(real_logits), gan.gather(fake_logits), auxiliary)
    loss, metrics = _sum_terms(DISC_TERMS, gan, outputs)
    return loss, (stats, metrics)


def disc_penalty(params: Any, batch: DiscBatch, *, gan: Gan, stats: Any) -> Loss:
    """Compute the weighted sum of the gradient penalties.

    The gradients of the logits are taken with respect to the examples before augmentation. All
    penalties use the augmentation keys of the real examples, also R2, on generated examples. Lazy
    penalties are multiplied by their interval (Karras et al. 2020, 1912.04958, appendix B).

    Args:
        params: Parameters of the discriminator.
        batch: Real examples, fakes, conditions and keys.
        gan: Networks and hyper-parameters at this step.
        stats: Statistics of the discriminator before the update.

    Returns:
        The sum, the unchanged statistics, and the unweighted penalties as metrics.
    """

    def logits(x: Float[Array, "n ..."]) -> Float[Array, "m ..."]:
        return gan.discriminate(params, stats, x, batch.cond, batch.augment_real)[0]

    loss, metrics = jnp.float32(0), {}
    for name, weight in gan.penalties.items():
        metrics[name] = penalties.PENALTIES[name](
            logits, batch.real, batch.fake, batch.penalty_keys, gan.axis, gan.disc.pac_size
        )
        loss += gan.penalty_every * weight * metrics[name]
    return loss, (stats, metrics)


def penalized_disc_loss(params: Any, batch: DiscBatch, *, gan: Gan, stats: Any) -> Loss:
    """Compute the sum of `disc_loss` and `disc_penalty`, which take the same arguments.

    Args:
        params: Parameters of the discriminator.
        batch: Real examples, fakes, conditions and keys.
        gan: Networks and hyper-parameters at this step.
        stats: Statistics of the discriminator before the update.

    Returns:
        The sum, the new statistics, and the metrics.
    """
    loss, (new_stats, metrics) = disc_loss(params, batch, gan=gan, stats=stats)
    penalty, (_, penalty_metrics) = disc_penalty(params, batch, gan=gan, stats=stats)
    return loss + penalty, (new_stats, metrics | penalty_metrics)


def gen_loss(params: Any, batch: GenBatch, *, gan: Gan, stats: Any, disc: Player) -> Loss:
    """Compute the generator's loss: adversarial and auxiliary terms.

    Args:
        params: Parameters of the generator.
        batch: Real examples, conditions and keys.
        gan: Networks and hyper-parameters at this step.
        stats: Statistics of the generator before the update.
        disc: Discriminator, which stays fixed.

    Returns:
        The loss, the new statistics, and the metrics.
    """
    fake, stats = gan.generate(params, stats, batch.latent_keys, batch.cond)
    fake_logits, _, fake_auxiliary = gan.discriminate(
        disc.params, disc.stats, fake, batch.cond, batch.augment_fake
    )
    real_logits, _, real_auxiliary = gan.discriminate(
        disc.params, disc.stats, batch.real, batch.cond, batch.augment_real
    )
    outputs = GenOutputs(
        batch,
        fake,
        gan.gather(real_logits),
        gan.gather(fake_logits),
        real_auxiliary,
        fake_auxiliary,
    )
    loss, metrics = _sum_terms(GEN_TERMS, gan, outputs)
    return loss, (stats, metrics)


def path_length_penalty(
    params: Any, batch: PathBatch, *, gan: Gan, stats: Any, mean_path: Array
) -> Loss:
    """Compute the weighted path length penalty of the generator.

    Args:
        params: Parameters of the generator.
        batch: Latents, conditions and keys.
        gan: Networks and hyper-parameters at this step.
        stats: Statistics of the generator before the update.
        mean_path: Running mean of the path lengths before the update.

    Returns:
        The penalty, the unchanged statistics, and the metrics, which include the new running mean.
    """
    w_shape = gan.gen.w_shape
    assert w_shape is not None  # validation rejects path_length for generators without w

    def images(w_offset: Float[Array, "n ..."]) -> Float[Array, "n h w c"]:
        variables = {"params": params, **stats, "perturbations": {"w": w_offset}}
        outputs: Any = gan.gen.apply(
            variables, batch.latents, batch.cond, train=True, mutable=[*stats]
        )
        return outputs[0]

    zeros = jnp.zeros((len(batch.latents), *w_shape))
    value, mean_path = path_length.path_length(
        images, zeros, batch.direction_keys, mean_path, gan.axis
    )
    metrics = {"path_length": value, "mean_path": mean_path}
    weight: Any = gan.config.objective.path_length
    return gan.path_length_every * weight * value, (stats, metrics)


def disc_adversarial(gan: Gan, outputs: DiscOutputs) -> Term:
    """Compute L_D, with the mean sign of the real logits for adaptive augmentation."""
    loss = gan.loss.disc(outputs.real_logits, outputs.fake_logits)
    metrics = {
        "real_logit": outputs.real_logits.mean(),
        "fake_logit": outputs.fake_logits.mean(),
        "real_sign": jnp.sign(outputs.real_logits).mean(),
        "disc_loss": loss,
    }
    return Term(loss, metrics)


def disc_classification(gan: Gan, outputs: DiscOutputs) -> Term | None:
    """Compute the cross-entropy of the class head on real examples."""
    if not gan.disc.auxiliary:
        return None
    loss = adversarial.cross_entropy(outputs.real_auxiliary["class_logits"], outputs.batch.cond)
    return Term(loss, {"class_loss": loss}, gan.config.objective.auxiliary_disc)


def gen_adversarial(gan: Gan, outputs: GenOutputs) -> Term:
    """Compute L_G."""
    loss = gan.loss.gen(outputs.real_logits, outputs.fake_logits)
    return Term(loss, {"gen_loss": loss})


def reconstruction(gan: Gan, outputs: GenOutputs) -> Term | None:
    """Compute the L1 distance to the real example (1611.07004, eq. 4)."""
    if schedules.is_off(gan.config.objective.reconstruction):
        return None
    loss = jnp.abs(outputs.fake - outputs.batch.real).mean()
    return Term(loss, {"l1": loss}, gan.config.objective.reconstruction)


def perceptual(gan: Gan, outputs: GenOutputs) -> Term | None:
    """Compute the L1 distance between discriminator features (1711.11585, eq. 4)."""
    if schedules.is_off(gan.config.objective.perceptual):
        return None
    loss = adversarial.perceptual(outputs.fake_auxiliary, outputs.real_auxiliary)
    return Term(loss, {"perceptual": loss}, gan.config.objective.perceptual)


def gen_classification(gan: Gan, outputs: GenOutputs) -> Term | None:
    """Compute the cross-entropy of the class head on fakes."""
    if not gan.disc.auxiliary:
        return None
    loss = adversarial.cross_entropy(outputs.fake_auxiliary["class_logits"], outputs.batch.cond)
    return Term(loss, {"gen_class_loss": loss}, gan.config.objective.auxiliary_gen)


# The order fixes the rounding of the sum.
DISC_TERMS = (disc_adversarial, disc_classification)
GEN_TERMS = (gen_adversarial, reconstruction, perceptual, gen_classification)


def _sum_terms(
    functions: Sequence[Callable[..., Term | None]], gan: Gan, outputs: Any
) -> tuple[Array, Metrics]:
    """Sum the weighted terms. A term that the config disables returns None."""
    terms = [term for function in functions if (term := function(gan, outputs))]
    values = [term.value if term.weight is None else term.weight * term.value for term in terms]
    metrics = [term.metrics for term in terms]
    return functools.reduce(operator.add, values), functools.reduce(operator.or_, metrics)

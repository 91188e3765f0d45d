"""Objectives of the two players: pure functions of parameters and a batch.

    disc_loss           L_D(D(T(x)), D(T(G(z)))) + class head
    disc_penalty        sum_k  w_k penalty_k(D o T)
    gen_loss            L_G(D(T(x)), D(T(G(z)))) + L1 + perceptual + class head
    path_length_penalty w (|J^T y| - a)^2 of G

x are real examples, z latents and T the optional augmentation. A loss runs the networks once and
sums its terms, which share their outputs. A new term is one function and one entry in `DISC_TERMS`
or `GEN_TERMS`. All objectives return (value, (new statistics, metrics)), as `update` takes them.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.config import Config, schedules
from gan_jax.core import keys
from gan_jax.losses import adversarial, path_length, penalties
from gan_jax.networks.interface import Discriminator, Generator
from gan_jax.networks.layers import on_axis
from gan_jax.training.augment import adaptive
from gan_jax.training.state import Metrics, Player


class Augmentation(flax.struct.PyTreeNode):
    """Randomness of the augmentation of a batch."""

    keys: Array
    """One key per example, [n]."""
    p: Any
    """Probability, a scalar."""


class DiscBatch(flax.struct.PyTreeNode):
    """Inputs of a discriminator update, leaves [n, ...]."""

    real: Array
    fake: Array
    cond: Any
    augment_real: Augmentation
    augment_fake: Augmentation
    penalty_keys: Array


class GenBatch(flax.struct.PyTreeNode):
    """Inputs of a generator update, leaves [n, ...]."""

    real: Array
    latent_keys: Array
    cond: Any
    augment_real: Augmentation
    augment_fake: Augmentation


class PathBatch(flax.struct.PyTreeNode):
    """Inputs of path length regularization, leaves [n, ...]."""

    latents: Array
    direction_keys: Array
    cond: Any


class DiscOutputs(NamedTuple):
    """Outputs of the discriminator, shared by the terms of its loss."""

    real_logits: Array
    """Logits of the whole batch, over all devices."""
    fake_logits: Array
    real_auxiliary: dict[str, Array]
    """Class logits and features by name, of this device's examples."""


class GenOutputs(NamedTuple):
    """Outputs of both networks, shared by the terms of the generator's loss."""

    fake: Array
    real_logits: Array
    """Logits of the whole batch, over all devices."""
    fake_logits: Array
    real_auxiliary: dict[str, Array]
    """Class logits and features by name, of this device's examples."""
    fake_auxiliary: dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Gan:
    """The networks and hyper-parameters of one train step."""

    config: Config
    """Hyper-parameters, with schedules resolved at this step (`schedules.resolve`)."""
    axis: str | None = None
    """Mapped device axis over which the batch is sharded."""
    microbatch_size: int = 0
    """Examples that a device processes at a time, 0 for all."""

    @functools.cached_property
    def gen(self) -> Generator:
        """The generator, with batch statistics over all devices."""
        return on_axis(self.config.gen, self.axis)

    @functools.cached_property
    def disc(self) -> Discriminator:
        """The discriminator, with batch statistics over all devices."""
        return on_axis(self.config.disc, self.axis)

    @property
    def loss(self) -> adversarial.GanLoss:
        """The adversarial loss."""
        return adversarial.gan_loss(
            self.config.objective.loss, self.config.objective.label_smoothing
        )

    @property
    def penalties(self) -> dict[str, Any]:
        """Weights of the penalties that are on, by name."""
        weights = {
            name: getattr(self.config.objective.penalties, name) for name in penalties.PENALTIES
        }
        return {name: weight for name, weight in weights.items() if not schedules.is_off(weight)}

    @property
    def penalty_every(self) -> int:
        """Discriminator updates between penalties; 1 without any."""
        return self.config.objective.penalty_every if self.penalties else 1

    @property
    def path_length_every(self) -> int:
        """Steps between path length penalties; 1 without them."""
        off = schedules.is_off(self.config.objective.path_length)
        return 1 if off else self.config.objective.path_length_every

    def microbatch(self, n: int) -> int:
        """Examples to process at a time out of n, 0 for all."""
        return self.microbatch_size if self.microbatch_size < n else 0

    def latents(self, latent_keys: Array) -> Array:
        """Latents [n, z_dim], one per key."""
        return keys.latents(latent_keys, self.config.prior.dim, self.config.prior.distribution)

    def generate(self, params: Any, stats: Any, latent_keys: Array, cond: Any) -> tuple[Array, Any]:
        """Fakes G(z, cond) in training mode, float32 [n, ...], and the new statistics."""
        return _apply(self.gen, params, stats, self.latents(latent_keys), cond)[:2]

    def discriminate(
        self, params: Any, stats: Any, x: Array, cond: Any, augmentation: Augmentation
    ) -> tuple[Array, Any, dict[str, Array]]:
        """Logits D(T(x), cond) in training mode, the new statistics, and auxiliary outputs."""
        x = adaptive.augment(
            self.config.augment,
            x,
            augmentation.keys,
            augmentation.p,
            symmetric=self.config.data.symmetric,
        )
        rngs = (augmentation.keys,) if self.disc.needs_rng else ()
        return _apply(self.disc, params, stats, x, cond, *rngs)

    def gather(self, logits: Array) -> Array:
        """Logits of the whole batch: a loss may compare examples on different devices.

        The mean of the devices' gradients is then the gradient of their common loss.
        """
        with jax.named_scope("logits_of_all_devices"):
            return lax.all_gather(logits, self.axis, tiled=True) if self.axis else logits


class Term(NamedTuple):
    """A term of a loss."""

    value: Array
    metrics: Metrics
    weight: Any = None
    """Factor of the value in the loss; None: 1."""


Loss = tuple[Array, tuple[Any, Metrics]]


def disc_loss(params: Any, batch: DiscBatch, *, gan: Gan, stats: Any) -> Loss:
    """Compute the adversarial loss of the discriminator, with its auxiliary terms."""
    real, stats, auxiliary = gan.discriminate(
        params, stats, batch.real, batch.cond, batch.augment_real
    )
    fake, stats, _ = gan.discriminate(params, stats, batch.fake, batch.cond, batch.augment_fake)
    outputs = DiscOutputs(gan.gather(real), gan.gather(fake), auxiliary)
    loss, metrics = _sum_terms(DISC_TERMS, gan, batch, outputs)
    return loss, (stats, metrics)


def disc_penalty(params: Any, batch: DiscBatch, *, gan: Gan, stats: Any) -> Loss:
    """Compute the weighted sum of the gradient penalties, through the augmentation."""

    def critic(x: Array) -> Array:
        return gan.discriminate(params, stats, x, batch.cond, batch.augment_real)[0]

    loss, metrics = jnp.float32(0), {}
    for name, weight in gan.penalties.items():
        metrics[name] = penalties.PENALTIES[name](
            critic, batch.real, batch.fake, batch.penalty_keys, gan.axis, gan.disc.pac_size
        )
        loss += gan.penalty_every * weight * metrics[name]
    return loss, (stats, metrics)


def penalized_disc_loss(params: Any, batch: DiscBatch, *, gan: Gan, stats: Any) -> Loss:
    """Add `disc_penalty` to `disc_loss`."""
    loss, (new_stats, metrics) = disc_loss(params, batch, gan=gan, stats=stats)
    penalty, (_, penalty_metrics) = disc_penalty(params, batch, gan=gan, stats=stats)
    return loss + penalty, (new_stats, metrics | penalty_metrics)


def gen_loss(params: Any, batch: GenBatch, *, gan: Gan, stats: Any, disc: Player) -> Loss:
    """Compute the adversarial loss of the generator, with its auxiliary terms."""
    x, stats = gan.generate(params, stats, batch.latent_keys, batch.cond)
    fake, _, fake_auxiliary = gan.discriminate(
        disc.params, disc.stats, x, batch.cond, batch.augment_fake
    )
    real, _, real_auxiliary = gan.discriminate(
        disc.params, disc.stats, batch.real, batch.cond, batch.augment_real
    )
    outputs = GenOutputs(x, gan.gather(real), gan.gather(fake), real_auxiliary, fake_auxiliary)
    loss, metrics = _sum_terms(GEN_TERMS, gan, batch, outputs)
    return loss, (stats, metrics)


def path_length_penalty(
    params: Any, batch: PathBatch, *, gan: Gan, stats: Any, mean_path: Array
) -> Loss:
    """Compute the weighted path length penalty of the generator, and its new running mean."""
    w_shape = gan.gen.w_shape
    assert w_shape is not None  # validation rejects path_length for others

    def images(added: Array) -> Array:
        variables = {"params": params, **stats, "perturbations": {"w": added}}
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


def disc_adversarial(gan: Gan, batch: DiscBatch, outputs: DiscOutputs) -> Term:  # noqa: ARG001
    """L_D, with the mean logits and the sign that adaptive augmentation follows."""
    loss = gan.loss.disc(outputs.real_logits, outputs.fake_logits)
    metrics = {
        "real_logit": outputs.real_logits.mean(),
        "fake_logit": outputs.fake_logits.mean(),
        "real_sign": jnp.sign(outputs.real_logits).mean(),
        "disc_loss": loss,
    }
    return Term(loss, metrics)


def disc_classification(gan: Gan, batch: DiscBatch, outputs: DiscOutputs) -> Term | None:
    """Cross-entropy of the class head on real examples."""
    if not gan.disc.auxiliary:
        return None
    loss = adversarial.cross_entropy(outputs.real_auxiliary["class_logits"], batch.cond)
    return Term(loss, {"class_loss": loss}, gan.config.objective.auxiliary_disc)


def gen_adversarial(gan: Gan, batch: GenBatch, outputs: GenOutputs) -> Term:  # noqa: ARG001
    """L_G."""
    loss = gan.loss.gen(outputs.real_logits, outputs.fake_logits)
    return Term(loss, {"gen_loss": loss})


def reconstruction(gan: Gan, batch: GenBatch, outputs: GenOutputs) -> Term | None:
    """L1 distance to the real example (1611.07004, eq. 4)."""
    if schedules.is_off(gan.config.objective.reconstruction):
        return None
    loss = jnp.abs(outputs.fake - batch.real).mean()
    return Term(loss, {"l1": loss}, gan.config.objective.reconstruction)


def perceptual(gan: Gan, batch: GenBatch, outputs: GenOutputs) -> Term | None:  # noqa: ARG001
    """L1 distance to the real example in the discriminator's features (1711.11585, eq. 4)."""
    if schedules.is_off(gan.config.objective.perceptual):
        return None
    loss = adversarial.perceptual(outputs.fake_auxiliary, outputs.real_auxiliary)
    return Term(loss, {"perceptual": loss}, gan.config.objective.perceptual)


def gen_classification(gan: Gan, batch: GenBatch, outputs: GenOutputs) -> Term | None:
    """Cross-entropy of the class head on fakes."""
    if not gan.disc.auxiliary:
        return None
    loss = adversarial.cross_entropy(outputs.fake_auxiliary["class_logits"], batch.cond)
    return Term(loss, {"gen_class_loss": loss}, gan.config.objective.auxiliary_gen)


# Added up in this order.
DISC_TERMS = (disc_adversarial, disc_classification)
GEN_TERMS = (gen_adversarial, reconstruction, perceptual, gen_classification)


def _sum_terms(
    functions: Sequence[Callable[..., Term | None]], gan: Gan, batch: Any, outputs: Any
) -> tuple[Array, Metrics]:
    """Add up the weighted terms that the config asks for; the others are None."""
    terms = [term for function in functions if (term := function(gan, batch, outputs))]
    values = [term.value if term.weight is None else term.weight * term.value for term in terms]
    metrics = [term.metrics for term in terms]
    return functools.reduce(operator.add, values), functools.reduce(operator.or_, metrics)


def _apply(
    module: nn.Module, params: Any, stats: Any, *inputs: Any
) -> tuple[Array, Any, dict[str, Array]]:
    """Apply a network in training mode: float32 output, new statistics, auxiliary outputs."""
    outputs, changed = module.apply(
        {"params": params, **stats}, *inputs, train=True, mutable=[*stats, "auxiliary"]
    )
    stats = dict(changed)
    auxiliary = stats.pop("auxiliary", {})
    return outputs.astype(jnp.float32), stats, auxiliary

"""Networks of one train step, and their application in training mode."""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Key, Shaped

from gan_jax.config import Config, schedules
from gan_jax.core import keys
from gan_jax.losses import adversarial, penalties
from gan_jax.networks.interface import Discriminator, Generator
from gan_jax.networks.layers import on_axis
from gan_jax.training.augment import adaptive


class Augmentation(flax.struct.PyTreeNode):
    """Random keys and probability of the augmentation of a batch."""

    keys: Key[Array, " n"]
    """Keys of the transformations, one per example."""
    p: Float[Array, ""] | float
    """Probability of each transformation."""


@dataclasses.dataclass(frozen=True)
class Gan:
    """Networks and hyper-parameters of one train step."""

    config: Config
    """Hyper-parameters, with schedules resolved at this step (`schedules.resolve`)."""
    axis: str | None = None
    """Mapped device axis over which the batch is sharded."""
    microbatch_size: int = 0
    """Examples per device and microbatch; 0 for the whole batch."""

    @functools.cached_property
    def gen(self) -> Generator:
        """Generator, with batch statistics over all devices."""
        return on_axis(self.config.gen, self.axis)

    @functools.cached_property
    def disc(self) -> Discriminator:
        """Discriminator, with batch statistics over all devices."""
        return on_axis(self.config.disc, self.axis)

    @property
    def loss(self) -> adversarial.GanLoss:
        """Adversarial loss of both players."""
        objective = self.config.objective
        return adversarial.gan_loss(objective.loss, objective.label_smoothing)

    @property
    def penalties(self) -> dict[str, Any]:
        """Weights of the enabled penalties, by name."""
        configured = self.config.objective.penalties
        weights = {name: getattr(configured, name) for name in penalties.PENALTIES}
        return {name: weight for name, weight in weights.items() if not schedules.is_off(weight)}

    @property
    def penalty_every(self) -> int:
        """Discriminator updates between penalties; 1 if there are no penalties."""
        return self.config.objective.penalty_every if self.penalties else 1

    @property
    def path_length_every(self) -> int:
        """Steps between path length penalties; 1 if there are none."""
        objective = self.config.objective
        return 1 if schedules.is_off(objective.path_length) else objective.path_length_every

    def microbatch(self, n: int) -> int:
        """Return the number of examples per microbatch, for a batch of n; 0 for all n."""
        return self.microbatch_size if self.microbatch_size < n else 0

    def latents(self, latent_keys: Key[Array, " n"]) -> Shaped[Array, "n dim"]:
        """Sample latents from the prior, one per key."""
        return keys.latents(latent_keys, self.config.prior.dim, self.config.prior.distribution)

    def generate(
        self, params: Any, stats: Any, latent_keys: Key[Array, " n"], cond: Any
    ) -> tuple[Float[Array, "n ..."], Any]:
        """Compute fakes G(z, cond) in training mode.

        Args:
            params: Parameters of the generator.
            stats: Statistics of the generator.
            latent_keys: Keys of the latents z.
            cond: Conditions, leaves [n, ...], or None.

        Returns:
            The fakes, float32, and the new statistics.
        """
        return _apply(self.gen, params, stats, self.latents(latent_keys), cond)[:2]

    def discriminate(
        self,
        params: Any,
        stats: Any,
        x: Float[Array, "n ..."],
        cond: Any,
        augmentation: Augmentation,
    ) -> tuple[Float[Array, "m ..."], Any, dict[str, Array]]:
        """Compute logits D(T(x), cond) in training mode.

        Args:
            params: Parameters of the discriminator.
            stats: Statistics of the discriminator.
            x: Real or fake examples.
            cond: Conditions, leaves [n, ...], or None.
            augmentation: Keys and probability of the augmentation T.

        Returns:
            The logits, float32; the new statistics; and class logits and features by name.
        """
        x = adaptive.augment(
            self.config.augment,
            x,
            augmentation.keys,
            augmentation.p,
            symmetric=self.config.data.symmetric,
        )
        rngs = (augmentation.keys,) if self.disc.needs_rng else ()
        return _apply(self.disc, params, stats, x, cond, *rngs)

    def gather(self, logits: Float[Array, "n ..."]) -> Float[Array, "m ..."]:
        """Gather logits from all devices, for losses that compare examples across the batch.

        The mean of the gradients over the devices is then the gradient of the common loss.
        """
        with jax.named_scope("logits_of_all_devices"):
            return lax.all_gather(logits, self.axis, tiled=True) if self.axis else logits


def _apply(
    module: nn.Module, params: Any, stats: Any, *inputs: Any
) -> tuple[Array, Any, dict[str, Array]]:
    """Apply a network in training mode: float32 output, new statistics, auxiliary outputs."""
    outputs, collections = module.apply(
        {"params": params, **stats}, *inputs, train=True, mutable=[*stats, "auxiliary"]
    )
    stats = dict(collections)
    auxiliary = stats.pop("auxiliary", {})
    return outputs.astype(jnp.float32), stats, auxiliary

"""PacGAN: a discriminator of several examples at once (Lin et al. 2018, 1712.04086).

A pack of examples, all real or all generated, is one input (sec. 3): images are concatenated along
their channels, points along their coordinates. The network is the one for single examples with a
wider first layer. It detects mode collapse: the generated examples of a pack resemble each other.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gan_jax.networks.interface import Discriminator


class PacGAN(Discriminator):
    """Discriminator of packs of `pac_size` consecutive examples, unconditional.

    Examples [n, ..., c] -> logits [n/pac_size]. Raises ValueError for labels, and if `pac_size`
    does not divide n.
    """

    disc: Discriminator
    """Discriminator of packs [n/pac_size, ..., pac_size * c]."""
    pac_size: int = 2
    """Number of examples per pack. Paper: 2 to 4."""

    @property
    def needs_rng(self) -> bool:
        """Return whether `__call__` takes one key per example; a pack uses that of its first."""
        return self.disc.needs_rng

    @nn.compact
    def __call__(
        self,
        x: Float[Array, " n *shape"],
        cond: Array | None = None,
        keys: Key[Array, " n"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, " packs *r"]:
        """Compute the logits of packs."""
        if cond is not None:
            raise ValueError("cond must be None for a packed discriminator, got labels")
        if self.pac_size < 1 or len(x) % self.pac_size:
            raise ValueError(f"pac_size must divide the {len(x)} examples, got {self.pac_size}")
        x = jnp.moveaxis(
            x.reshape(-1, self.pac_size, *x.shape[1:]), 1, -2
        )  # [n/pac_size, ..., pac_size, c]
        x = x.reshape(*x.shape[:-2], -1)
        rngs = () if keys is None else (None, keys[:: self.pac_size])
        return self.disc(x, *rngs, train=train)

"""PacGAN: a discriminator that judges several examples at once (Lin et al. 2018, 1712.04086).

A pack of examples, all real or all generated, is one input (sec. 3): pictures joined along their
channels, points along their coordinates. The network is that of single examples with a wider first
layer. A generator that repeats itself shows it: the examples of a pack resemble each other.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks.interface import Discriminator


class PacGAN(Discriminator):
    """Examples [n, ..., c] -> logits [n/pac_size]: packs of `pac_size` examples that follow one
    another.

    Raises ValueError where `pac_size` does not divide n, and for labels: it is unconditional.
    """

    disc: Discriminator
    """Of a pack [..., pac_size * c]."""
    pac_size: int = 2
    """Examples in a pack. Paper: 2 to 4."""

    @property
    def needs_rng(self) -> bool:
        """Whether it takes one key per example in training; a pack uses that of its first."""
        return self.disc.needs_rng

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        cond: jax.Array | None = None,
        keys: jax.Array | None = None,
        *,
        train: bool,
    ) -> jax.Array:
        if cond is not None:
            raise ValueError("a packed discriminator is unconditional, and is given labels")
        if self.pac_size < 1 or len(x) % self.pac_size:
            raise ValueError(
                f"pac_size is {self.pac_size}: it must divide the {len(x)} examples at hand"
            )
        x = jnp.moveaxis(
            x.reshape(-1, self.pac_size, *x.shape[1:]), 1, -2
        )  # [n/pac_size, ..., pac_size, c]
        x = x.reshape(*x.shape[:-2], -1)
        drawn = () if keys is None else (None, keys[:: self.pac_size])
        return self.disc(x, *drawn, train=train)

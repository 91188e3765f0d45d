"""A plain LSTM as the cell of a generator of sequences (Hochreiter & Schmidhuber 1997).

`Cell(32)` with embeddings of 32 is the generator of SeqGAN (Yu et al. 2017, 1609.05473), and with
all parameters drawn from N(0, 1) the oracle of its synthetic data (sec. 4.1).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import sequence


class Cell(nn.Module):
    """x [n, e] -> [n, width]. The gates' four kernels of the state start orthogonal."""

    width: int = 32
    """Of the state."""
    deviation: float | None = None
    """Standard deviation of all parameters; None: Flax's initial ones."""

    def setup(self):
        """Makes the gates."""
        laws: dict[str, Any] = {}
        if self.deviation is not None:
            names = ("kernel_init", "recurrent_kernel_init", "bias_init")
            laws = dict.fromkeys(names, nn.initializers.normal(self.deviation))
        self.gates = nn.OptimizedLSTMCell(self.width, **laws)

    def __call__(self, carry: tuple[jax.Array, jax.Array], x: jax.Array):
        """(c, h) and the input -> the next (c, h), and h."""
        return self.gates(carry, x)

    def carry(self, n: int) -> tuple[jax.Array, jax.Array]:
        """Zeros."""
        return jnp.zeros((n, self.width)), jnp.zeros((n, self.width))


def oracle_generator(length: int, vocabulary: int) -> sequence.Generator:
    """The law of SeqGAN's synthetic data: all its parameters start as N(0, 1)."""
    return sequence.Generator(
        Cell(32, deviation=1.0), length, vocabulary, embedding=32, deviation=1.0
    )

"""LSTM cell of a sequence generator (Hochreiter & Schmidhuber 1997).

`Cell(32)` with embeddings of 32 is the generator of SeqGAN (Yu et al. 2017, 1609.05473). With all
parameters sampled from N(0, 1) it is the oracle of SeqGAN's synthetic data (sec. 4.1).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.networks import sequence

State = tuple[Float[Array, "n width"], Float[Array, "n width"]]


class Cell(nn.Module):
    """LSTM cell, x [n, e] -> [n, width].

    The four recurrent kernels of the gates are initialized to orthogonal matrices.
    """

    width: int = 32
    """Width of the state."""
    deviation: float | None = None
    """Standard deviation of all initial parameters; None: Flax's initializers."""

    def setup(self):
        """Create the gates."""
        initializers: dict[str, Any] = {}
        if self.deviation is not None:
            names = ("kernel_init", "recurrent_kernel_init", "bias_init")
            initializers = dict.fromkeys(names, nn.initializers.normal(self.deviation))
        self.gates = nn.OptimizedLSTMCell(self.width, **initializers)

    def __call__(
        self, carry: State, x: Float[Array, "n e"]
    ) -> tuple[State, Float[Array, "n width"]]:
        """Return the next state (c, h), and h."""
        return self.gates(carry, x)

    def carry(self, n: int) -> State:
        """Return the initial state of n sequences, zeros."""
        return jnp.zeros((n, self.width)), jnp.zeros((n, self.width))


def oracle_generator(length: int, vocabulary: int) -> sequence.Generator:
    """Create the generator of SeqGAN's synthetic data, with parameters from N(0, 1)."""
    return sequence.Generator(
        Cell(32, deviation=1.0), length, vocabulary, embedding=32, deviation=1.0
    )

"""RelGAN: a relational memory cell, and a discriminator with several representations.

Nie et al. 2019, "RelGAN: Relational generative adversarial networks for text generation" (ICLR).
The cell is used in gan_jax/networks/sequence.py. Details that the paper does not state follow the
authors' code. Deviations: there is no dropout before the last layers of the discriminator;
attention is scaled by the width of a key, as in the formula (their code: the width of key, query
and value together); truncated normal initializers have the requested standard deviation, not 0.88
of it.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.networks import interface, layers


class RelationalMemory(nn.Module):
    """Gated memory of slots that attend to each other and to the input.

    x [n, e] -> [n, slots * heads * head_size]. Santoro et al. 2018 (1806.01822), sec. 3 and
    appendix.
    """

    slots: int = 1
    """Number of rows of the memory."""
    heads: int = 2
    """Number of attention heads."""
    head_size: int = 256
    """Width of a head's queries, keys and values; a slot has width heads * head_size."""
    forget_bias: float = 1.0
    """Bias of the logit of the forget gate."""

    def setup(self):
        """Create the layers."""
        width = self.heads * self.head_size
        self.project = nn.Dense(width)
        self.qkv = nn.Dense(3 * width, use_bias=False)
        # Over slots and features together, as in the authors' code.
        norm = {"reduction_axes": (-2, -1), "feature_axes": -1}
        self.norm_qkv, self.norm_attended, self.norm_mapped = (nn.LayerNorm(**norm) for _ in "123")
        self.hidden, self.mapped = nn.Dense(width), nn.Dense(width)
        self.gate_input = nn.Dense(2 * width, use_bias=False)
        self.gate_memory = nn.Dense(2 * width, use_bias=False)

    def carry(self, n: int) -> Float[Array, "n slots width"]:
        """Return the initial memory; slot i is the i-th unit vector."""
        eye = jnp.eye(self.slots, self.heads * self.head_size)
        return jnp.broadcast_to(eye, (n, *eye.shape))

    def __call__(
        self, memory: Float[Array, "n slots width"], x: Float[Array, "n e"]
    ) -> tuple[Float[Array, "n slots width"], Float[Array, "n features"]]:
        """Return the next memory, and its flattened rows."""
        x = self.project(x)[:, None]
        rows = jnp.concatenate([memory, x], 1)
        rows = self.norm_attended(rows + self._attend(rows))
        rows = self.norm_mapped(rows + self.mapped(nn.relu(self.hidden(rows))))
        gates = self.gate_memory(jnp.tanh(memory)) + self.gate_input(x)
        write, keep = jnp.split(gates, 2, -1)
        new = nn.sigmoid(write) * jnp.tanh(rows[:, :-1])
        new += nn.sigmoid(keep + self.forget_bias) * memory
        return new, new.reshape(new.shape[0], -1)

    def _attend(self, rows: Array) -> Array:
        """Compute softmax(Q K^T / sqrt(d)) V of each head, over rows [n, m, width]."""
        qkv = self.norm_qkv(self.qkv(rows)).reshape(*rows.shape[:2], self.heads, -1)
        q, k, v = jnp.split(qkv, 3, -1)
        weights = jax.nn.softmax(jnp.einsum("nihd,njhd->nhij", q, k) / self.head_size**0.5)
        return jnp.einsum("nhij,njhd->nihd", weights, v).reshape(rows.shape)


class Discriminator(interface.Discriminator):
    """Discriminator, rows [n, t, vocabulary] -> logits [n, representations].

    The embedding is split into representations. The same convolutions over time, max pooling,
    highway (Srivastava et al. 2015, 1505.00387) and two linear layers are applied to each of them.
    """

    embedding: int = 64
    """Width of a token's embedding, over all representations."""
    representations: int = 64
    """Number of representations."""
    filters: int = 300
    """Number of filters of each size."""
    sizes: tuple[int, ...] = (2, 3, 4, 5)
    """Filter sizes in tokens."""
    hidden: int = 100
    """Width of the last layer but one."""
    last_bias: bool = True
    """Bias of the logits. Relativistic losses do not depend on it (gan_jax/networks/mlp.py)."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n t vocabulary"], cond: Any = None, *, train: bool
    ) -> Float[Array, "n representations"]:
        """Compute the logits of examples."""
        layers.one_hot(cond, 0, len(x))  # raises for labels
        n, t, _ = x.shape
        if self.embedding % self.representations:
            allowed = f"a divisor of embedding, {self.embedding}"
            raise ValueError(f"representations must be {allowed}, got {self.representations}")
        if t < max(self.sizes):
            raise ValueError(f"sizes must be at most {t} tokens, got {max(self.sizes)}")
        y = nn.Dense(self.embedding, use_bias=False, name="embed")(x)
        y = y.reshape(n, t, self.representations, -1)
        pooled = []
        for size in self.sizes:
            # For the few features of a representation, im2col and a product are faster than a
            # convolution.
            windows = jnp.stack([y[:, i : t - size + 1 + i] for i in range(size)], -1)
            windows = windows.reshape(*windows.shape[:3], -1)
            features = nn.Dense(self.filters, kernel_init=nn.initializers.he_normal())(windows)
            pooled.append(nn.relu(features.max(1)))
        y = jnp.concatenate(pooled, -1)  # [n, representations, filters of all sizes]
        width = y.shape[-1]
        lin, gate = (nn.Dense(width, use_bias=False, name=name)(y) for name in ("highway", "gate"))
        y = nn.sigmoid(gate) * nn.relu(lin) + (1 - nn.sigmoid(gate)) * y
        y = nn.Dense(self.hidden)(y)
        return nn.Dense(1, use_bias=self.last_bias)(y)[..., 0]

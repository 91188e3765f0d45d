"""RelGAN: a relational memory that writes, a critic that looks at many embeddings of what it wrote.

Nie et al. 2019, "RelGAN: Relational generative adversarial networks for text generation" (ICLR).
The cell is for gan_jax/networks/sequence.py. Where the paper leaves something open, the authors'
code decides. Deviations: no dropout before the critic's last layers; attention is scaled by the
width of a key, as the formula has it (their code: of key, query and value together); truncated
normal laws of initial kernels have the standard deviation that is asked for, not 0.88 of it.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import interface, layers


class RelationalMemory(nn.Module):
    """x [n, e] -> [n, slots * heads * head_size]: a memory of slots which attend to each other and
    to the input, behind gates. Santoro et al. 2018 (1806.01822), sec. 3 and appendix."""

    slots: int = 1
    """Rows of the memory."""
    heads: int = 2
    """Heads of the attention."""
    head_size: int = 256
    """Width of a head's queries, keys and values; heads * head_size is that of a slot."""
    forget_bias: float = 1.0
    """Added to the logit of the gate that keeps the memory."""

    def setup(self):
        """Makes the layers."""
        width = self.heads * self.head_size
        self.project = nn.Dense(width)
        self.qkv = nn.Dense(3 * width, use_bias=False)
        # Over slots and features together, as the authors' code has it.
        norm = {"reduction_axes": (-2, -1), "feature_axes": -1}
        self.norm_qkv, self.norm_attended, self.norm_mapped = (nn.LayerNorm(**norm) for _ in "123")
        self.hidden, self.mapped = nn.Dense(width), nn.Dense(width)
        self.gate_input = nn.Dense(2 * width, use_bias=False)
        self.gate_memory = nn.Dense(2 * width, use_bias=False)

    def carry(self, n: int) -> jax.Array:
        """The memory at first [n, slots, width]: slot i is the i-th unit vector."""
        eye = jnp.eye(self.slots, self.heads * self.head_size)
        return jnp.broadcast_to(eye, (n, *eye.shape))

    def __call__(self, memory: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The next memory [n, slots, width], and all of it in one row."""
        x = self.project(x)[:, None]
        rows = jnp.concatenate([memory, x], 1)
        rows = self.norm_attended(rows + self._attend(rows))
        rows = self.norm_mapped(rows + self.mapped(nn.relu(self.hidden(rows))))
        gates = self.gate_memory(jnp.tanh(memory)) + self.gate_input(x)
        write, keep = jnp.split(gates, 2, -1)
        new = nn.sigmoid(write) * jnp.tanh(rows[:, :-1])
        new += nn.sigmoid(keep + self.forget_bias) * memory
        return new, new.reshape(new.shape[0], -1)

    def _attend(self, rows: jax.Array) -> jax.Array:
        """softmax(Q K^T / sqrt(d)) V of each head, over rows [n, m, width]."""
        qkv = self.norm_qkv(self.qkv(rows)).reshape(*rows.shape[:2], self.heads, -1)
        q, k, v = jnp.split(qkv, 3, -1)
        weights = jax.nn.softmax(jnp.einsum("nihd,njhd->nhij", q, k) / self.head_size**0.5)
        return jnp.einsum("nhij,njhd->nihd", weights, v).reshape(rows.shape)


class Discriminator(interface.Discriminator):
    """Rows [n, t, vocabulary] -> logits [n, representations].

    The embedding is cut into representations, each of which the same convolutions over time, their
    largest values, a highway (Srivastava et al. 2015, 1505.00387) and two linear layers judge.
    """

    embedding: int = 64
    """Width of a token's embedding, over all representations."""
    representations: int = 64
    """How many it is cut into."""
    filters: int = 300
    """Of each size."""
    sizes: tuple[int, ...] = (2, 3, 4, 5)
    """Tokens that a filter sees."""
    hidden: int = 100
    """Width of the last layer but one."""
    last_bias: bool = True
    """A bias of the logits, which relativistic losses do not see (gan_jax/networks/mlp.py)."""

    @nn.compact
    def __call__(self, x: jax.Array, cond: Any = None, *, train: bool) -> jax.Array:
        layers.one_hot(cond, 0, len(x))  # refuses labels
        n, t, _ = x.shape
        if self.embedding % self.representations:
            raise ValueError(
                f"{self.representations} representations do not divide embeddings of "
                f"{self.embedding}"
            )
        if t < max(self.sizes):
            raise ValueError(f"filters of {max(self.sizes)} tokens do not fit sequences of {t}")
        y = nn.Dense(self.embedding, use_bias=False, name="embed")(x)
        y = y.reshape(n, t, self.representations, -1)
        pooled = []
        for size in self.sizes:
            # Side by side what a filter sees: for the few features of one representation a product
            # is quicker than a convolution.
            views = jnp.stack([y[:, i : t - size + 1 + i] for i in range(size)], -1)
            views = views.reshape(*views.shape[:3], -1)
            seen = nn.Dense(self.filters, kernel_init=nn.initializers.he_normal())(views)
            pooled.append(nn.relu(seen.max(1)))
        y = jnp.concatenate(pooled, -1)  # [n, representations, filters in all]
        width = y.shape[-1]
        lin, gate = (nn.Dense(width, use_bias=False, name=name)(y) for name in ("highway", "gate"))
        y = nn.sigmoid(gate) * nn.relu(lin) + (1 - nn.sigmoid(gate)) * y
        y = nn.Dense(self.hidden)(y)
        return nn.Dense(1, use_bias=self.last_bias)(y)[..., 0]

"""Autoregressive generator of sequences: a recurrent cell with Gumbel noise.

In training the output is a softmax of logits plus Gumbel noise, which is differentiable (Jang et
al. 2017, 1611.01144; Maddison et al. 2017, 1611.00712). The inverse temperature rises as in RelGAN
(gan_jax/networks/relgan.py).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from gan_jax.core import keys
from gan_jax.networks import interface, layers


def gumbel_softmax(
    perturbed: Float[Array, "*shape v"], beta: Float[Array, ""] | float
) -> Float[Array, "*shape v"]:
    """Compute softmax(beta x) of logits plus Gumbel noise x (1611.01144, eq. 2).

    A large inverse temperature beta results in nearly one-hot rows.
    """
    return jax.nn.softmax(beta * perturbed)


def straight_through(soft: Float[Array, "*shape v"]) -> Float[Array, "*shape v"]:
    """Return one-hot rows of the maxima, with the gradient of `soft`. 1611.01144, sec. 2.2."""
    hard = jax.nn.one_hot(soft.argmax(-1), soft.shape[-1])
    return soft + jax.lax.stop_gradient(hard - soft)


class Generator(interface.Generator):
    """Generator, z [n, 2] uint32 (prior `key`) -> rows [n, length, vocabulary] that sum to 1.

    Rows are one-hot if `train` is false. The token that a step passes to the next one is the most
    likely after noise, without gradient through the choice, as in the authors' code. The noise of a
    step is sampled from the example's key and the number of the step.
    """

    cell: nn.Module
    """Recurrent cell (carry, x [n, e]) -> (carry, y [n, d]), with initial state cell.carry(n)."""
    length: int = 32
    """Number of tokens of a sequence."""
    vocabulary: int = 128
    """Number of distinct tokens. Token 0 is the input of the first step."""
    embedding: int = 32
    """Width of the embedding of a token, the input of the cell."""
    beta_end: float = 100.0
    """Final inverse temperature in training; it rises exponentially from 1."""
    beta_steps: int = 2000
    """Number of adversarial updates of the generator until `beta_end` is reached."""
    straight_through: bool = False
    """One-hot rows in training too, with the gradient of the soft rows."""
    deviation: float | None = None
    """Standard deviation of all initial parameters except the cell's; None: LeCun kernels and zero
    biases."""

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of an example."""
        return self.length, self.vocabulary

    @property
    def has_likelihood(self) -> bool:
        """Return whether `log_likelihood` is defined."""
        return True

    def setup(self):
        """Create the layers."""
        kernel = bias = None if self.deviation is None else nn.initializers.normal(self.deviation)
        kernel, bias = kernel or nn.initializers.lecun_normal(), bias or nn.initializers.zeros
        shape = (self.vocabulary, self.embedding)
        self.embed = self.param("embedding", kernel, shape)
        self.readout = nn.Dense(self.vocabulary, kernel_init=kernel, bias_init=bias)
        # Number of training calls in updates of the generator. Float for its moving average, exact
        # to 2^24.
        self.calls = self.variable("schedule", "calls", lambda: jnp.zeros(()))

    def _beta(self, *, train: bool) -> jax.Array:
        progress = jnp.minimum(self.calls.value / self.beta_steps, 1.0)
        if train and not self.is_initializing():
            self.calls.value += 1
        return self.beta_end**progress

    def __call__(
        self,
        z: UInt32[Array, "n 2"],
        cond: Any = None,
        *,
        train: bool,
        temperature: Float[Array, ""] | float = 1.0,
    ) -> Float[Array, "n length vocabulary"]:
        """Sample sequences from softmax(logits / temperature)."""
        layers.one_hot(cond, 0, z.shape[0])  # raises for labels
        example_keys, beta = keys.keys_from_latents(z), self._beta(train=train)

        def step(self: Any, carry: Any, t: Array) -> tuple[Any, Array]:
            state, x = carry
            state, y = self.cell(state, x @ self.embed)
            step_keys = jax.vmap(jax.random.fold_in, (0, None))(example_keys, t)
            noise = jax.vmap(lambda key: jax.random.gumbel(key, (self.vocabulary,)))(step_keys)
            perturbed = self.readout(y) / temperature + noise
            token = jax.nn.one_hot(perturbed.argmax(-1), self.vocabulary)
            if not train:
                return (state, token), token
            soft = gumbel_softmax(perturbed, beta)
            return (state, token), straight_through(soft) if self.straight_through else soft

        start = (self.cell.carry(z.shape[0]), self._first(z.shape[0]))
        return self._unroll(step, start, jnp.arange(self.length), 0)

    def log_likelihood(
        self,
        real: Float[Array, "n length vocabulary"],
        cond: Any = None,
        *,
        train: bool,
        temperature: Float[Array, ""] | float = 1.0,
    ) -> Float[Array, " n"]:
        """Compute log p(sequence) under the distribution that `__call__` samples, in nats.

        Args:
            real: One-hot rows.
            cond: None; the generator is unconditional.
            train: Unused.
            temperature: Divisor of the logits.

        Returns:
            Log-likelihoods, summed over all steps, also those after the end of a sentence.
        """
        layers.one_hot(cond, 0, len(real))  # raises for labels
        previous = jnp.concatenate([self._first(len(real))[:, None], real[:, :-1]], 1) @ self.embed

        def step(self: Any, carry: Any, x: Array) -> tuple[Any, Array]:
            return self.cell(carry, x)

        hidden = self._unroll(step, self.cell.carry(len(real)), previous, 1)
        logp = jax.nn.log_softmax(self.readout(hidden) / temperature)
        return (real * logp).sum((1, 2))

    def _first(self, n: int) -> Array:
        return jnp.zeros((n, self.vocabulary)).at[:, 0].set(1)

    def _unroll(self, step: Any, carry: Any, inputs: Array, axis: int) -> Array:
        shared = {"variable_broadcast": ["params", "schedule"], "split_rngs": {"params": False}}
        scan = nn.scan(step, in_axes=axis, out_axes=1, **shared)
        return scan(self, carry, inputs)[1]

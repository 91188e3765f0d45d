"""A generator of sequences: a recurrent cell that is fed what it has said, and Gumbel noise.

While it trains it gives a softmax of logits and Gumbel noise, which has a gradient (Jang et al.
2017, 1611.01144; Maddison et al. 2017, 1611.00712), at an inverse temperature that rises as that of
RelGAN (gan_jax/networks/relgan.py).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.core import keys
from gan_jax.networks import interface, layers


def gumbel_softmax(perturbed: jax.Array, beta: jax.Array | float) -> jax.Array:
    """softmax(beta x) of logits with Gumbel noise x [..., v]: near a one-hot row for a large
    inverse temperature beta. 1611.01144, eq. 2."""
    return jax.nn.softmax(beta * perturbed)


def straight_through(soft: jax.Array) -> jax.Array:
    """The one-hot row of the largest of [..., v], with the gradient of `soft`. 1611.01144, 2.2."""
    hard = jax.nn.one_hot(soft.argmax(-1), soft.shape[-1])
    return soft + jax.lax.stop_gradient(hard - soft)


class Generator(interface.Generator):
    """Keys z [n, 2] uint32 (latent law `key`) -> rows [n, length, vocabulary] of sum 1, one-hot
    where `train` is false.

    The token of a step, on which the next one depends, is the most likely one after noise, with no
    gradient through the choice, as in the authors' code. The noise of a step is drawn from the
    example's key and the step's number.
    """

    cell: nn.Module
    """cell(carry, x [n, e]) -> (carry, y [n, d]), and cell.carry(n), with which it starts."""
    length: int = 32
    """Steps: tokens of a sequence."""
    vocabulary: int = 128
    """Tokens that there are. Number 0 is fed to the first step."""
    embedding: int = 32
    """Width of a token's embedding, that the cell is given."""
    beta_end: float = 100.0
    """The inverse temperature of training rises from 1 to this one, exponentially ..."""
    beta_steps: int = 2000
    """... within so many updates of the generator by the critic."""
    straight_through: bool = False
    """Give one-hot rows in training too, with the gradient of the soft ones."""
    deviation: float | None = None
    """Standard deviation of all of its own parameters but the cell's; None: kernels LeCun's, biases
    zero."""

    @property
    def shape(self) -> tuple[int, int]:
        """Of an example."""
        return self.length, self.vocabulary

    @property
    def has_likelihood(self) -> bool:
        """Whether `log_likelihood` is defined: it is."""
        return True

    def setup(self):
        """Makes the layers."""
        kernel = bias = None if self.deviation is None else nn.initializers.normal(self.deviation)
        kernel, bias = kernel or nn.initializers.lecun_normal(), bias or nn.initializers.zeros
        shape = (self.vocabulary, self.embedding)
        self.embed = self.param("embedding", kernel, shape)
        self.readout = nn.Dense(self.vocabulary, kernel_init=kernel, bias_init=bias)
        # Training calls of the generator's updates. A float, for its moving average; exact to 2^24.
        self.calls = self.variable("schedule", "calls", lambda: jnp.zeros(()))

    def _beta(self, *, train: bool) -> jax.Array:
        done = jnp.minimum(self.calls.value / self.beta_steps, 1.0)
        if train and not self.is_initializing():
            self.calls.value += 1
        return self.beta_end**done

    def __call__(
        self,
        z: jax.Array,
        cond: Any = None,
        *,
        train: bool,
        temperature: jax.Array | float = 1.0,
    ) -> jax.Array:
        """Samples of the law softmax(logits / temperature)."""
        layers.one_hot(cond, 0, z.shape[0])  # refuses labels
        own, beta = keys.keys_from_latents(z), self._beta(train=train)

        def step(self: Any, carry: Any, t: jax.Array) -> tuple[Any, jax.Array]:
            inner, x = carry
            inner, y = self.cell(inner, x @ self.embed)
            steps = jax.vmap(jax.random.fold_in, (0, None))(own, t)
            noise = jax.vmap(lambda key: jax.random.gumbel(key, (self.vocabulary,)))(steps)
            perturbed = self.readout(y) / temperature + noise
            token = jax.nn.one_hot(perturbed.argmax(-1), self.vocabulary)
            if not train:
                return (inner, token), token
            soft = gumbel_softmax(perturbed, beta)
            return (inner, token), straight_through(soft) if self.straight_through else soft

        start = (self.cell.carry(z.shape[0]), self._first(z.shape[0]))
        return self._unroll(step, start, jnp.arange(self.length), 0)

    def log_likelihood(
        self,
        real: jax.Array,
        cond: Any = None,
        *,
        train: bool,
        temperature: jax.Array | float = 1.0,
    ) -> jax.Array:
        """log p(sequence) [n], nats, of one-hot rows [n, length, vocabulary], of the law that
        `__call__` samples: the sum over all steps, those after the end of a sentence too."""
        layers.one_hot(cond, 0, len(real))
        before = jnp.concatenate([self._first(len(real))[:, None], real[:, :-1]], 1) @ self.embed

        def step(self: Any, carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
            return self.cell(carry, x)

        hidden = self._unroll(step, self.cell.carry(len(real)), before, 1)
        logp = jax.nn.log_softmax(self.readout(hidden) / temperature)
        return (real * logp).sum((1, 2))

    def _first(self, n: int) -> jax.Array:
        return jnp.zeros((n, self.vocabulary)).at[:, 0].set(1)

    def _unroll(self, step: Any, carry: Any, inputs: jax.Array, axis: int) -> jax.Array:
        shared = {"variable_broadcast": ["params", "schedule"], "split_rngs": {"params": False}}
        scan = nn.scan(step, in_axes=axis, out_axes=1, **shared)
        return scan(self, carry, inputs)[1]

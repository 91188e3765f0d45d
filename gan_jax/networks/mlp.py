"""Multilayer perceptrons: the article's pair, for pictures and for points.

Goodfellow et al. 2014 (1406.2661); with classes, their one-hot vector joins the input of both, as
in Mirza & Osindero 2014 (1411.1784). The defaults are the article's widths.
"""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import interface, layers
from gan_jax.networks.layers import Activation, Axis, Dtype, Output


class Generator(interface.Generator):
    """z [n, z_dim] (and labels [n]) -> examples [n, *shape]."""

    shape: tuple[int, ...] = (28, 28, 1)
    """Of an example."""
    widths: tuple[int, ...] = (128, 256, 512)
    """Hidden widths."""
    classes: int = 0
    """Class labels, 0 for none."""
    activation: Activation = "relu"
    """After the hidden layers."""
    out: Output = "sigmoid"
    """After the last one: sigmoid for pixels in [0, 1], tanh for [-1, 1], linear for points."""
    norm: Literal["none", "batch"] = "none"
    """Before the nonlinearities."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and output are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(self, z: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        y = jnp.concatenate([z, layers.one_hot(cond, self.classes, z.shape[0])], -1)
        for width in self.widths:
            y = nn.Dense(width, use_bias=self.norm == "none", dtype=self.dtype)(y)
            if self.norm == "batch":
                y = layers.batch_norm(y, train=train, axis=self.axis, dtype=self.dtype)
            y = layers.activate(y, self.activation)
        y = nn.Dense(math.prod(self.shape), dtype=self.dtype)(y).astype(jnp.float32)
        return layers.activate(y, self.out).reshape(z.shape[0], *self.shape)


class Discriminator(interface.Discriminator):
    """Examples [n, ...] (and labels [n]) -> logits [n]."""

    widths: tuple[int, ...] = (512, 256)
    """Hidden widths."""
    classes: int = 0
    """Class labels, 0 for none."""
    activation: Activation = "leaky_relu"
    """After the hidden layers."""
    norm: Literal["none", "batch", "spectral"] = "none"
    """Of the hidden layers; spectral: of the last one too."""
    minibatch_std: int = 0
    """Group size of a minibatch standard deviation before the last layer, 0 for none."""
    last_bias: bool = True
    """A bias of the logit. Relativistic losses do not see it: its gradient is rounding noise, which
    Adam turns into steps, so leave it out where runs on other device counts are to agree."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and logits are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(self, x: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        def dense(y: jax.Array, width: int, *, bias: bool = True) -> jax.Array:
            layer = nn.Dense(width, use_bias=bias, dtype=self.dtype)
            if self.norm == "spectral":
                return layers.SpectralNorm(layer)(y, train=train)
            return layer(y)

        y = x.reshape(len(x), -1)
        y = jnp.concatenate([y, layers.one_hot(cond, self.classes, len(x))], -1)
        for width in self.widths:
            y = dense(y, width, bias=self.norm != "batch")
            if self.norm == "batch":
                y = layers.batch_norm(y, train=train, axis=self.axis, dtype=self.dtype)
            y = layers.activate(y, self.activation)
        if self.minibatch_std:
            y = layers.MinibatchStd(self.minibatch_std, self.axis)(y)
        return dense(y, 1, bias=self.last_bias)[:, 0].astype(jnp.float32)

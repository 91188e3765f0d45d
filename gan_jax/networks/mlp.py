"""Multilayer perceptrons for images and points (Goodfellow et al. 2014, 1406.2661).

With classes, the one-hot label is concatenated to the input of both networks, as in Mirza &
Osindero 2014 (1411.1784). The default widths are the paper's.
"""

import math
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.networks import interface, layers
from gan_jax.networks.layers import Activation, Axis, Dtype, Output


class Generator(interface.Generator):
    """Generator, z [n, z_dim] and optional labels [n] -> examples [n, *shape]."""

    shape: tuple[int, ...] = (28, 28, 1)
    """Shape of an example."""
    widths: tuple[int, ...] = (128, 256, 512)
    """Hidden widths."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    activation: Activation = "relu"
    """Activation of the hidden layers."""
    out: Output = "sigmoid"
    """Output activation: sigmoid for pixels in [0, 1], tanh for [-1, 1], linear for points."""
    norm: Literal["none", "batch"] = "none"
    """Normalization before the hidden activations."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and output are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(
        self, z: Float[Array, "n z_dim"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, " n *shape"]:
        """Generate examples from latents."""
        y = jnp.concatenate([z, layers.one_hot(cond, self.classes, z.shape[0])], -1)
        for width in self.widths:
            y = nn.Dense(width, use_bias=self.norm == "none", dtype=self.dtype)(y)
            if self.norm == "batch":
                y = layers.batch_norm(y, train=train, axis=self.axis, dtype=self.dtype)
            y = layers.activate(y, self.activation)
        y = nn.Dense(math.prod(self.shape), dtype=self.dtype)(y).astype(jnp.float32)
        return layers.activate(y, self.out).reshape(z.shape[0], *self.shape)


class Discriminator(interface.Discriminator):
    """Discriminator, examples [n, ...] and optional labels [n] -> logits [n]."""

    widths: tuple[int, ...] = (512, 256)
    """Hidden widths."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    activation: Activation = "leaky_relu"
    """Activation of the hidden layers."""
    norm: Literal["none", "batch", "spectral"] = "none"
    """Normalization of the hidden layers; spectral: of the last layer too."""
    minibatch_std: int = 0
    """Group size of the minibatch standard deviation before the last layer; 0: none."""
    last_bias: bool = True
    """Bias of the logit. Relativistic losses do not depend on it: its gradient is rounding noise,
    which Adam turns into steps. Turn it off if runs on different device counts must agree."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and logits are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(
        self, x: Float[Array, " n *shape"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, " n"]:
        """Compute the logits of examples."""

        def dense(y: Array, width: int, *, bias: bool = True) -> Array:
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

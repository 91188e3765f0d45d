"""Residual networks of WGAN-GP for CIFAR-10 (Gulrajani et al. 2017, 1704.00028, appendix).

The generator has batch norm. The critic has none, because its penalty is on the gradients of single
examples; its last layer takes the mean over pixels. The blocks are in gan_jax/networks/resnet.py.
Intended for the loss `wasserstein` with `gradient_penalty`.

Classes: the generator's conditional batch norm is the paper's. With `auxiliary`, so is the critic's
auxiliary classifier, whose cross-entropy has weight 1 for the critic and 0.1 for the generator.
Without, the critic has the projection of Miyato & Koyama 2018 (1802.05637).

Deviations. The generator's blocks have no biases, which would have no effect (resnet.py). The
critic's logit has none unless `last_bias`: the Wasserstein loss does not depend on it. The paper's
images have 32 pixels. For 28 or 64 the generator has one block less or more (28: from 7x7), and the
critic downsamples to at most 8x8.
"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Axis, Dtype, Output
from gan_jax.networks.resnet import DownBlock, UpBlock, glorot

Size = Literal[28, 32, 64]
UP = {28: 2, 32: 3, 64: 4}  # blocks of the generator, which upsample
DOWN = {28: 2, 32: 2, 64: 3}  # blocks of the critic that downsample; two more do not


class Generator(interface.Generator):
    """Generator, z [n, z_dim] and optional labels [n] -> images [n, size, size, channels].

    The paper's z_dim is 128.
    """

    size: Size = 32
    """Side of an image in pixels."""
    channels: int = 3
    """Number of color channels: 1 for gray, 3 for RGB."""
    width: int = 128
    """Number of channels of every block."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    out: Output = "tanh"
    """Output activation: tanh for pixels in [-1, 1], sigmoid for [0, 1]."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and output are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(
        self, z: Float[Array, "n z_dim"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, "n h w c"]:
        """Generate examples from latents."""
        blocks = _num_blocks(UP, self.size)
        side = self.size >> blocks
        labels = layers.one_hot(cond, self.classes, z.shape[0])
        y = nn.Dense(side * side * self.width, dtype=self.dtype, kernel_init=glorot)(z)
        y = y.reshape(z.shape[0], side, side, self.width)
        for _ in range(blocks):
            y = UpBlock(self.width, self.axis, self.dtype)(y, labels, train=train)
        # The last batch norm is unconditional, as in the authors' code.
        y = nn.relu(layers.batch_norm(y, train=train, axis=self.axis, dtype=self.dtype))
        y = Conv(self.channels, dtype=self.dtype, kernel_init=glorot)(y)
        return layers.activate(y.astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Critic, images [n, size, size, c] and optional labels [n] -> logits [n]."""

    size: Size = 32
    """Side of an image in pixels."""
    width: int = 128
    """Number of channels of every block."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    auxiliary: bool = False
    """Auxiliary classifier (Odena et al. 2017, 1610.09585) instead of the projection: see
    `layers.sow_class_logits`."""
    last_bias: bool = False
    """Bias of the logit. Wasserstein and relativistic losses do not depend on it."""
    dtype: Dtype = "float32"
    """Dtype of the blocks; the mean over pixels and all later layers are float32."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, " n"]:
        """Compute the logits of examples."""
        down = _num_blocks(DOWN, self.size)
        layers.check_side("wgan_gp", self.size, x)
        if self.auxiliary and not self.classes:
            raise ValueError("wgan_gp: classes must be positive for an auxiliary classifier, got 0")
        labels = layers.one_hot(cond, self.classes, len(x))
        y = x
        for i in range(down + 2):
            block = DownBlock(self.width, i < down, i == 0, spectral=False, dtype=self.dtype)
            y = block(y, train=train)
        y = nn.relu(y).astype(jnp.float32).mean((1, 2))
        logits = nn.Dense(1, self.last_bias, kernel_init=glorot)(y)[:, 0]
        if self.auxiliary:
            classify = nn.Dense(self.classes, kernel_init=glorot, name="classify")
            layers.sow_class_logits(self, classify(y))
        elif self.classes:
            logits += layers.projection(labels, y, glorot)
        return logits


def _num_blocks(blocks: dict[int, int], size: int) -> int:
    if size not in blocks:
        raise ValueError(f"wgan_gp: size must be one of {[*blocks]}, got {size}")
    return blocks[size]

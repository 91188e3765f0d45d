"""WGAN-GP's residual networks for CIFAR-10 (Gulrajani et al. 2017, 1704.00028, appendix).

Batch norm in the generator and none in the critic, whose penalty is on single examples' gradients.
The blocks are in gan_jax/networks/resnet.py. Meant for the loss `wasserstein` with
`gradient_penalty`; the critic's last layer sees the mean over pixels.

Classes: the generator's conditional batch norm is the paper's, and so is the critic's auxiliary
classifier with `auxiliary`, its cross-entropy of weight 1 for the critic and 0.1 for the generator.
Without, the critic has the projection of Miyato & Koyama 2018 (1802.05637).

Deviations. The generator's blocks have no biases, which would be without effect (resnet.py), and
the critic's logit has none unless `last_bias`: the Wasserstein loss does not see it. The paper's
pictures have 32 pixels; of 28 or 64 the generator has a block less or more (28: from 7x7), and the
critic halves them until they are at most 8x8.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Axis, Dtype, Output
from gan_jax.networks.resnet import DownBlock, UpBlock, glorot

Size = Literal[28, 32, 64]
UP = {28: 2, 32: 3, 64: 4}  # the generator's blocks, which double the picture
DOWN = {28: 2, 32: 2, 64: 3}  # the critic's blocks that halve it; two more do not


class Generator(interface.Generator):
    """z [n, z_dim] (and labels [n]) -> pictures [n, size, size, channels]. Paper: z_dim 128."""

    size: Size = 32
    """Side of a picture in pixels."""
    channels: int = 3
    """1 for grey, 3 for RGB."""
    width: int = 128
    """Channels of every block."""
    classes: int = 0
    """Class labels, 0 for none."""
    out: Output = "tanh"
    """After the last convolution: tanh for pixels in [-1, 1], sigmoid for [0, 1]."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and output are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(self, z: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        blocks = _plan(UP, self.size)
        side = self.size >> blocks
        labels = layers.one_hot(cond, self.classes, z.shape[0])
        y = nn.Dense(side * side * self.width, dtype=self.dtype, kernel_init=glorot)(z)
        y = y.reshape(z.shape[0], side, side, self.width)
        for _ in range(blocks):
            y = UpBlock(self.width, self.axis, self.dtype)(y, labels, train=train)
        # The last batch norm has no classes, in the authors' code too.
        y = nn.relu(layers.batch_norm(y, train=train, axis=self.axis, dtype=self.dtype))
        y = Conv(self.channels, dtype=self.dtype, kernel_init=glorot)(y)
        return layers.activate(y.astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Pictures [n, size, size, c] (and labels [n]) -> logits [n]: the critic."""

    size: Size = 32
    """Side of a picture in pixels."""
    width: int = 128
    """Channels of every block."""
    classes: int = 0
    """Class labels, 0 for none."""
    auxiliary: bool = False
    """An auxiliary classifier of the classes (Odena et al. 2017, 1610.09585) in place of the
    projection: see layers.sow_class_logits."""
    last_bias: bool = False
    """A bias of the logit. Wasserstein and relativistic losses do not see it."""
    dtype: Dtype = "float32"
    """Of the blocks' computation; the mean over pixels and what follows is float32."""

    @nn.compact
    def __call__(self, x: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        down = _plan(DOWN, self.size)
        layers.check_side("wgan_gp", self.size, x)
        if self.auxiliary and not self.classes:
            raise ValueError("wgan_gp: an auxiliary classifier needs classes, and has 0")
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


def _plan(plans: dict[int, int], size: int) -> int:
    if size not in plans:
        raise ValueError(f"wgan_gp: size is {size}, it must be one of {[*plans]}")
    return plans[size]

"""SNGAN: a residual discriminator of spectral norm 1 in every layer (Miyato et al. 2018,
1802.05957, tables 3 to 5), and its projection of labels (Miyato & Koyama 2018, 1802.05637).

With classes, the generator's batch norms have a scale and an offset a class, and the logit is
psi(phi(x)) + <embed(y), phi(x)>, the projection (1802.05637, fig. 1d). The blocks are in
gan_jax/networks/resnet.py.

With `attention` in both networks and `spectral` in the generator this is SAGAN (Zhang et al. 2019,
1805.08318, sec. 3 and 4: at 128 pixels, attention at 32, the hinge loss, and learning rates of 1e-4
for the generator and 4e-4 for the discriminator).

Deviations. The generator's blocks have no biases, which would be without effect (resnet.py). Batch
norm adds 1e-5 to the variance, the authors' code 2e-5. 64 pixels are that code's; the paper has 32
(CIFAR-10), 48 (STL-10) and 128 (ImageNet). `last_bias` is off at every size, as in that code at 32
pixels; it has the bias at 64 and 128. Flax's spectral norm stores the initial weights divided by
its first estimate of sigma: the same function, of smaller weights.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import interface, layers
from gan_jax.networks.attention import SelfAttention
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Axis, Dtype, Output
from gan_jax.networks.resnet import DownBlock, UpBlock, glorot

Size = Literal[32, 48, 64, 128]
# In multiples of `width`: the generator's channels at its start and after each block.
UP: dict[int, tuple[int, ...]] = {
    32: (1, 1, 1, 1),
    48: (8, 4, 2, 1),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
}
# The discriminator's after each block that halves the picture, and after each that does not.
DOWN: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    32: ((1, 1), (1, 1)),
    48: ((1, 2, 4, 8), (16,)),
    64: ((1, 2, 4, 8, 16), ()),
    128: ((1, 2, 4, 8, 16), (16,)),
}


class Generator(interface.Generator):
    """z [n, z_dim] (and labels [n]) -> pictures [n, size, size, channels]. Paper: z_dim 128."""

    size: Size = 32
    """Side of a picture in pixels."""
    channels: int = 3
    """1 for grey, 3 for RGB."""
    width: int = 256
    """Channels of the last block; at 32 pixels of all. Paper: 256 at 32 pixels, else 64."""
    classes: int = 0
    """Class labels, 0 for none."""
    attention: int = 0
    """Side in pixels after whose block a SelfAttention stands, 0 for none. SAGAN: 32 at 128."""
    spectral: bool = False
    """Spectral norm of every layer but batch norm, as in SAGAN."""
    out: Output = "tanh"
    """After the last convolution: tanh for pixels in [-1, 1], sigmoid for [0, 1]."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and output are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(self, z: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        start, *blocks = (self.width * multiple for multiple in _plan(UP, self.size))
        side = self.size >> len(blocks)
        _check_attention(self.attention, [side << i for i in range(1, len(blocks) + 1)])
        labels = layers.one_hot(cond, self.classes, z.shape[0])

        def layer(module: nn.Module, y: jax.Array) -> jax.Array:
            if self.spectral:
                return layers.SpectralNorm(module)(y, train=train)
            return module(y)

        y = layer(nn.Dense(side * side * start, dtype=self.dtype, kernel_init=glorot), z)
        y = y.reshape(z.shape[0], side, side, start)
        for features in blocks:
            y = UpBlock(features, self.axis, self.dtype, self.spectral)(y, labels, train=train)
            if y.shape[1] == self.attention:
                y = SelfAttention(self.spectral, self.dtype)(y, train=train)
        # The last batch norm has no classes, in the authors' code too.
        y = nn.relu(layers.batch_norm(y, train=train, axis=self.axis, dtype=self.dtype))
        y = layer(Conv(self.channels, dtype=self.dtype, kernel_init=glorot), y)
        return layers.activate(y.astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Pictures [n, size, size, c] (and labels [n]) -> logits [n]."""

    size: Size = 32
    """Side of a picture in pixels."""
    width: int = 128
    """Channels of the first block; at 32 pixels of all. Paper: 128 at 32 pixels, else 64."""
    classes: int = 0
    """Class labels, 0 for none."""
    attention: int = 0
    """Side in pixels after whose first block a SelfAttention stands, 0 for none."""
    last_bias: bool = False
    """A bias of the logit. Relativistic losses do not see it (gan_jax/networks/mlp.py)."""
    dtype: Dtype = "float32"
    """Of the blocks' computation; the sum over pixels and what follows is float32."""

    @nn.compact
    def __call__(self, x: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        down, flat = _plan(DOWN, self.size)
        layers.check_side("sngan", self.size, x)
        _check_attention(self.attention, [self.size >> i for i in range(1, len(down) + 1)])
        labels = layers.one_hot(cond, self.classes, len(x))
        y = x
        for i, multiple in enumerate(down + flat):
            block = DownBlock(
                self.width * multiple, i < len(down), first=i == 0, spectral=True, dtype=self.dtype
            )
            y = block(y, train=train)
            if i < len(down) and y.shape[1] == self.attention:
                y = SelfAttention(spectral=True, dtype=self.dtype)(y, train=train)
        y = nn.relu(y).astype(jnp.float32).sum((1, 2))  # phi(x)
        last = nn.Dense(1, self.last_bias, kernel_init=glorot)
        logits = layers.SpectralNorm(last)(y, train=train)[:, 0]
        if self.classes:
            # A product rather than a gather, for its gradient: see ConditionalBatchNorm.
            embed = nn.Dense(
                y.shape[-1], use_bias=False, kernel_init=glorot, precision="highest", name="embed"
            )
            logits += (layers.SpectralNorm(embed)(labels, train=train) * y).sum(-1)
        return logits


def _plan(plans: dict, size: int) -> tuple:
    if size not in plans:
        raise ValueError(f"sngan: size is {size}, it must be one of {[*plans]}")
    return plans[size]


def _check_attention(side: int, sides: list[int]) -> None:
    allowed = [0] + [one for one in sides if one % 2 == 0]
    if side not in allowed:
        raise ValueError(f"sngan: attention is {side}, it must be one of {allowed}")

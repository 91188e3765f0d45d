"""SNGAN: residual networks with spectral normalization in the discriminator.

Miyato et al. 2018 (1802.05957), tables 3 to 5, with the projection discriminator of Miyato & Koyama
2018 (1802.05637). With classes, the generator's batch norms have a scale and an offset per class,
and the logit is psi(phi(x)) + <embed(y), phi(x)> (1802.05637, fig. 1d). The blocks are in
gan_jax/networks/resnet.py.

With `attention` in both networks and `spectral` in the generator this is SAGAN (Zhang et al. 2019,
1805.08318, sec. 3 and 4: at 128 pixels, attention at 32, the hinge loss, and learning rates of 1e-4
for the generator and 4e-4 for the discriminator).

Deviations. The generator's blocks have no biases, which would have no effect (resnet.py). Batch
norm adds 1e-5 to the variance, the authors' code 2e-5. The networks for 64 pixels are from the
authors' code; the paper has 32 (CIFAR-10), 48 (STL-10) and 128 (ImageNet). `last_bias` is off at
every size; the authors' code has the bias at 64 and 128 pixels and not at 32. Flax's spectral norm
stores the initial weights divided by its first estimate of sigma: the same function, with smaller
weights.
"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.networks import interface, layers
from gan_jax.networks.attention import SelfAttention
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Axis, Dtype, Output
from gan_jax.networks.resnet import DownBlock, UpBlock, glorot

Size = Literal[32, 48, 64, 128]
# Channels of the generator's first layer and of each block, in multiples of `width`.
UP: dict[int, tuple[int, ...]] = {
    32: (1, 1, 1, 1),
    48: (8, 4, 2, 1),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
}
# Channels of the discriminator's blocks that downsample, and of those that do not.
DOWN: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    32: ((1, 1), (1, 1)),
    48: ((1, 2, 4, 8), (16,)),
    64: ((1, 2, 4, 8, 16), ()),
    128: ((1, 2, 4, 8, 16), (16,)),
}


class Generator(interface.Generator):
    """Generator, z [n, z_dim] and optional labels [n] -> images [n, size, size, channels].

    The paper's z_dim is 128.
    """

    size: Size = 32
    """Side of an image in pixels."""
    channels: int = 3
    """Number of color channels: 1 for gray, 3 for RGB."""
    width: int = 256
    """Number of channels of the last block (size 32: of all). Paper: 256 for size 32, else 64."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    attention: int = 0
    """Side in pixels after whose block self-attention is applied; 0: none. SAGAN: 32 at 128."""
    spectral: bool = False
    """Spectral norm of every layer except batch norm, as in SAGAN."""
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
        start, *blocks = (self.width * multiple for multiple in _widths(UP, self.size))
        side = self.size >> len(blocks)
        _check_attention(self.attention, [side << i for i in range(1, len(blocks) + 1)])
        labels = layers.one_hot(cond, self.classes, z.shape[0])

        def apply(module: nn.Module, y: Array) -> Array:
            if self.spectral:
                return layers.SpectralNorm(module)(y, train=train)
            return module(y)

        y = apply(nn.Dense(side * side * start, dtype=self.dtype, kernel_init=glorot), z)
        y = y.reshape(z.shape[0], side, side, start)
        for features in blocks:
            y = UpBlock(features, self.axis, self.dtype, self.spectral)(y, labels, train=train)
            if y.shape[1] == self.attention:
                y = SelfAttention(self.spectral, self.dtype)(y, train=train)
        # The last batch norm is unconditional, as in the authors' code.
        y = nn.relu(layers.batch_norm(y, train=train, axis=self.axis, dtype=self.dtype))
        y = apply(Conv(self.channels, dtype=self.dtype, kernel_init=glorot), y)
        return layers.activate(y.astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Discriminator, images [n, size, size, c] and optional labels [n] -> logits [n]."""

    size: Size = 32
    """Side of an image in pixels."""
    width: int = 128
    """Number of channels of the first block (size 32: of all). Paper: 128 for size 32, else 64."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    attention: int = 0
    """Side in pixels after whose first block self-attention is applied; 0: none."""
    last_bias: bool = False
    """Bias of the logit. Relativistic losses do not depend on it (gan_jax/networks/mlp.py)."""
    dtype: Dtype = "float32"
    """Dtype of the blocks; the sum over pixels and all later layers are float32."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, " n"]:
        """Compute the logits of examples."""
        down, flat = _widths(DOWN, self.size)
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
            # A product instead of a gather, for its gradient: see resnet.ConditionalBatchNorm.
            embed = nn.Dense(
                y.shape[-1], use_bias=False, kernel_init=glorot, precision="highest", name="embed"
            )
            logits += (layers.SpectralNorm(embed)(labels, train=train) * y).sum(-1)
        return logits


def _widths(widths: dict, size: int) -> tuple:
    if size not in widths:
        raise ValueError(f"sngan: size must be one of {[*widths]}, got {size}")
    return widths[size]


def _check_attention(side: int, sides: list[int]) -> None:
    allowed = [0] + [even for even in sides if even % 2 == 0]
    if side not in allowed:
        raise ValueError(f"sngan: attention must be one of {allowed}, got {side}")

"""R3GAN: a modern baseline without tricks (Huang et al. 2025, 2501.05441).

Section 4 and appendix. Residual blocks consist of 1x1, grouped 3x3 and 1x1 convolutions, without
normalization. The initial weights of each convolution are scaled down with the number of blocks in
the network (as in Fixup, Zhang et al. 2019, 1901.09321). The last convolution of a block is
initialized to zero, so a network starts as a chain of 1x1 convolutions and resampling. Intended for
the relativistic loss with R1 and R2 at every step.

Stages have 4x4, 8x8, ... `size` pixels. Fields with an entry per stage start at 4x4 in both
networks. For 28 pixels there are three stages, from 7x7. Resampling uses the filter [1, 3, 3, 1]
as in the authors' code: [1, 2, 1] convolved with the [1, 1] of repeating or averaging pixels.

Deviation: `dtype` applies to all stages; the paper's half precision keeps the smallest in float32.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Dtype, Output

GAIN = math.sqrt(2 / (1 + 0.2**2))  # of leaky ReLU, He et al. 2015 (1502.01852), eq. 15


def he(gain: float) -> nn.initializers.Initializer:
    """Return an initializer from N(0, gain^2 / fan_in)."""
    if gain == 0:
        return nn.initializers.zeros
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


def upsample(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    """Upsample with the filter [1, 3, 3, 1] / 4: [n, h, w, c] -> [n, 2h, 2w, c].

    The filter is applied along each axis. Every new pixel is 9/16, 3/16, 3/16 and 1/16 of the
    nearest four, with zero padding.

    Example:
        >>> upsample(jnp.ones((1, 2, 2, 1)))[0, :, :, 0].tolist()[1]
        [0.75, 1.0, 1.0, 0.75]
    """
    for axis in (1, 2):
        before, after = _shifted(x, axis)
        pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = pair.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    return x


def downsample(x: Float[Array, "n h2 w2 c"]) -> Float[Array, "n h w c"]:
    """Downsample with the filter [1, 3, 3, 1] / 8: [n, 2h, 2w, c] -> [n, h, w, c].

    The filter is applied along each axis, with zero padding. This is a quarter of the transpose of
    `upsample`.
    """
    for axis in (1, 2):
        pair = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even, odd = (pair.take(i, axis + 1) for i in (0, 1))
        before, after = _shifted(odd, axis)[0], _shifted(even, axis)[1]
        x = 0.125 * (before + after) + 0.375 * (even + odd)
    return x


def _shifted(x: Array, axis: int) -> tuple[Array, Array]:
    """Return the previous and the next pixel along an axis, with zero padding."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = (1, 1)
    padded, length = jnp.pad(x, padding), x.shape[axis]
    before, after = (
        jax.lax.slice_in_dim(padded, start, start + length, axis=axis) for start in (0, 2)
    )
    return before, after


class Block(nn.Module):
    """Residual block of a 1x1, a grouped 3x3 and a 1x1 convolution."""

    groups: int
    """Number of groups of the 3x3 convolution."""
    expansion: int
    """Ratio of the channels inside the block to those of the input."""
    total: int
    """Number of blocks in the network."""
    dtype: Dtype
    """Dtype of the computation."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Apply the layer."""
        width = x.shape[-1] * self.expansion
        gain = GAIN * self.total**-0.25  # -1/(2m-2) for m = 3 layers

        def activate(y: Array, name: str) -> Array:
            bias = self.param(name, nn.initializers.zeros, (width,)).astype(self.dtype)
            return layers.activate(y + jnp.broadcast_to(bias, y.shape), "leaky_relu")

        y = Conv(width, 1, use_bias=False, dtype=self.dtype, kernel_init=he(gain))(x)
        y = activate(y, "bias_0")
        y = Conv(
            width, 3, groups=self.groups, use_bias=False, dtype=self.dtype, kernel_init=he(gain)
        )(y)
        y = activate(y, "bias_1")
        return x + Conv(x.shape[-1], 1, use_bias=False, dtype=self.dtype, kernel_init=he(0))(y)


class Resample(nn.Module):
    """Resampling between two stages, with a 1x1 convolution if the number of channels changes.

    The convolution comes before upsampling and after downsampling.
    """

    features: int
    """Number of output channels."""
    up: bool
    """Upsampling; else downsampling."""
    dtype: Dtype
    """Dtype of the computation."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 features"]:
        """Apply the layer."""
        x = x if self.up else downsample(x)
        if x.shape[-1] != self.features:
            kernel_init = he(1)
            x = Conv(self.features, 1, use_bias=False, dtype=self.dtype, kernel_init=kernel_init)(x)
        return upsample(x) if self.up else x


class Generator(interface.Generator):
    """Generator, z [n, z_dim] and optional labels [n] -> images [n, size, size, channels].

    The paper's z_dim is 64.
    """

    size: int = 32
    """Side of an image in pixels: s 2^(stages - 1), s from 4 to 7."""
    channels: int = 3
    """Number of color channels: 1 for gray, 3 for RGB."""
    widths: tuple[int, ...] = (768, 768, 768, 768)
    """Number of channels of each stage, from the lowest resolution to the highest."""
    cardinality: tuple[int, ...] = (96, 96, 96, 96)
    """Number of groups of each stage's 3x3 convolutions."""
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    """Number of residual blocks of each stage."""
    expansion: int = 2
    """Ratio of the channels inside a block to those of its stage."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    out: Output = "linear"
    """Output activation. The paper's pixels are [-1, 1], from a linear output."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and output are float32."""

    @nn.compact
    def __call__(
        self, z: Float[Array, "n z_dim"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, "n h w c"]:
        """Generate examples from latents."""
        side = smallest_side(self.size, self.widths, self.cardinality, self.blocks)
        labels = layers.one_hot(cond, self.classes, z.shape[0])
        if self.classes:
            z = jnp.concatenate([z, linear(z.shape[-1], self.dtype, "embed")(labels)], -1)
        basis = self.param("basis", nn.initializers.normal(1), (side, side, self.widths[0]))
        scale = linear(self.widths[0], self.dtype, "start")(z)[:, None, None]
        y = jnp.broadcast_to(scale, (z.shape[0], *basis.shape))
        y *= jnp.broadcast_to(basis.astype(self.dtype), y.shape)
        for stage, width in enumerate(self.widths):
            if stage > 0:
                y = Resample(width, up=True, dtype=self.dtype)(y)
            for _ in range(self.blocks[stage]):
                groups, total = self.cardinality[stage], sum(self.blocks)
                y = Block(groups, self.expansion, total, self.dtype)(y)
        conv = Conv(self.channels, 1, use_bias=False, dtype=self.dtype, kernel_init=he(1))
        return layers.activate(conv(y).astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Discriminator, images [n, size, size, c] and optional labels [n] -> logits [n].

    With classes, the logit is the inner product of the features and an embedding of the label
    (Miyato & Koyama 2018, 1802.05637). It has no bias: relativistic losses do not depend on it.
    """

    size: int = 32
    """Side of an image in pixels: s 2^(stages - 1), s from 4 to 7."""
    widths: tuple[int, ...] = (768, 768, 768, 768)
    """Number of channels of each stage, from the lowest resolution to the highest."""
    cardinality: tuple[int, ...] = (96, 96, 96, 96)
    """Number of groups of each stage's 3x3 convolutions."""
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    """Number of residual blocks of each stage."""
    expansion: int = 2
    """Ratio of the channels inside a block to those of its stage."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    embedding: int = 64
    """Dimension of the embeddings of labels and images. Paper: z_dim."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and logits are float32."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, " n"]:
        """Compute the logits of examples."""
        side = smallest_side(self.size, self.widths, self.cardinality, self.blocks)
        layers.check_side("r3gan", self.size, x)
        labels = layers.one_hot(cond, self.classes, len(x))
        first = Conv(self.widths[-1], 1, use_bias=False, dtype=self.dtype, kernel_init=he(1))
        y = first(x)
        for stage in reversed(range(len(self.widths))):
            for _ in range(self.blocks[stage]):
                groups, total = self.cardinality[stage], sum(self.blocks)
                y = Block(groups, self.expansion, total, self.dtype)(y)
            if stage > 0:
                y = Resample(self.widths[stage - 1], up=False, dtype=self.dtype)(y)
        # A depthwise convolution of the size of the image; its fan-in is the number of pixels.
        basis_init = nn.initializers.normal(1 / side)
        basis = self.param("basis", basis_init, (side, side, self.widths[0]))
        y = jnp.einsum("nhwd,hwd->nd", y, basis.astype(self.dtype))
        y = linear(self.embedding if self.classes else 1, self.dtype, "end")(y)
        y = y.astype(jnp.float32)
        if self.classes:
            y *= linear(self.embedding, self.dtype, "embed")(labels).astype(jnp.float32)
        return y.sum(-1)


def linear(features: int, dtype: Dtype, name: str) -> nn.Dense:
    """Create a linear layer without bias, initialized from N(0, 1/fan_in).

    Args:
        features: Number of outputs.
        dtype: Dtype of the computation.
        name: Name of the submodule.

    Returns:
        The layer.
    """
    return nn.Dense(features, use_bias=False, dtype=dtype, kernel_init=he(1), name=name)


def smallest_side(size: int, *fields: tuple[int, ...], name: str = "r3gan", patch: int = 1) -> int:
    """Return the side of the smallest stage, in pixels.

    Args:
        size: Side of the image in pixels.
        *fields: Fields with an entry per stage.
        name: Name of the network, for messages.
        patch: Side of the pixel squares that become one pixel of the last stage.

    Returns:
        The side, from 4 to 7.

    Raises:
        ValueError: If the fields differ in length, or doubling a side of 4 to 7 at every stage does
            not result in `size` / `patch`.
    """
    stages = len(fields[0])
    if {len(field) for field in fields} != {stages}:
        raise ValueError(
            f"{name}: widths, cardinality and blocks must agree in length, got {fields}"
        )
    if stages == 0:
        raise ValueError(f"{name}: widths must have an entry per stage, got ()")
    halvings = stages - 1
    side = size // patch >> halvings
    if (side << halvings) * patch != size or not 4 <= side <= 7:
        allowed = ", ".join(str((start << halvings) * patch) for start in range(4, 8))
        raise ValueError(f"{name}: size must be one of {allowed} for {stages} stages, got {size}")
    return side

"""R3GAN: a modern baseline without tricks (Huang et al. 2025, 2501.05441, sec. 4, appendix).

Residual blocks of 1x1, grouped 3x3 and 1x1 convolutions, no normalisation. Each convolution is
scaled down at the start by the number of blocks in the network (as in Fixup, Zhang et al. 2019,
1901.09321), and the last one of a block is zero, so a network starts as a chain of 1x1 convolutions
and resamplings. It is meant for the relativistic loss with R1 and R2 at every step.

Pictures go through 4x4, 8x8, ... `size`, and the fields of a stage count from 4x4 in both networks;
28 pixels are made from 7x7 in three stages. Resampling is the [1, 2, 1] filter's, as the authors'
code has it: convolved with the [1, 1] of the missing pixels.

Deviation: `dtype` is that of all stages; the paper's half precision leaves the smallest in float32.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Dtype, Output

GAIN = math.sqrt(2 / (1 + 0.2**2))  # of leaky ReLU, He et al. 2015 (1502.01852), eq. 15


def he(gain: float) -> nn.initializers.Initializer:
    """N(0, gain^2 / fan_in)."""
    if gain == 0:
        return nn.initializers.zeros
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


def upsample(x: jax.Array) -> jax.Array:
    """[n, h, w, c] -> [n, 2h, 2w, c]: every new pixel 9/16, 3/16, 3/16 and 1/16 of the nearest
    four, that is [1, 3, 3, 1] / 4 along each axis, with zeros around."""
    for axis in (1, 2):
        before, after = _shifted(x, axis)
        pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = pair.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    return x


def downsample(x: jax.Array) -> jax.Array:
    """[n, 2h, 2w, c] -> [n, h, w, c]: [1, 3, 3, 1] / 8 along each axis, with zeros around; a
    quarter of the transpose of `upsample`."""
    for axis in (1, 2):
        pair = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even, odd = (pair.take(i, axis + 1) for i in (0, 1))
        before, after = _shifted(odd, axis)[0], _shifted(even, axis)[1]
        x = 0.125 * (before + after) + 0.375 * (even + odd)
    return x


def _shifted(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """Each pixel's neighbour before and after it along the axis, zero outside."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = (1, 1)
    padded, length = jnp.pad(x, padding), x.shape[axis]
    before, after = (
        jax.lax.slice_in_dim(padded, start, start + length, axis=axis) for start in (0, 2)
    )
    return before, after


class Block(nn.Module):
    """x [n, h, w, c] -> x + a 1x1, a grouped 3x3 and a 1x1 convolution of it."""

    groups: int
    expansion: int
    total: int
    """Blocks in the network."""
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1] * self.expansion
        gain = GAIN * self.total**-0.25  # -1/(2m-2) for m = 3 layers

        def activate(y: jax.Array, name: str) -> jax.Array:
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
    """Between two stages: a 1x1 convolution where the width changes, before going up or after
    going down."""

    features: int
    up: bool
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x if self.up else downsample(x)
        if x.shape[-1] != self.features:
            kernel_init = he(1)
            x = Conv(self.features, 1, use_bias=False, dtype=self.dtype, kernel_init=kernel_init)(x)
        return upsample(x) if self.up else x


class Generator(interface.Generator):
    """z [n, z_dim] (and labels [n]) -> pictures [n, size, size, channels]. Paper: z_dim 64."""

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
    def __call__(self, z: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
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
    """Pictures [n, size, size, c] (and labels [n]) -> logits [n].

    With classes, the inner product of the features and an embedding of the label (Miyato & Koyama
    2018, 1802.05637). No bias of the logit: a relativistic loss does not see it.
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
    """Dimensions in which labels and pictures are compared; the paper's is z_dim."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and logits are float32."""

    @nn.compact
    def __call__(self, x: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
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
        # A depthwise convolution as large as the picture; its fan-in is the picture's area.
        basis_init = nn.initializers.normal(1 / side)
        basis = self.param("basis", basis_init, (side, side, self.widths[0]))
        y = jnp.einsum("nhwd,hwd->nd", y, basis.astype(self.dtype))
        y = linear(self.embedding if self.classes else 1, self.dtype, "end")(y)
        y = y.astype(jnp.float32)
        if self.classes:
            y *= linear(self.embedding, self.dtype, "embed")(labels).astype(jnp.float32)
        return y.sum(-1)


def linear(features: int, dtype: Dtype, name: str) -> nn.Dense:
    """A linear layer without bias, N(0, 1/fan_in)."""
    return nn.Dense(features, use_bias=False, dtype=dtype, kernel_init=he(1), name=name)


def smallest_side(size: int, *fields: tuple[int, ...], name: str = "r3gan", patch: int = 1) -> int:
    """Side of the smallest stage's pictures. Raises ValueError, for the network `name`, where the
    stages do not make `size` / `patch` from one of 4 to 7, or the fields, each with an entry a
    stage, differ in length."""
    stages = len(fields[0])
    if {len(field) for field in fields} != {stages}:
        raise ValueError(f"{name}: widths, cardinality and blocks differ in length: {fields}")
    if stages == 0:
        raise ValueError(f"{name}: widths are (), they must have an entry a stage")
    halvings = stages - 1
    side = size // patch >> halvings
    if (side << halvings) * patch != size or not 4 <= side <= 7:
        allowed = ", ".join(str((start << halvings) * patch) for start in range(4, 8))
        raise ValueError(f"{name}: size is {size}, {stages} stages make one of {allowed}")
    return side

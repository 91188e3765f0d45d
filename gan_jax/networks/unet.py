"""A U-Net with noise, and its critic: pictures from anything that is known of them.

U-Net (Ronneberger et al. 2015, 1505.04597, fig. 1) of R3GAN's blocks (Huang et al. 2025,
2501.05441: residual, without normalisation, initialised as there). What is known goes down the
stages and joins the way up at each of them; z enters each stage of the way up, as it starts R3GAN's
generator: it scales the channels of a learned picture.

The critic sees the example and what is known of it as channels of one picture. Its logit is that of
the whole picture, R3GAN's, and the mean of those of its patches (Isola et al. 2017, 1611.07004,
sec. 3.2): one number an example, so every loss and penalty is as for other critics.

`cond` is any pytree: class labels [n] int, attributes [n, d], pictures [n, size, size, c]; or the
Incomplete of gan_jax/data/masks.py, whose known pixels the generator returns as they are; or None.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import interface, layers
from gan_jax.networks.conditions import MaskedImage
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Dtype, Output, depth_to_space, space_to_depth
from gan_jax.networks.r3gan import Block, Resample, he, linear, smallest_side


def condition_channels(cond: Any, classes: int, n: int, size: int) -> jax.Array:
    """A condition as channels of a picture, float32 [n, size, size, k]: pictures as they are, each
    attribute a plane of its value, a label the one-hot planes of `classes`; of nothing, ones.

    Raises ValueError if a leaf is none of these, or labels are missing that `classes` ask for.
    """
    found, leaves = [], jax.tree.leaves(cond)
    if classes and not any(leaf.ndim == 1 for leaf in leaves):
        layers.one_hot(None, classes, n)  # raises
    if not leaves:
        found.append(jnp.ones((n, size, size, 1)))
    for leaf in leaves:
        if leaf.ndim == 1 and jnp.issubdtype(leaf.dtype, jnp.integer):
            leaf = layers.one_hot(leaf, classes, n)
        if leaf.ndim == 2:
            leaf = jnp.broadcast_to(leaf[:, None, None], (n, size, size, leaf.shape[1]))
        if leaf.shape[:-1] != (n, size, size):
            allowed = f"labels [n], attributes [n, d] or pictures [n, {size}, {size}, c]"
            raise ValueError(f"unet: a condition is {list(leaf.shape)}, allowed are {allowed}")
        found.append(leaf.astype(jnp.float32))
    return jnp.concatenate(found, -1)


class Generator(interface.Generator):
    """z [n, z_dim], cond -> pictures [n, size, size, channels]."""

    size: int = 28
    """Side of an image in pixels: patch s 2^(stages - 1), s from 4 to 7."""
    channels: int = 1
    """Number of color channels: 1 for gray, 3 for RGB."""
    widths: tuple[int, ...] = (128, 96, 64)
    """Number of channels of each stage, from the lowest resolution to the highest."""
    blocks: tuple[int, ...] = (2, 2, 2)
    """Number of residual blocks of each stage, in the encoder and in the decoder."""
    cardinality: tuple[int, ...] = (16, 12, 8)
    """Number of groups of each stage's 3x3 convolutions."""
    expansion: int = 2
    """Ratio of the channels inside a block to those of its stage."""
    patch: int = 1
    """Side of the pixel squares that are moved into channels first, which is faster."""
    classes: int = 0
    """Number of classes in `cond`; 0: no labels."""
    out: Output = "linear"
    """Output activation."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and output are float32."""

    @nn.compact
    def __call__(self, z: jax.Array, cond: Any = None, *, train: bool) -> jax.Array:
        fields = self.widths, self.cardinality, self.blocks
        side = smallest_side(self.size, *fields, name="unet", patch=self.patch)
        total, top = 2 * sum(self.blocks), len(self.widths) - 1

        def stage_of(y: jax.Array, stage: int) -> jax.Array:
            for _ in range(self.blocks[stage]):
                y = Block(self.cardinality[stage], self.expansion, total, self.dtype)(y)
            return y

        def join(features: int, *parts: jax.Array) -> jax.Array:
            conv = Conv(features, 1, use_bias=False, dtype=self.dtype, kernel_init=he(1))
            return conv(jnp.concatenate(parts, -1))

        y = space_to_depth(
            condition_channels(cond, self.classes, z.shape[0], self.size), self.patch
        )
        y, known = join(self.widths[top], y), {}
        for stage in range(top, -1, -1):
            y = known[stage] = stage_of(y, stage)
            if stage > 0:
                y = Resample(self.widths[stage - 1], up=False, dtype=self.dtype)(y)
        for stage, width in enumerate(self.widths):
            if stage > 0:
                y = Resample(width, up=True, dtype=self.dtype)(y)
                y = join(width, y, known[stage])
            shape = (side << stage, side << stage, width)
            basis = self.param(f"basis_{stage}", nn.initializers.normal(1), shape)
            scale = linear(width, self.dtype, f"noise_{stage}")(z)[:, None, None]
            y += jnp.broadcast_to(scale, y.shape) * jnp.broadcast_to(
                basis.astype(self.dtype), y.shape
            )
            y = stage_of(y, stage)
        y = depth_to_space(join(self.channels * self.patch**2, y), self.patch)
        y = layers.activate(y.astype(jnp.float32), self.out)
        return jnp.where(cond.hole > 0, y, cond.known) if isinstance(cond, MaskedImage) else y


class Discriminator(interface.Discriminator):
    """Pictures [n, size, size, c], cond -> logits [n]."""

    size: int = 28
    """Side of an image in pixels: patch s 2^(stages - 1), s from 4 to 7."""
    widths: tuple[int, ...] = (128, 96, 64)
    """Number of channels of each stage, from the lowest resolution to the highest."""
    blocks: tuple[int, ...] = (2, 2, 2)
    """Number of residual blocks of each stage."""
    cardinality: tuple[int, ...] = (16, 12, 8)
    """Number of groups of each stage's 3x3 convolutions."""
    expansion: int = 2
    """Ratio of the channels inside a block to those of its stage."""
    patch: int = 1
    """Side of the pixel squares that are moved into channels first, which is faster."""
    classes: int = 0
    """Number of classes in `cond`; 0: no labels."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and logits are float32."""

    @property
    def returns_features(self) -> bool:
        """Whether it passes on the features of its stages, here of all."""
        return True

    @nn.compact
    def __call__(self, x: jax.Array, cond: Any = None, *, train: bool) -> jax.Array:
        fields = self.widths, self.cardinality, self.blocks
        side = smallest_side(self.size, *fields, name="unet", patch=self.patch)
        layers.check_side("unet", self.size, x)
        y = jnp.concatenate([x, condition_channels(cond, self.classes, len(x), self.size)], -1)
        first = Conv(self.widths[-1], 1, use_bias=False, dtype=self.dtype, kernel_init=he(1))
        y, patches = first(space_to_depth(y, self.patch)), jnp.zeros(len(x))
        for stage in reversed(range(len(self.widths))):
            for _ in range(self.blocks[stage]):
                groups, total = self.cardinality[stage], sum(self.blocks)
                y = Block(groups, self.expansion, total, self.dtype)(y)
            layers.sow_features(self, stage, y)
            if stage == 1:  # each of its pixels sees a part of the picture
                local = Conv(1, 1, use_bias=False, dtype=self.dtype, kernel_init=he(1))(y)
                patches = local.astype(jnp.float32).mean((1, 2, 3))
            if stage > 0:
                y = Resample(self.widths[stage - 1], up=False, dtype=self.dtype)(y)
        basis_init = nn.initializers.normal(1 / side)
        basis = self.param("basis", basis_init, (side, side, self.widths[0]))
        y = jnp.einsum("nhwd,hwd->nd", y, basis.astype(self.dtype))
        whole = linear(1, self.dtype, "end")(y)[:, 0]
        return whole.astype(jnp.float32) + patches

"""U-Net generator with latents, and its discriminator, for conditional image synthesis.

The generator is a U-Net (Ronneberger et al. 2015, 1505.04597, fig. 1) of R3GAN's residual blocks
(Huang et al. 2025, 2501.05441: no normalization, the same initialization). The condition passes
through the encoder, and the decoder concatenates its features at every stage. z enters every stage
of the decoder like the first stage of R3GAN's generator: it scales the channels of a learned image.

The discriminator takes the example and the condition as channels of one image. Its logit is the sum
of R3GAN's logit of the whole image and the mean logit of patches (Isola et al. 2017, 1611.07004,
sec. 3.2): one logit per example, as losses and penalties require.

`cond` is any pytree of class labels [n] int, attributes [n, d] and images [n, size, size, c]; or
the `MaskedImage` of gan_jax/data/masks.py, whose known pixels the generator copies; or None.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.networks import interface, layers
from gan_jax.networks.conditions import MaskedImage
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Dtype, Output, depth_to_space, space_to_depth
from gan_jax.networks.r3gan import Block, Resample, he, linear, smallest_side


def condition_channels(
    cond: Any, classes: int, n: int, size: int
) -> Float[Array, "n size size channels"]:
    """Represent a condition as channels of an image.

    Images are channels themselves, an attribute is a constant channel, a label is `classes` one-hot
    channels. Without a condition the result is one channel of ones.

    Args:
        cond: Pytree of labels [n] int, attributes [n, d] and images [n, size, size, c].
        classes: Number of classes; 0: no labels.
        n: Number of examples.
        size: Side of the image in pixels.

    Returns:
        Channels, float32.

    Raises:
        ValueError: If a leaf has another shape, or `classes` requires labels and there are none.

    Example:
        >>> condition_channels({"label": jnp.array([1, 0])}, 3, 2, 8).shape
        (2, 8, 8, 3)
    """
    channels, leaves = [], jax.tree.leaves(cond)
    if classes and not any(leaf.ndim == 1 for leaf in leaves):
        layers.one_hot(None, classes, n)  # raises
    if not leaves:
        channels.append(jnp.ones((n, size, size, 1)))
    for leaf in leaves:
        if leaf.ndim == 1 and jnp.issubdtype(leaf.dtype, jnp.integer):
            leaf = layers.one_hot(leaf, classes, n)
        if leaf.ndim == 2:
            leaf = jnp.broadcast_to(leaf[:, None, None], (n, size, size, leaf.shape[1]))
        if leaf.shape[:-1] != (n, size, size):
            allowed = f"labels [n], attributes [n, d] or images [n, {size}, {size}, c]"
            raise ValueError(f"unet: cond must be {allowed}, got {list(leaf.shape)}")
        channels.append(leaf.astype(jnp.float32))
    return jnp.concatenate(channels, -1)


class Generator(interface.Generator):
    """Generator, z [n, z_dim] and cond -> images [n, size, size, channels]."""

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
    def __call__(
        self, z: Float[Array, "n z_dim"], cond: Any = None, *, train: bool
    ) -> Float[Array, "n h w c"]:
        """Generate examples from latents."""
        fields = self.widths, self.cardinality, self.blocks
        side = smallest_side(self.size, *fields, name="unet", patch=self.patch)
        total, top = 2 * sum(self.blocks), len(self.widths) - 1

        def apply_blocks(y: Array, stage: int) -> Array:
            for _ in range(self.blocks[stage]):
                y = Block(self.cardinality[stage], self.expansion, total, self.dtype)(y)
            return y

        def merge(features: int, *parts: Array) -> Array:
            conv = Conv(features, 1, use_bias=False, dtype=self.dtype, kernel_init=he(1))
            return conv(jnp.concatenate(parts, -1))

        y = space_to_depth(
            condition_channels(cond, self.classes, z.shape[0], self.size), self.patch
        )
        y, skips = merge(self.widths[top], y), {}
        for stage in range(top, -1, -1):
            y = skips[stage] = apply_blocks(y, stage)
            if stage > 0:
                y = Resample(self.widths[stage - 1], up=False, dtype=self.dtype)(y)
        for stage, width in enumerate(self.widths):
            if stage > 0:
                y = Resample(width, up=True, dtype=self.dtype)(y)
                y = merge(width, y, skips[stage])
            shape = (side << stage, side << stage, width)
            basis = self.param(f"basis_{stage}", nn.initializers.normal(1), shape)
            scale = linear(width, self.dtype, f"noise_{stage}")(z)[:, None, None]
            y += jnp.broadcast_to(scale, y.shape) * jnp.broadcast_to(
                basis.astype(self.dtype), y.shape
            )
            y = apply_blocks(y, stage)
        y = depth_to_space(merge(self.channels * self.patch**2, y), self.patch)
        y = layers.activate(y.astype(jnp.float32), self.out)
        return jnp.where(cond.hole > 0, y, cond.known) if isinstance(cond, MaskedImage) else y


class Discriminator(interface.Discriminator):
    """Discriminator, images [n, size, size, c] and cond -> logits [n]."""

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
        """Return whether the features of all stages are passed to `layers.sow_features`."""
        return True

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], cond: Any = None, *, train: bool
    ) -> Float[Array, " n"]:
        """Compute the logits of examples."""
        fields = self.widths, self.cardinality, self.blocks
        side = smallest_side(self.size, *fields, name="unet", patch=self.patch)
        layers.check_side("unet", self.size, x)
        y = jnp.concatenate([x, condition_channels(cond, self.classes, len(x), self.size)], -1)
        first = Conv(self.widths[-1], 1, use_bias=False, dtype=self.dtype, kernel_init=he(1))
        y, patch_logits = first(space_to_depth(y, self.patch)), jnp.zeros(len(x))
        for stage in reversed(range(len(self.widths))):
            for _ in range(self.blocks[stage]):
                groups, total = self.cardinality[stage], sum(self.blocks)
                y = Block(groups, self.expansion, total, self.dtype)(y)
            layers.sow_features(self, stage, y)
            if stage == 1:  # the receptive field of its pixels is a part of the image
                local = Conv(1, 1, use_bias=False, dtype=self.dtype, kernel_init=he(1))(y)
                patch_logits = local.astype(jnp.float32).mean((1, 2, 3))
            if stage > 0:
                y = Resample(self.widths[stage - 1], up=False, dtype=self.dtype)(y)
        basis_init = nn.initializers.normal(1 / side)
        basis = self.param("basis", basis_init, (side, side, self.widths[0]))
        y = jnp.einsum("nhwd,hwd->nd", y, basis.astype(self.dtype))
        logits = linear(1, self.dtype, "end")(y)[:, 0]
        return logits.astype(jnp.float32) + patch_logits

"""FID network: Inception v3 as in the TensorFlow graph of 2015-12-05.

Szegedy et al. 2016 (1512.00567); Heusel et al. 2017 (1706.08500) define FID by its features. It
differs from the Inception v3 of later model zoos: average pools exclude padding, the last block
uses max pooling, and there are 1008 classes. Batch norm is folded into kernels and biases.

Layers have the names of the PyTorch file that most implementations load (inception_weights.py).
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

TAPS = (64, 192, 768, 1280, 2048, 1008)
"""Layers to take features from, by dimension, in order of depth; 1008 are the logits."""


def conv(
    x: Float[Array, "n h w c"],
    name: str,
    features: int,
    size: int | tuple[int, int],
    stride: int = 1,
) -> Float[Array, "n h2 w2 features"]:
    """Apply a convolution and ReLU, within a compact method.

    Args:
        x: Input.
        name: Name of the layer.
        features: Number of output channels.
        size: Size of the kernel.
        stride: Stride. With stride 1 the input is padded with zeros, otherwise it is not padded.

    Returns:
        The output.
    """
    layer = nn.Conv(
        features,
        (size, size) if isinstance(size, int) else size,
        strides=stride,
        padding="SAME" if stride == 1 else "VALID",
        precision="highest",  # by default, accelerators round to 10 bits of mantissa
        name=name,
    )
    return nn.relu(layer(x))


def crop_border(x: Float[Array, "n h w c"]) -> Float[Array, "n h-2 w-2 c"]:
    """Remove a border of one pixel, so that a 3x3 convolution equals one without padding.

    On CPUs, XLA's convolution without padding takes three times as long.
    """
    return x[:, 1:-1, 1:-1]


def max_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n (h-1)//2 (w-1)//2 c"]:
    """Compute the maximum of 3x3 pixels with stride 2."""
    return nn.max_pool(x, (3, 3), (2, 2))


def average_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Compute the mean of 3x3 pixels with stride 1, excluding padding."""
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def concatenate(*branches: Float[Array, "n h w _"]) -> Float[Array, "n h w c"]:
    """Concatenate the channels of branches."""
    return jnp.concatenate(branches, -1)


class Block35(nn.Module):
    """Block at 35 x 35 pixels, with 224 + `pool` output channels."""

    pool: int
    """Number of channels of the pooling branch."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        """Apply the block."""
        b1x1 = conv(x, "branch1x1", 64, 1)
        b5x5 = conv(x, "branch5x5_1", 48, 1)
        b5x5 = conv(b5x5, "branch5x5_2", 64, 5)
        b3x3dbl = conv(x, "branch3x3dbl_1", 64, 1)
        b3x3dbl = conv(b3x3dbl, "branch3x3dbl_2", 96, 3)
        b3x3dbl = conv(b3x3dbl, "branch3x3dbl_3", 96, 3)
        pooled = conv(average_pool(x), "branch_pool", self.pool, 1)
        return concatenate(b1x1, b5x5, b3x3dbl, pooled)


class Shrink35(nn.Module):
    """Reduction from 35 x 35 pixels and 288 channels to 17 x 17 and 768."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        """Apply the block."""
        b3x3 = conv(x, "branch3x3", 384, 3, stride=2)
        b3x3dbl = conv(x, "branch3x3dbl_1", 64, 1)
        b3x3dbl = conv(b3x3dbl, "branch3x3dbl_2", 96, 3)
        b3x3dbl = conv(b3x3dbl, "branch3x3dbl_3", 96, 3, stride=2)
        return concatenate(b3x3, b3x3dbl, max_pool(x))


class Block17(nn.Module):
    """Block at 17 x 17 pixels and 768 channels."""

    width: int
    """Number of channels within the 7x7 branches."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        """Apply the block."""
        b1x1 = conv(x, "branch1x1", 192, 1)
        b7x7 = conv(x, "branch7x7_1", self.width, 1)
        b7x7 = conv(b7x7, "branch7x7_2", self.width, (1, 7))
        b7x7 = conv(b7x7, "branch7x7_3", 192, (7, 1))
        b7x7dbl = conv(x, "branch7x7dbl_1", self.width, 1)
        b7x7dbl = conv(b7x7dbl, "branch7x7dbl_2", self.width, (7, 1))
        b7x7dbl = conv(b7x7dbl, "branch7x7dbl_3", self.width, (1, 7))
        b7x7dbl = conv(b7x7dbl, "branch7x7dbl_4", self.width, (7, 1))
        b7x7dbl = conv(b7x7dbl, "branch7x7dbl_5", 192, (1, 7))
        pooled = conv(average_pool(x), "branch_pool", 192, 1)
        return concatenate(b1x1, b7x7, b7x7dbl, pooled)


class Shrink17(nn.Module):
    """Reduction from 17 x 17 pixels and 768 channels to 8 x 8 and 1280."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        """Apply the block."""
        b3x3 = conv(x, "branch3x3_1", 192, 1)
        b3x3 = conv(b3x3, "branch3x3_2", 320, 3, stride=2)
        b7x7x3 = conv(x, "branch7x7x3_1", 192, 1)
        b7x7x3 = conv(b7x7x3, "branch7x7x3_2", 192, (1, 7))
        b7x7x3 = conv(b7x7x3, "branch7x7x3_3", 192, (7, 1))
        b7x7x3 = conv(b7x7x3, "branch7x7x3_4", 192, 3, stride=2)
        return concatenate(b3x3, b7x7x3, max_pool(x))


class Block8(nn.Module):
    """Block at 8 x 8 pixels, with 2048 output channels."""

    maximum: bool
    """Whether the pooling branch uses max pooling instead of average pooling."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        """Apply the block."""
        b1x1 = conv(x, "branch1x1", 320, 1)
        b3x3 = conv(x, "branch3x3_1", 384, 1)
        row = conv(b3x3, "branch3x3_2a", 384, (1, 3))
        b3x3 = concatenate(row, conv(b3x3, "branch3x3_2b", 384, (3, 1)))
        b3x3dbl = conv(x, "branch3x3dbl_1", 448, 1)
        b3x3dbl = conv(b3x3dbl, "branch3x3dbl_2", 384, 3)
        row = conv(b3x3dbl, "branch3x3dbl_3a", 384, (1, 3))
        b3x3dbl = concatenate(row, conv(b3x3dbl, "branch3x3dbl_3b", 384, (3, 1)))
        pooled = nn.max_pool(x, (3, 3), padding="SAME") if self.maximum else average_pool(x)
        return concatenate(b1x1, b3x3, b3x3dbl, conv(pooled, "branch_pool", 192, 1))


class Network(nn.Module):
    """FID network, which returns the mean of a layer over the pixels, or the 1008 logits."""

    tap: int = 2048
    """Dimension of the features, one of TAPS."""

    @nn.compact
    def __call__(self, x: Float[Array, "n 299 299 3"]) -> Float[Array, "n tap"]:
        """Compute the features of images in [-1, 1]."""
        x = conv(x, "Conv2d_1a_3x3", 32, 3, stride=2)
        x = crop_border(conv(x, "Conv2d_2a_3x3", 32, 3))
        x = max_pool(conv(x, "Conv2d_2b_3x3", 64, 3))
        if self.tap == 64:
            return x.mean((1, 2))
        x = conv(x, "Conv2d_3b_1x1", 80, 1)
        x = max_pool(crop_border(conv(x, "Conv2d_4a_3x3", 192, 3)))
        if self.tap == 192:
            return x.mean((1, 2))
        for name, pool in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = Block35(pool, name=name)(x)
        x = Shrink35(name="Mixed_6a")(x)
        for name, width in (
            ("Mixed_6b", 128),
            ("Mixed_6c", 160),
            ("Mixed_6d", 160),
            ("Mixed_6e", 192),
        ):
            x = Block17(width, name=name)(x)
        if self.tap == 768:
            return x.mean((1, 2))
        x = Shrink17(name="Mixed_7a")(x)
        if self.tap == 1280:
            return x.mean((1, 2))
        x = Block8(maximum=False, name="Mixed_7b")(x)
        x = Block8(maximum=True, name="Mixed_7c")(x).mean((1, 2))
        return x if self.tap == 2048 else nn.Dense(1008, precision="highest", name="fc")(x)

"""The FID network: Inception v3 (Szegedy et al. 2016, 1512.00567) as in the TensorFlow graph of
2015-12-05, which Heusel et al. 2017 (1706.08500) took features of.

It is not the Inception v3 of later model zoos: average pools leave their padding out, the last
block pools the maximum, and there are 1008 classes. Batch norm is in the kernels and biases.

Layers have the names of the PyTorch file that most implementations load (inception_weights.py).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

TAPS = (64, 192, 768, 1280, 2048, 1008)
"""Where features can be taken, by their dimension, in the network's order; 1008 are the logits."""


def conv(
    x: jax.Array, name: str, features: int, size: int | tuple[int, int], stride: int = 1
) -> jax.Array:
    """ReLU of a convolution, with zeros around unless it has a stride. In a compact method."""
    layer = nn.Conv(
        features,
        (size, size) if isinstance(size, int) else size,
        strides=stride,
        padding="SAME" if stride == 1 else "VALID",
        precision="highest",  # accelerators would round to 10 bits of mantissa
        name=name,
    )
    return nn.relu(layer(x))


def crop_border(x: jax.Array) -> jax.Array:
    """[n, h, w, c] -> [n, h-2, w-2, c]: what a 3x3 convolution makes of pictures without zeros.

    XLA's own way without zeros takes CPUs three times as long.
    """
    return x[:, 1:-1, 1:-1]


def max_pool(x: jax.Array) -> jax.Array:
    """[n, h, w, c] -> [n, (h-1)/2, (w-1)/2, c]: the maximum of every other 3x3 pixels."""
    return nn.max_pool(x, (3, 3), (2, 2))


def average_pool(x: jax.Array) -> jax.Array:
    """Means of 3x3 pixels, at the border of those that there are."""
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def concatenate(*branches: jax.Array) -> jax.Array:
    """Their channels, one branch after the other."""
    return jnp.concatenate(branches, -1)


class Block35(nn.Module):
    """[n, 35, 35, c] -> [n, 35, 35, 224 + pool]."""

    pool: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        one = conv(x, "branch1x1", 64, 1)
        five = conv(x, "branch5x5_1", 48, 1)
        five = conv(five, "branch5x5_2", 64, 5)
        twice = conv(x, "branch3x3dbl_1", 64, 1)
        twice = conv(twice, "branch3x3dbl_2", 96, 3)
        twice = conv(twice, "branch3x3dbl_3", 96, 3)
        return concatenate(one, five, twice, conv(average_pool(x), "branch_pool", self.pool, 1))


class Shrink35(nn.Module):
    """[n, 35, 35, 288] -> [n, 17, 17, 768]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        three = conv(x, "branch3x3", 384, 3, stride=2)
        twice = conv(x, "branch3x3dbl_1", 64, 1)
        twice = conv(twice, "branch3x3dbl_2", 96, 3)
        twice = conv(twice, "branch3x3dbl_3", 96, 3, stride=2)
        return concatenate(three, twice, max_pool(x))


class Block17(nn.Module):
    """[n, 17, 17, 768] -> [n, 17, 17, 768], through `width` channels."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        one = conv(x, "branch1x1", 192, 1)
        seven = conv(x, "branch7x7_1", self.width, 1)
        seven = conv(seven, "branch7x7_2", self.width, (1, 7))
        seven = conv(seven, "branch7x7_3", 192, (7, 1))
        twice = conv(x, "branch7x7dbl_1", self.width, 1)
        twice = conv(twice, "branch7x7dbl_2", self.width, (7, 1))
        twice = conv(twice, "branch7x7dbl_3", self.width, (1, 7))
        twice = conv(twice, "branch7x7dbl_4", self.width, (7, 1))
        twice = conv(twice, "branch7x7dbl_5", 192, (1, 7))
        return concatenate(one, seven, twice, conv(average_pool(x), "branch_pool", 192, 1))


class Shrink17(nn.Module):
    """[n, 17, 17, 768] -> [n, 8, 8, 1280]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        three = conv(x, "branch3x3_1", 192, 1)
        three = conv(three, "branch3x3_2", 320, 3, stride=2)
        seven = conv(x, "branch7x7x3_1", 192, 1)
        seven = conv(seven, "branch7x7x3_2", 192, (1, 7))
        seven = conv(seven, "branch7x7x3_3", 192, (7, 1))
        seven = conv(seven, "branch7x7x3_4", 192, 3, stride=2)
        return concatenate(three, seven, max_pool(x))


class Block8(nn.Module):
    """[n, 8, 8, c] -> [n, 8, 8, 2048]."""

    maximum: bool
    """Of 3x3 pixels in the pool's branch, instead of their mean."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        one = conv(x, "branch1x1", 320, 1)
        three = conv(x, "branch3x3_1", 384, 1)
        row = conv(three, "branch3x3_2a", 384, (1, 3))
        three = concatenate(row, conv(three, "branch3x3_2b", 384, (3, 1)))
        twice = conv(x, "branch3x3dbl_1", 448, 1)
        twice = conv(twice, "branch3x3dbl_2", 384, 3)
        row = conv(twice, "branch3x3dbl_3a", 384, (1, 3))
        twice = concatenate(row, conv(twice, "branch3x3dbl_3b", 384, (3, 1)))
        pooled = nn.max_pool(x, (3, 3), padding="SAME") if self.maximum else average_pool(x)
        return concatenate(one, three, twice, conv(pooled, "branch_pool", 192, 1))


class Network(nn.Module):
    """Pictures float32 [n, 299, 299, 3] in [-1, 1] -> features [n, tap]: means over the pixels, or
    the 1008 logits."""

    tap: int = 2048

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
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

"""DCGAN: convolutional networks (Radford, Metz & Chintala 2016, 1511.06434).

Section 3 and figure 1. Each stage of the generator doubles the side of an image and halves its
channels, with a transposed 4x4 convolution of stride 2. The discriminator mirrors it. Batch norm
follows every layer except the generator's output and the discriminator's input. Activations are
ReLU and leaky ReLU (0.2), weights are initialized from N(0, 0.02).

Deviations. Kernels are 4x4, as in the authors' later code, not 5x5: every output pixel then depends
on the same number of inputs. The paper's images have 64 pixels; 32 pixels have one stage less, and
28 pixels have two stages, from 7x7. Classes, which the paper does not have, are concatenated to z
as a one-hot vector and to the image as constant channels, as in Mirza & Osindero 2014 (1411.1784).
"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.layers import Conv, ConvTranspose
from gan_jax.networks.layers import Axis, Dtype, Output

STAGES = {28: 2, 32: 3, 64: 4}  # of stride 2, from 7x7 or 4x4
normal = nn.initializers.normal(0.02)


def num_stages(size: int) -> int:
    """Return how many times the side of an image is halved.

    Raises:
        ValueError: If `size` is not 28, 32 or 64 pixels.
    """
    if size not in STAGES:
        raise ValueError(f"dcgan: size must be one of {[*STAGES]}, got {size}")
    return STAGES[size]


def batch_norm(
    x: Float[Array, " n *shape"], *, train: bool, axis: str | None, dtype: Dtype
) -> Float[Array, " n *shape"]:
    """Apply batch norm with scales initialized from N(1, 0.02), as in the authors' code.

    Args:
        x: Features.
        train: Whether to use and update with the statistics of this batch.
        axis: Mapped device axis.
        dtype: Dtype of the output.

    Returns:
        Normalized features.
    """

    def scale_init(*args):
        return 1 + normal(*args)

    return layers.batch_norm(x, train=train, axis=axis, dtype=dtype, scale_init=scale_init)


class Generator(interface.Generator):
    """Generator, z [n, z_dim] and optional labels [n] -> images [n, size, size, channels]."""

    size: Literal[28, 32, 64] = 32
    """Side of an image in pixels."""
    channels: int = 3
    """Number of color channels: 1 for gray, 3 for RGB."""
    width: int = 64
    """Number of channels of the last hidden stage, doubled at each stage before it. Paper: 128."""
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
        count = num_stages(self.size)
        side, width = self.size >> count, self.width << (count - 1)

        def normalize(y: Array) -> Array:
            return nn.relu(batch_norm(y, train=train, axis=self.axis, dtype=self.dtype))

        z = jnp.concatenate([z, layers.one_hot(cond, self.classes, z.shape[0])], -1)
        # Equivalent to a transposed convolution of a single pixel.
        y = nn.Dense(side * side * width, False, dtype=self.dtype, kernel_init=normal)(z)
        y = normalize(y.reshape(z.shape[0], side, side, width))
        for stage in range(1, count):
            features = width >> stage
            y = ConvTranspose(features, use_bias=False, dtype=self.dtype, kernel_init=normal)(y)
            y = normalize(y)
        y = ConvTranspose(self.channels, dtype=self.dtype, kernel_init=normal)(y)
        return layers.activate(y.astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Discriminator, images [n, size, size, c] and optional labels [n] -> logits [n]."""

    size: Literal[28, 32, 64] = 32
    """Side of an image in pixels."""
    width: int = 64
    """Number of channels of the first stage, doubled at each stage after it. Paper: 128."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    auxiliary: bool = False
    """Auxiliary classifier (Odena et al. 2017, 1610.09585) instead of the constant channels: see
    `layers.sow_class_logits`."""
    norm: Literal["none", "batch", "spectral"] = "batch"
    """Normalization. batch: of all stages but the first, as in the paper; spectral: of every layer;
    none: for penalties on per-example gradients (WGAN-GP, R1), which batch norm does not have."""
    last_bias: bool = True
    """Bias of the logit. Relativistic losses do not depend on it (gan_jax/networks/mlp.py)."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and logits are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, " n"]:
        """Compute the logits of examples."""
        count = num_stages(self.size)
        layers.check_side("dcgan", self.size, x)
        if self.auxiliary and not self.classes:
            raise ValueError("dcgan: classes must be positive for an auxiliary classifier, got 0")

        def apply(module: nn.Module, y: Array) -> Array:
            if self.norm == "spectral":
                return layers.SpectralNorm(module)(y, train=train)
            return module(y)

        labels = layers.one_hot(cond, self.classes, len(x))[:, None, None]
        label_channels = jnp.broadcast_to(labels, (*x.shape[:3], self.classes))
        y = x if self.auxiliary else jnp.concatenate([x, label_channels], -1)
        for stage in range(count):
            has_batch_norm = self.norm == "batch" and stage > 0
            conv = Conv(
                self.width << stage,
                size=4,
                stride=2,
                use_bias=not has_batch_norm,
                dtype=self.dtype,
                kernel_init=normal,
            )
            y = apply(conv, y)
            if has_batch_norm:
                y = batch_norm(y, train=train, axis=self.axis, dtype=self.dtype)
            y = layers.activate(y, "leaky_relu")
        y = y.reshape(len(x), -1)
        last = nn.Dense(1, self.last_bias, dtype=self.dtype, kernel_init=normal)
        logits = apply(last, y)[:, 0].astype(jnp.float32)
        if self.auxiliary:
            classify = nn.Dense(self.classes, dtype=self.dtype, kernel_init=normal, name="classify")
            layers.sow_class_logits(self, apply(classify, y))
        return logits

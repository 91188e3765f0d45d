"""StyleGAN2 (Karras et al. 2020, 1912.04958, figs. 2 and 7), with the variants of ADA.

StyleGAN2-ADA (Karras et al. 2020, 2006.06676, appendix) has variants for CIFAR-10 and for class
labels. The defaults are configuration F at the given size (table 1): features of side r, from 4x4
to `size`, have min(channel_base / r, channel_max) channels. The generator sums the colors of all
resolutions ("skip"), the discriminator is residual ("resnet"). The layers are in
stylegan2_layers.py.

    paper, FFHQ 1024          the defaults, mixing 0.9; path length of weight 2, every 4 steps
    ADA's paper256            channel_base 16384, minibatch_std 8, mixing 0.9; path length as above
    ADA's CIFAR-10            Generator(mapping_layers=2),
                              Discriminator(architecture="orig", minibatch_std=32)

All randomness is in z, so images are a function of z (and labels) and do not depend on the devices.
A row of z ~ N(0, 1) has `z_dim` entries: the paper's z (`latent`), the noise images of the layers
from the lowest resolution to the highest, row by row, and with mixing > 0 a second z and two
numbers for the crossover layer and the decision to mix.

Deviations. Style mixing is sampled per example; the authors' code samples once per batch of a
device. Groups of the minibatch standard deviation are taken from the whole batch; theirs from the
batch of a device. With bfloat16, activations are not clamped; theirs are with float16. Noise is
always sampled; their fixed noise images correspond to keeping the tail of z.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gan_jax.networks import interface, layers
from gan_jax.networks.layers import Axis, Dtype, Output
from gan_jax.networks.r3gan import upsample
from gan_jax.networks.stylegan2_layers import Conv, Dense, StyledConv, ToRGB, normalize

Architecture = Literal["resnet", "orig"]
W_MOMENTUM = 0.995  # of the moving average of w, per training step


class Mapping(nn.Module):
    """Mapping network of z [n, latent] or None and one-hot labels -> w [n, features].

    z and the embedding of the labels are normalized and concatenated. The layers have 0.01 times
    the learning rate.
    """

    features: int
    """Number of entries of w and of hidden units."""
    layers: int
    """Number of layers."""

    @nn.compact
    def __call__(
        self, z: Float[Array, "n latent"] | None, labels: Float[Array, "n classes"]
    ) -> Float[Array, "n features"]:
        """Map latents and labels to w."""
        inputs = [] if z is None else [normalize(z)]
        if labels.shape[-1]:
            inputs.append(normalize(Dense(self.features, name="embed")(labels)))
        w = jnp.concatenate(inputs, -1)
        for _ in range(self.layers):
            w = Dense(self.features, rate=0.01, activated=True)(w)
        return w


class Generator(interface.Generator):
    """Generator, z [n, z_dim] and optional labels [n] -> images [n, size, size, channels].

    In training the collection `moments` holds the moving average of w, over all devices. If a
    collection `perturbations` with w [n, *w_shape] is passed, it is added to the w of the layers
    (gan_jax/training/objectives.py).
    """

    size: int = 32
    """Side of an image in pixels, a power of two from 8."""
    channels: int = 3
    """Number of color channels: 1 for gray, 3 for RGB."""
    channel_base: int = 32768
    """Number of channels times the side of a stage, up to `channel_max` channels."""
    channel_max: int = 512
    """Largest number of channels of a layer."""
    latent: int = 512
    """Number of entries of the paper's z, the first of z."""
    w_dim: int = 512
    """Number of entries of w, and width of the mapping network and of the label embedding."""
    mapping_layers: int = 8
    """Number of layers of the mapping network. Paper: 8; ADA on CIFAR-10: 2."""
    noise: bool = True
    """Noise added after every 3x3 convolution, with learned strengths."""
    mixing: float = 0.0
    """Probability of style mixing in training. Paper: 0.9."""
    truncation: float = 1.0
    """Truncation psi of w = mean + psi (w - mean) outside training (1812.04948, appendix B)."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    out: Output = "linear"
    """Output activation. The paper's pixels are [-1, 1], from a linear output."""
    dtype: Dtype = "float32"
    """Dtype of the four largest sizes except 4x4; parameters, styles and colors are float32."""
    axis: Axis = None

    @property
    def z_dim(self) -> int:
        """Number of entries of a row of z."""
        noise = sum(side**2 for side in self._noise_sides())
        return self.latent + noise + (self.latent + 2 if self.mixing > 0 else 0)

    @property
    def w_shape(self) -> tuple[int, int]:
        """Shape of an example's w: one row per convolution, and one for the last colors."""
        return 2 * len(stage_sides(self.size)), self.w_dim

    def _noise_sides(self) -> list[int]:
        return [
            side for side in stage_sides(self.size) for _ in range(1 + (side > 4)) if self.noise
        ]

    @nn.compact
    def __call__(
        self, z: Float[Array, "n z_dim"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, "n h w c"]:
        """Generate examples from latents."""
        if z.shape[-1] != self.z_dim:
            raise ValueError(f"stylegan2: z_dim must be {self.z_dim}, got {z.shape[-1]}")
        labels = layers.one_hot(cond, self.classes, z.shape[0])
        mapping = Mapping(self.w_dim, self.mapping_layers)
        w = mapping(z[:, : self.latent], labels)
        mean = self.variable("moments", "w_mean", jnp.zeros, (self.w_dim,))
        if train and not self.is_initializing() and self.is_mutable_collection("moments"):
            batch_mean = lax.pmean(w.mean(0), self.axis) if self.axis else w.mean(0)
            mean.value = batch_mean + W_MOMENTUM * (mean.value - batch_mean)
        if not train and self.truncation != 1:
            center = jnp.broadcast_to(mean.value, w.shape)
            w = center + self.truncation * (w - center)
        w = jnp.broadcast_to(w[:, None], (z.shape[0], *self.w_shape))
        if train and self.mixing > 0:
            tail = z[:, -self.latent - 2 :]
            w = mix_styles(w, mapping(tail[:, :-2], labels), tail[:, -2:], self.mixing)
        if not self.is_initializing():
            w = self.perturb("w", w)
        return layers.activate(self._synthesis(w, z[:, self.latent :]), self.out)

    def _synthesis(self, w: Array, noise: Array) -> Array:
        """Synthesize images from w [n, *w_shape] and noise [n, at least its pixels]."""

        def widths(side: int) -> int:
            return min(self.channel_base // side, self.channel_max)

        def conv(y: Array, side: int, up: bool) -> Array:
            nonlocal row, start
            pixels = None
            if self.noise:
                pixels = noise[:, start : start + side * side].reshape(-1, side, side, 1)
                start += side * side
            row += 1
            dtype = stage_dtype(side, self.size, self.dtype)
            return StyledConv(widths(side), up, dtype)(y, w[:, row - 1], pixels)

        row = start = 0
        constant = self.param("constant", nn.initializers.normal(1), (4, 4, widths(4)))
        y = jnp.broadcast_to(constant, (w.shape[0], *constant.shape))
        image = jnp.zeros((w.shape[0], 2, 2, self.channels))
        for side in stage_sides(self.size):
            y = conv(y, side, up=True) if side > 4 else y
            y = conv(y, side, up=False)
            # The colors share w with the first convolution of the next size.
            rgb = ToRGB(self.channels, stage_dtype(side, self.size, self.dtype))(y, w[:, row])
            image = upsample(image) + rgb
        return image


class Discriminator(interface.Discriminator):
    """Discriminator, images [n, size, size, c] and optional labels [n] -> logits [n].

    With classes, the logit is the inner product of the features and a mapped embedding of the
    label, both with the number of channels of the 4x4 features, over the root of that number.
    """

    size: int = 32
    """Side of an image in pixels, a power of two from 8."""
    channel_base: int = 32768
    """Number of channels times the side of a stage, up to `channel_max` channels."""
    channel_max: int = 512
    """Largest number of channels of a layer."""
    architecture: Architecture = "resnet"
    """Architecture. resnet: shortcut around the two convolutions of each size; orig: without, as
    ADA's for CIFAR-10."""
    minibatch_std: int = 4
    """Group size of the minibatch standard deviation; 0: none. ADA on CIFAR-10: 32."""
    mapping_layers: int = 8
    """Number of layers of the mapping network of the labels."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    last_bias: bool = True
    """Bias of the logit, or with classes of the features in the inner product. Relativistic losses
    do not depend on it (gan_jax/networks/mlp.py)."""
    dtype: Dtype = "float32"
    """Dtype of the four largest sizes except 4x4; parameters and logits are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, " n"]:
        """Compute the logits of examples."""
        smallest, *larger = stage_sides(self.size)
        layers.check_side("stylegan2", self.size, x)
        labels = layers.one_hot(cond, self.classes, len(x))

        def widths(side: int) -> int:
            return min(self.channel_base // side, self.channel_max)

        y = Conv(widths(self.size), 1, dtype=stage_dtype(self.size, self.size, self.dtype))(x)
        for side in reversed(larger):
            dtype = stage_dtype(side, self.size, self.dtype)
            shortcut = y
            y = Conv(widths(side), dtype=dtype)(y)
            y = Conv(widths(side // 2), down=True, dtype=dtype)(y)
            if self.architecture == "resnet":
                skip = Conv(widths(side // 2), 1, down=True, linear=True, dtype=dtype)
                y = 0.5**0.5 * (y + skip(shortcut))
        y, features = y.astype(jnp.float32), widths(smallest)
        if self.minibatch_std:
            y = layers.MinibatchStd(self.minibatch_std, self.axis)(y)
        y = Conv(features)(y)
        y = Dense(features, activated=True)(y.reshape(len(y), -1))
        if not self.classes:
            return Dense(1, use_bias=self.last_bias)(y)[:, 0]
        embedding = Mapping(features, self.mapping_layers)(None, labels)
        return (Dense(features, use_bias=self.last_bias)(y) * embedding).sum(-1) / features**0.5


def mix_styles(
    w: Float[Array, "n layers d"],
    other: Float[Array, "n d"],
    noise: Float[Array, "n 2"],
    probability: float,
) -> Float[Array, "n layers d"]:
    """Replace w by another from a random layer on (StyleGAN, 1812.04948, sec. 3.1).

    Args:
        w: Styles of the layers.
        other: Style of the later layers.
        noise: Samples of N(0, 1) per example: the first determines the crossover layer, from 1 to
            the last, with equal probability; the second determines whether to mix.
        probability: Probability of mixing.

    Returns:
        Mixed styles.
    """
    count = w.shape[1]
    position, threshold = jnp.moveaxis(jax.scipy.stats.norm.cdf(noise), 1, 0)
    crossover = 1 + jnp.minimum(jnp.floor(position * (count - 1)), count - 2)
    crossover = jnp.where(threshold < probability, crossover, count)
    is_before = jnp.arange(count)[None] < crossover[:, None]
    return jnp.where(is_before[:, :, None], w, other[:, None])


def stage_sides(size: int) -> list[int]:
    """Return the sides of all stages: 4, 8, ..., size.

    Raises:
        ValueError: If `size` is not a power of two from 8.

    Example:
        >>> stage_sides(32)
        [4, 8, 16, 32]
    """
    if size < 8 or size & (size - 1):
        raise ValueError(f"stylegan2: size must be a power of two from 8, got {size}")
    return [2**k for k in range(2, size.bit_length())]


def stage_dtype(side: int, size: int, dtype: Dtype) -> Dtype:
    """Return the dtype of a stage: `dtype` for the four largest except 4x4, else float32.

    Args:
        side: Side of the stage in pixels.
        size: Side of the image in pixels.
        dtype: Dtype of the four largest stages.

    Returns:
        The dtype of the stage.
    """
    return dtype if side >= max(size // 8, 8) else "float32"

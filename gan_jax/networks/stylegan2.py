"""StyleGAN2 (Karras et al. 2020, 1912.04958, figs. 2 and 7), and the changes that its successor ADA
made for CIFAR-10 and for class labels (Karras et al. 2020, 2006.06676, appendix).

The defaults are configuration F at the given size (table 1): pictures of side r, from 4x4 to
`size`, have min(channel_base / r, channel_max) channels. The generator sums the colours of all
sizes ("skip"), the discriminator is residual ("resnet"). The layers are in stylegan2_layers.py.

    paper, FFHQ 1024          the defaults, mixing 0.9; path length of weight 2, every 4 steps
    ADA's paper256            channel_base 16384, minibatch_std 8, mixing 0.9; path length as above
    ADA's CIFAR-10            Generator(mapping_layers=2),
                              Discriminator(architecture="orig", minibatch_std=32)

All that is random is in z, so pictures are a function of z (and labels) and do not depend on the
devices. A row of z ~ N(0, 1) has `z_dim` numbers: the paper's z (`latent`), the noise pictures of
the layers from the smallest to the largest, row by row, and with mixing > 0 a second z and two
numbers that say where and whether it takes over.

Deviations. Whether and where styles are mixed is drawn for each example; the authors' code draws
once a batch (of a device). Groups of the minibatch standard deviation are of the whole batch;
theirs of a device's. With bfloat16, activations are not clamped as theirs are with float16. Noise
is always drawn; their fixed noise pictures are a z whose tail is kept.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.networks import interface, layers
from gan_jax.networks.layers import Axis, Dtype, Output
from gan_jax.networks.r3gan import upsample
from gan_jax.networks.stylegan2_layers import Conv, Dense, StyledConv, ToRGB, normalize

Architecture = Literal["resnet", "orig"]
W_MOMENTUM = 0.995  # of the mean w, a training step


class Mapping(nn.Module):
    """z [n, latent] (or None) and one-hot labels [n, classes] (or [n, 0]) -> w [n, features].

    Each of z and the labels' embedding is normalised, then they are concatenated. The layers learn
    at 0.01 of the learning rate.
    """

    features: int
    layers: int

    @nn.compact
    def __call__(self, z: jax.Array | None, labels: jax.Array) -> jax.Array:
        inputs = [] if z is None else [normalize(z)]
        if labels.shape[-1]:
            inputs.append(normalize(Dense(self.features, name="embed")(labels)))
        w = jnp.concatenate(inputs, -1)
        for _ in range(self.layers):
            w = Dense(self.features, rate=0.01, activated=True)(w)
        return w


class Generator(interface.Generator):
    """z [n, z_dim] (and labels [n]) -> pictures [n, size, size, channels]; z_dim as above.

    In training the collection `moments` has the mean w, over all devices. Where a collection
    `perturbations` with w [n, *w_shape] is passed, it is added to the layers' w
    (gan_jax/training/path_length.py).
    """

    size: int = 32
    """Side of an image in pixels, a power of two from 8."""
    channels: int = 3
    """Number of color channels: 1 for gray, 3 for RGB."""
    channel_base: int = 32768
    """Channels times the side of the pictures, where that is below `channel_max`."""
    channel_max: int = 512
    """Most channels of a layer."""
    latent: int = 512
    """Numbers of the paper's z, the first of ours."""
    w_dim: int = 512
    """Numbers of w, also those of the mapping network's layers and of the labels' embedding."""
    mapping_layers: int = 8
    """Layers of the mapping network. Paper: 8; ADA on CIFAR-10: 2."""
    noise: bool = True
    """Noise pictures are added after every 3x3 convolution, with learned strengths."""
    mixing: float = 0.0
    """Probability, in training, that a second w takes over at some layer. Paper: 0.9."""
    truncation: float = 1.0
    """psi of w = mean + psi (w - mean), outside of training (StyleGAN, 1812.04948, appendix B)."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    out: Output = "linear"
    """Of the summed colours. The paper's pixels are [-1, 1], from a linear output."""
    dtype: Dtype = "float32"
    """Of the four largest sizes but 4x4; parameters, styles and sums of colours are float32."""
    axis: Axis = None

    @property
    def z_dim(self) -> int:
        """Numbers that a row of z must have."""
        noise = sum(side**2 for side in self._noise_sides())
        return self.latent + noise + (self.latent + 2 if self.mixing > 0 else 0)

    @property
    def w_shape(self) -> tuple[int, int]:
        """Of an example's w as the layers take it: one row a convolution, and the last colours'."""
        return 2 * len(stage_sides(self.size)), self.w_dim

    def _noise_sides(self) -> list[int]:
        return [
            side for side in stage_sides(self.size) for _ in range(1 + (side > 4)) if self.noise
        ]

    @nn.compact
    def __call__(self, z: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        if z.shape[-1] != self.z_dim:
            raise ValueError(f"stylegan2: z has {z.shape[-1]} numbers, it must be {self.z_dim}")
        labels = layers.one_hot(cond, self.classes, z.shape[0])
        mapping = Mapping(self.w_dim, self.mapping_layers)
        w = mapping(z[:, : self.latent], labels)
        mean = self.variable("moments", "w_mean", jnp.zeros, (self.w_dim,))
        if train and not self.is_initializing() and self.is_mutable_collection("moments"):
            now = lax.pmean(w.mean(0), self.axis) if self.axis else w.mean(0)
            mean.value = now + W_MOMENTUM * (mean.value - now)
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

    def _synthesis(self, w: jax.Array, noise: jax.Array) -> jax.Array:
        """Pictures, from the layers' w [n, *w_shape] and noise [n, at least its pixels]."""

        def widths(side: int) -> int:
            return min(self.channel_base // side, self.channel_max)

        def conv(y: jax.Array, side: int, up: bool) -> jax.Array:
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
        picture = jnp.zeros((w.shape[0], 2, 2, self.channels))
        for side in stage_sides(self.size):
            y = conv(y, side, up=True) if side > 4 else y
            y = conv(y, side, up=False)
            # The colours share the w of the next size's first convolution.
            rgb = ToRGB(self.channels, stage_dtype(side, self.size, self.dtype))(y, w[:, row])
            picture = upsample(picture) + rgb
        return picture


class Discriminator(interface.Discriminator):
    """Pictures [n, size, size, c] (and labels [n]) -> logits [n].

    With classes, the logit is the inner product of the features and a mapped embedding of the
    label, both with as many numbers as 4x4 pictures have channels, over the root of that number.
    """

    size: int = 32
    """Side of an image in pixels, a power of two from 8."""
    channel_base: int = 32768
    """Channels times the side of the pictures, where that is below `channel_max`."""
    channel_max: int = 512
    """Most channels of a layer."""
    architecture: Architecture = "resnet"
    """resnet: with a shortcut around each size's two convolutions; orig: without, as ADA's for
    CIFAR-10."""
    minibatch_std: int = 4
    """Group size of the minibatch standard deviation, 0 for none. ADA on CIFAR-10: 32."""
    mapping_layers: int = 8
    """Layers that the labels' embedding passes."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    last_bias: bool = True
    """A bias of the logit, with classes of the features that are compared. Relativistic losses do
    not see it (gan_jax/networks/mlp.py)."""
    dtype: Dtype = "float32"
    """Of the four largest sizes but 4x4; parameters and logits are float32."""
    axis: Axis = None

    @nn.compact
    def __call__(self, x: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
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


def mix_styles(w: jax.Array, other: jax.Array, draws: jax.Array, probability: float) -> jax.Array:
    """Style mixing (StyleGAN, 1812.04948, sec. 3.1): w [n, layers, d], from some layer on `other`
    [n, d].

    The first of the draws [n, 2] ~ N(0, 1) says where: at layer 1, 2, ... or the last, all equally
    likely. The second says whether, which it does with the given probability.
    """
    count = w.shape[1]
    where, whether = jnp.moveaxis(jax.scipy.stats.norm.cdf(draws), 1, 0)
    crossover = 1 + jnp.minimum(jnp.floor(where * (count - 1)), count - 2)
    crossover = jnp.where(whether < probability, crossover, count)
    own = jnp.arange(count)[None] < crossover[:, None]
    return jnp.where(own[:, :, None], w, other[:, None])


def stage_sides(size: int) -> list[int]:
    """4, 8, ..., size. Raises ValueError where size is not a power of two from 8."""
    if size < 8 or size & (size - 1):
        raise ValueError(f"stylegan2: size is {size}, it must be 8, 16, 32, ..., a power of two")
    return [2**k for k in range(2, size.bit_length())]


def stage_dtype(side: int, size: int, dtype: Dtype) -> Dtype:
    """Of the computation at one size of pictures: `dtype` at the four largest, never at 4x4."""
    return dtype if side >= max(size // 8, 8) else "float32"

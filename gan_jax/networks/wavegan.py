"""WaveGAN: DCGAN of raw sound (Donahue, McAuley & Puckette 2019, 1802.04208, sec. 3, tables 3, 4).

DCGAN's 5x5 convolutions of stride 2 flattened to kernels of 25 with stride 4: five stages between
16 places of 16 * width channels and 16384 samples. No batch norm; meant for WGAN-GP, five critic
updates a step and z uniform on [-1, 1]^100. Weights start from Glorot's uniform law, the default of
the authors' code.

Phase shuffle (sec. 3.3) shifts what each stage of the critic but the last makes by -n to n places,
reflected at the end that is left empty, so that the critic cannot tell fakes by the phase of the
artefacts that strided convolutions leave. Shifts are drawn per example and stage, from keys that
the step gives: `needs_rng` asks for them. Without keys nothing is shifted.

Deviations. The authors' code draws one shift for a whole batch. A penalty looks at an example with
the shifts of the real one. Sounds may be shorter: of 8192 samples the first stage has 8 places.
Classes, which the paper has not, join z as a one-hot vector; the critic has the projection of
Miyato & Koyama 2018 (1802.05637) on its last features. The learned filter after the generator, an
option of theirs, is left out.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.strided import Conv, ConvTranspose, glorot
from gan_jax.networks.layers import Dtype, Output

STRIDE = 4
FOLD = 1000  # of the stages' draws, apart from those that an augmentation makes of the same keys


def smallest_length(length: int, stages: int) -> int:
    """Of the smallest stage. Raises ValueError where stages of stride 4 do not divide the length
    into at least two, which reflection needs at the next one."""
    if length % STRIDE**stages or length < 2 * STRIDE**stages:
        raise ValueError(
            f"wavegan: length is {length}, it must be a multiple of {STRIDE**stages}, above it"
        )
    return length // STRIDE**stages


def phase_shuffle(x: jax.Array, shift: jax.Array, max_shift: int) -> jax.Array:
    """x [n, t, c] with the places of example i moved by shift[i] (int32, -most to most) towards the
    end; what is left empty is reflected. Raises ValueError unless most < t."""
    t = x.shape[1]
    if max_shift >= t:
        raise ValueError(f"wavegan: phase_shuffle is {max_shift}, it must be below the {t} places")
    padded = jnp.pad(x, ((0, 0), (max_shift, max_shift), (0, 0)), mode="reflect")
    y = x
    for by in range(-max_shift, max_shift + 1):  # quicker on CPUs than a gather and its gradient
        here = (shift == by)[:, None, None]
        y = jnp.where(here, padded[:, max_shift - by : max_shift - by + t], y) if by else y
    return y


class Generator(interface.Generator):
    """z [n, z_dim] (and labels [n]) -> sounds [n, length, channels] in [-1, 1]."""

    length: int = 16384
    """Samples of a sound, a multiple of 4^stages. Paper: 16384."""
    channels: int = 1
    """1 for mono."""
    width: int = 64
    """Channels of the last hidden stage; each one before it has twice as many."""
    stages: int = 5
    """Convolutions, each of stride 4."""
    classes: int = 0
    """Class labels, 0 for none."""
    out: Output = "tanh"
    """After the last convolution."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and output are float32."""

    @nn.compact
    def __call__(self, z: jax.Array, cond: jax.Array | None = None, *, train: bool) -> jax.Array:
        start, width = smallest_length(self.length, self.stages), self.width << (self.stages - 1)
        z = jnp.concatenate([z, layers.one_hot(cond, self.classes, z.shape[0])], -1)
        y = nn.Dense(start * width, dtype=self.dtype, kernel_init=glorot)(z)
        y = nn.relu(y.reshape(z.shape[0], start, width))
        for stage in range(1, self.stages):
            y = nn.relu(ConvTranspose(width >> stage, dtype=self.dtype)(y))
        y = ConvTranspose(self.channels, dtype=self.dtype)(y)
        return layers.activate(y.astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Sounds [n, length, c] (and labels [n], and keys [n]) -> logits [n]: the critic."""

    length: int = 16384
    """Samples of a sound, a multiple of 4^stages. Paper: 16384."""
    width: int = 64
    """Channels of the first stage; each one after it has twice as many."""
    stages: int = 5
    """Convolutions, each of stride 4."""
    phase_shuffle: int = 2
    """Most places that a stage's output is shifted by, 0 for none. Paper: 2."""
    classes: int = 0
    """Class labels, 0 for none."""
    last_bias: bool = True
    """A bias of the logit. Wasserstein and relativistic losses do not see it."""
    dtype: Dtype = "float32"
    """Of the computation; parameters and logits are float32."""

    @property
    def needs_rng(self) -> bool:
        """Whether it takes one key per example in training."""
        return self.phase_shuffle > 0

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        cond: jax.Array | None = None,
        keys: jax.Array | None = None,
        *,
        train: bool,
    ) -> jax.Array:
        smallest_length(self.length, self.stages)
        if x.shape[1] != self.length:
            raise ValueError(f"wavegan: length is {self.length}, sounds have {x.shape[1]} samples")
        labels, y, most = layers.one_hot(cond, self.classes, len(x)), x, self.phase_shuffle
        for stage in range(self.stages):
            y = layers.activate(Conv(self.width << stage, dtype=self.dtype)(y), "leaky_relu")
            if keys is not None and most and stage < self.stages - 1:
                own = jax.vmap(jax.random.fold_in, (0, None))(keys, FOLD + stage)
                shift = jax.vmap(lambda key: jax.random.randint(key, (), -most, most + 1))(own)
                y = phase_shuffle(y, shift, most)
        y = y.reshape(len(x), -1)
        last = nn.Dense(1, self.last_bias, dtype=self.dtype, kernel_init=glorot)
        logits = last(y)[:, 0].astype(jnp.float32)
        if self.classes:
            logits += layers.projection(labels, y, glorot)
        return logits

"""WaveGAN: DCGAN for waveforms.

Donahue, McAuley & Puckette 2019 (1802.04208), sec. 3, tables 3 and 4. DCGAN's 5x5 convolutions of
stride 2 become kernels of 25 with stride 4: five stages between 16 positions with 16 * width
channels and 16384 samples. There is no batch norm. Intended for WGAN-GP with five critic updates
per step and z uniform on [-1, 1]^100. Weights have Glorot's uniform initialization, the default of
the authors' code.

Phase shuffle (sec. 3.3) shifts the output of every stage of the critic except the last by -n to n
positions, with reflection at the boundary. The critic then cannot use the phase of the artifacts of
strided convolutions to detect fakes. Shifts are sampled per example and stage from the keys that
the train step passes (`needs_rng`). Without keys there is no shift.

Deviations. The authors' code samples one shift per batch. A penalty uses the shifts of the real
example. Waveforms may be shorter: for 8192 samples the first stage has 8 positions. Classes, which
the paper does not have, are concatenated to z as a one-hot vector; the critic has the projection of
Miyato & Koyama 2018 (1802.05637) on its last features. The authors' optional learned filter after
the generator is left out.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from gan_jax.networks import interface, layers
from gan_jax.networks.conv.strided import Conv, ConvTranspose, glorot
from gan_jax.networks.layers import Dtype, Output

STRIDE = 4
FOLD = 1000  # first number folded into the keys, distinct from those of the augmentations


def smallest_length(length: int, stages: int) -> int:
    """Return the length of the smallest stage, at least 2, which reflection requires.

    Raises:
        ValueError: If `length` is not a multiple of 4^stages, or not larger.
    """
    if length % STRIDE**stages or length < 2 * STRIDE**stages:
        allowed = f"a multiple of {STRIDE**stages} and larger"
        raise ValueError(f"wavegan: length must be {allowed}, got {length}")
    return length // STRIDE**stages


def phase_shuffle(
    x: Float[Array, "n t c"], shift: Int[Array, " n"], max_shift: int
) -> Float[Array, "n t c"]:
    """Shift every example along time, with reflection at the boundary.

    Args:
        x: Features.
        shift: Shift of each example towards the end, from -max_shift to max_shift.
        max_shift: Largest shift.

    Returns:
        Shifted features.

    Raises:
        ValueError: If `max_shift` is not below t.

    Example:
        >>> phase_shuffle(jnp.arange(4.0)[None, :, None], jnp.array([1]), 2).ravel().tolist()
        [1.0, 0.0, 1.0, 2.0]
    """
    t = x.shape[1]
    if max_shift >= t:
        raise ValueError(f"wavegan: phase_shuffle must be below {t} positions, got {max_shift}")
    padded = jnp.pad(x, ((0, 0), (max_shift, max_shift), (0, 0)), mode="reflect")
    y = x
    for offset in range(-max_shift, max_shift + 1):  # faster on CPUs than a gather
        is_offset, start = (shift == offset)[:, None, None], max_shift - offset
        y = jnp.where(is_offset, padded[:, start : start + t], y) if offset else y
    return y


class Generator(interface.Generator):
    """Generator, z [n, z_dim] and optional labels [n] -> waveforms [n, length, channels]."""

    length: int = 16384
    """Number of samples of a waveform, a multiple of 4^stages. Paper: 16384."""
    channels: int = 1
    """Number of audio channels: 1 for mono."""
    width: int = 64
    """Number of channels of the last hidden stage, doubled at each stage before it."""
    stages: int = 5
    """Number of convolutions, each of stride 4."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    out: Output = "tanh"
    """Output activation."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and output are float32."""

    @nn.compact
    def __call__(
        self, z: Float[Array, "n z_dim"], cond: Int[Array, " n"] | None = None, *, train: bool
    ) -> Float[Array, "n t c"]:
        """Generate examples from latents."""
        start, width = smallest_length(self.length, self.stages), self.width << (self.stages - 1)
        z = jnp.concatenate([z, layers.one_hot(cond, self.classes, z.shape[0])], -1)
        y = nn.Dense(start * width, dtype=self.dtype, kernel_init=glorot)(z)
        y = nn.relu(y.reshape(z.shape[0], start, width))
        for stage in range(1, self.stages):
            y = nn.relu(ConvTranspose(width >> stage, dtype=self.dtype)(y))
        y = ConvTranspose(self.channels, dtype=self.dtype)(y)
        return layers.activate(y.astype(jnp.float32), self.out)


class Discriminator(interface.Discriminator):
    """Critic, waveforms [n, length, c], optional labels [n] and keys [n] -> logits [n]."""

    length: int = 16384
    """Number of samples of a waveform, a multiple of 4^stages. Paper: 16384."""
    width: int = 64
    """Number of channels of the first stage, doubled at each stage after it."""
    stages: int = 5
    """Number of convolutions, each of stride 4."""
    phase_shuffle: int = 2
    """Largest shift of the output of a stage; 0: no phase shuffle. Paper: 2."""
    classes: int = 0
    """Number of classes; 0: unconditional."""
    last_bias: bool = True
    """Bias of the logit. Wasserstein and relativistic losses do not depend on it."""
    dtype: Dtype = "float32"
    """Dtype of the computation; parameters and logits are float32."""

    @property
    def needs_rng(self) -> bool:
        """Return whether `__call__` takes one key per example in training."""
        return self.phase_shuffle > 0

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "n t c"],
        cond: Int[Array, " n"] | None = None,
        keys: Key[Array, " n"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, " n"]:
        """Compute the logits of examples."""
        smallest_length(self.length, self.stages)
        if x.shape[1] != self.length:
            raise ValueError(
                f"wavegan: waveforms must have {self.length} samples, got {x.shape[1]}"
            )
        labels, y, n = layers.one_hot(cond, self.classes, len(x)), x, self.phase_shuffle
        for stage in range(self.stages):
            y = layers.activate(Conv(self.width << stage, dtype=self.dtype)(y), "leaky_relu")
            if keys is not None and n and stage < self.stages - 1:
                stage_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, FOLD + stage)
                shift = jax.vmap(lambda key: jax.random.randint(key, (), -n, n + 1))(stage_keys)
                y = phase_shuffle(y, shift, n)
        y = y.reshape(len(x), -1)
        last = nn.Dense(1, self.last_bias, dtype=self.dtype, kernel_init=glorot)
        logits = last(y)[:, 0].astype(jnp.float32)
        if self.classes:
            logits += layers.projection(labels, y, glorot)
        return logits

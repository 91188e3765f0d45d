"""Members of a run, as evaluators see them: trained generators and the samples to score."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config, population
from gan_jax.core import keys
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.data.images import pixels
from gan_jax.inference import sampling
from gan_jax.metrics.features import preprocess
from gan_jax.training import population_state
from gan_jax.training.state import TrainState, generator_variables

BATCH = 512  # samples in memory at a time


@dataclasses.dataclass(eq=False)
class Member:
    """A trained generator, and the seed of the latents that it is scored with."""

    config: Config
    variables: Any
    """Of the generator; the moving average where the run has one."""
    seed: int
    devices: Sequence[jax.Device] | None = None
    """Devices to sample on. None: one."""
    audio_format: AudioFormat | None = None
    """How examples of audio are heard."""
    diverged: bool = False
    """Whether a sample was not finite."""
    _heard: dict[int, list[tuple[np.ndarray, np.ndarray]]] = dataclasses.field(
        default_factory=dict, repr=False
    )

    @property
    def key(self) -> jax.Array:
        """PRNG key of the samples."""
        return keys.sample_key(self.seed)

    def samples(self, n: int) -> Iterator[np.ndarray]:
        """Yield batches of the first `n` samples, float32 [m, ...].

        Raises FloatingPointError if one is not finite.
        """
        for first in range(0, n, BATCH):
            count = min(BATCH, n - first)
            batch = sampling.sample(
                self.config, self.variables, self.key, count, first=first, devices=self.devices
            )
            if not np.isfinite(batch).all():
                self.diverged = True
                raise FloatingPointError("a sample is not finite")
            yield batch

    def images(self, n: int) -> Iterator[np.ndarray]:
        """Yield batches of the first `n` samples as uint8 images [m, h, w, c].

        Raises FloatingPointError if one is not finite.
        """
        if self.audio_format is not None:
            yield from (images for _, images in self.sounds(n))
            return
        for batch in self.samples(n):
            yield pixels.to_pixels(batch, symmetric=self.config.data.symmetric)

    def sounds(self, n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield batches of the first `n` samples as waves float32 [m, t] and log-mel images.

        They are kept, because several evaluators ask for them. Raises FloatingPointError if a
        sample is not finite.
        """
        assert self.audio_format is not None
        if n in self._heard:
            yield from self._heard[n]
            return
        batches = []
        for batch in self.samples(n):
            batches.append(preprocess.waves_and_images(batch, self.audio_format))
            yield batches[-1]
        self._heard[n] = batches


def members(
    config: Config,
    state: TrainState,
    seed: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    audio_format: AudioFormat | None = None,
) -> list[Member]:
    """Split the state of a run into its members.

    Args:
      config: the run's config.
      state: a state of the run.
      seed: seed of the latents of all members; by default each has its training seed.
      devices: devices to sample on.
      audio_format: how examples of audio are heard.

    Returns:
      The members in the order of `population.member_configs`.
    """
    alone = [
        population_state.member_run(config, state, i)
        for i in range(len(population.member_configs(config)))
    ]
    return [
        Member(
            member_config,
            generator_variables(member_state),
            member_config.seed if seed is None else seed,
            devices,
            audio_format,
        )
        for member_config, member_state in alone
    ]

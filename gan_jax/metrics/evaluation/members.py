"""Members of a run to evaluate: trained generators and the samples to score."""

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

BATCH = 512  # samples in memory at once


@dataclasses.dataclass(eq=False)
class Member:
    """Trained generator with the seed of the samples to score."""

    config: Config
    """Config of the member."""
    variables: Any
    """Variables of the generator, with the moving average of the weights if the run has one."""
    seed: int
    """Seed of the sampled latents."""
    devices: Sequence[jax.Device] | None = None
    """Devices to sample on. None: one."""
    audio_format: AudioFormat | None = None
    """Format of audio examples. None: the examples are not audio."""
    diverged: bool = False
    """Whether a sample was not finite."""
    _audio_batches: dict[int, list[tuple[np.ndarray, np.ndarray]]] = dataclasses.field(
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
            yield from (images for _, images in self.waves_and_images(n))
            return
        for batch in self.samples(n):
            yield pixels.to_pixels(batch, symmetric=self.config.data.symmetric)

    def waves_and_images(self, n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield batches of the first `n` samples as waveforms float32 [m, t] and log-mel images.

        They are cached, because several evaluators use them. Raises FloatingPointError if a sample
        is not finite.
        """
        assert self.audio_format is not None
        if n in self._audio_batches:
            yield from self._audio_batches[n]
            return
        batches = []
        for batch in self.samples(n):
            batches.append(preprocess.waves_and_images(batch, self.audio_format))
            yield batches[-1]
        self._audio_batches[n] = batches


def members(
    config: Config,
    state: TrainState,
    seed: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    audio_format: AudioFormat | None = None,
) -> list[Member]:
    """Split the state of a run into its members.

    Args:
        config: Config of the run.
        state: State of the run.
        seed: Seed of the latents of all members. None: each member uses its training seed.
        devices: Devices to sample on. None: one.
        audio_format: Format of audio examples. None: the examples are not audio.

    Returns:
        The members in the order of `population.member_configs`.
    """
    runs = [
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
        for member_config, member_state in runs
    ]

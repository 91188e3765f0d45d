"""A trained generator: its config and variables."""

from typing import Any, NamedTuple

from gan_jax.config import Config
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.data.batch import Batch


class TrainedGenerator(NamedTuple):
    """A generator as commands use it."""

    config: Config
    """Of the member; of an artefact with a generator that applies the exported functions."""
    variables: Any
    """Of the moving average, where there is one."""
    step: int
    """Train steps it has done."""
    member: int | None
    """Its number in a population; None: of no population."""
    example: Batch
    """What one example of the data looks like to a network: zeros [1, ...]."""
    audio_format: AudioFormat | None
    """How examples are heard; None where they are no sounds."""
    vocabulary: tuple[str, ...]
    """Of texts, else ()."""

    @property
    def title(self) -> str:
        """`step 1000`, with the member."""
        return f"step {self.step}" + ("" if self.member is None else f", member {self.member}")

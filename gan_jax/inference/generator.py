"""A trained generator: its config and variables."""

from typing import Any, NamedTuple

from gan_jax.config import Config
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.data.batch import Batch


class TrainedGenerator(NamedTuple):
    """A trained generator, ready to sample from."""

    config: Config
    """Config of the member. `gen` of an exported file applies the exported functions."""
    variables: Any
    """Variables of the generator: the moving average, if there is one."""
    step: int
    """Number of train steps."""
    member: int | None
    """Number of the member in a population; None outside of populations."""
    example: Batch
    """Dummy batch of one example, zeros [1, ...]."""
    audio_format: AudioFormat | None
    """Audio format of the examples; None if they are not audio."""
    vocabulary: tuple[str, ...]
    """Tokens of texts, else ()."""

    @property
    def title(self) -> str:
        """`step 1000`, followed by the member, if any."""
        return f"step {self.step}" + ("" if self.member is None else f", member {self.member}")

"""A trained generator: its config and variables."""

from typing import Any, NamedTuple

import numpy as np

from gan_jax.config import Config, TextData
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.data.batch import Batch
from gan_jax.inference import sampling, text


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

    def sample(self, n: int, *, seed: int = 0, cond: Any = None) -> np.ndarray:
        """Generate the samples of `gan-jax sample --seed`.

        Args:
            n: Number of samples. Sample i depends on the seed and on i, not on n.
            seed: Random seed of the latents.
            cond: Conditions, leaves [n, ...]; by default sample i has the label i mod classes.
                Generators of text take none.

        Returns:
            Samples float32 [n, ...], or tokens uint16 [n, t].
        """
        key = keys.sample_key(seed)
        if isinstance(self.config.data, TextData):
            if cond is not None:
                raise UserError("cond must be None for a generator of text, got conditions")
            return text.sample(self.config, self.variables, key, n)
        return sampling.sample(self.config, self.variables, key, n, cond)

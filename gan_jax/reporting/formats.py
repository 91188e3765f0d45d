"""How samples of each kind of data are generated, shown, and written to files.

A new type of data needs one class here and one entry in `FORMATS`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from PIL import Image

from gan_jax.config import AudioData, Config, Data, ImageData, PointData, TextData
from gan_jax.core import files
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.data.images import pixels
from gan_jax.inference import sampling, text
from gan_jax.metrics.features import preprocess
from gan_jax.reporting import audio, plots

SOUNDS_IN_FILE = 16


@dataclasses.dataclass(frozen=True)
class Context:
    """What samples are shown with."""

    config: Config
    audio_format: AudioFormat | None = None
    """Sample rate and spectrogram of audio."""
    vocabulary: Sequence[str] = ()
    """Tokens of texts."""
    real: np.ndarray | None = None
    """Real points, float32 [n, 2], drawn behind samples of points."""


class Format(Protocol):
    """How samples of one kind of data are generated, shown, and written."""

    suffix: str
    """Suffix of a file of samples, if no other is asked for."""
    in_run_folder: Mapping[str, int | None]
    """Suffixes of the files of one step, with the largest number of samples in each."""

    def sample(
        self, config: Config, variables: Any, key: jax.Array, n: int, cond: Any = None
    ) -> np.ndarray:
        """Generates samples.

        Args:
            config: The run.
            variables: Variables of its generator.
            key: PRNG key of the latents.
            n: Number of samples.
            cond: Inputs on which they are conditioned, leaves [n, ...]; by default labels in turn.

        Returns:
            Samples [n, ...].
        """
        ...

    def write(self, samples: np.ndarray, path: Path, columns: int, context: Context) -> None:
        """Writes samples to a file.

        Args:
            samples: Samples [n, ...].
            path: File. Its suffix decides the file format.
            columns: Samples in a row of a grid.
            context: What they are shown with.

        Raises:
            UserError: If the file cannot be written.
            ValueError: If there is no file format of the suffix.
        """


class _Drawn:
    """A format whose samples are drawn as one image."""

    suffix = ".png"
    in_run_folder: Mapping[str, int | None] = {".png": None}

    def sample(
        self, config: Config, variables: Any, key: jax.Array, n: int, cond: Any = None
    ) -> np.ndarray:
        return sampling.sample(config, variables, key, n, cond)

    def write(self, samples: np.ndarray, path: Path, columns: int, context: Context) -> None:
        save_image(self.draw(samples, columns, context), path)

    def draw(self, samples: np.ndarray, columns: int, context: Context) -> Image.Image:
        raise NotImplementedError


class Points(_Drawn):
    """Points of the plane, as densities."""

    def draw(self, samples: np.ndarray, columns: int, context: Context) -> Image.Image:  # noqa: ARG002
        return plots.density(samples, samples if context.real is None else context.real)


class Images(_Drawn):
    """Images in a grid; arrays of points, which an npz file may hold, as densities."""

    def draw(self, samples: np.ndarray, columns: int, context: Context) -> Image.Image:
        if samples.ndim == 2:
            return Points().draw(samples, columns, context)
        symmetric = context.config.data.symmetric
        return plots.grid(pixels.to_pixels(samples, symmetric=symmetric), columns)


class Audio(_Drawn):
    """Waveforms and mel spectrograms in a grid, or the sounds themselves as a WAV file."""

    in_run_folder: Mapping[str, int | None] = {".wav": SOUNDS_IN_FILE, ".png": None}

    def draw(self, samples: np.ndarray, columns: int, context: Context) -> Image.Image:
        assert context.audio_format is not None
        waves = preprocess.waveforms(samples, context.audio_format)
        return plots.grid(audio.audio_images(waves, context.audio_format.rate), columns)

    def write(self, samples: np.ndarray, path: Path, columns: int, context: Context) -> None:
        if path.suffix.lower() != ".wav":
            super().write(samples, path, columns, context)
            return
        assert context.audio_format is not None
        with files.writing(path):
            audio.write_wav(
                path, preprocess.waveforms(samples, context.audio_format), context.audio_format.rate
            )


class Text:
    """Sequences of tokens, one per line."""

    suffix = ".txt"
    in_run_folder: Mapping[str, int | None] = {".txt": None}

    def sample(
        self, config: Config, variables: Any, key: jax.Array, n: int, cond: Any = None
    ) -> np.ndarray:
        assert cond is None
        return text.sample(config, variables, key, n)

    def write(self, samples: np.ndarray, path: Path, columns: int, context: Context) -> None:  # noqa: ARG002
        with files.writing(path):
            lines = text.detokenize(context.config, samples, context.vocabulary)
            path.write_text(lines, encoding="utf-8")


FORMATS: dict[type[Data], Format] = {
    ImageData: Images(),
    PointData: Points(),
    AudioData: Audio(),
    TextData: Text(),
}


def format_of(config: Config) -> Format:
    """Returns the format of a run's samples."""
    return FORMATS[type(config.data)]


def save_image(image: Image.Image, path: Path) -> None:
    """Saves an image. Raises UserError if it cannot be written."""
    with files.writing(path):
        image.save(path)

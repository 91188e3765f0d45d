"""Formats of samples: how each type of data is generated, rendered and written to files.

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

CLIPS_IN_FILE = 16  # largest number of clips in a WAV file of a run folder


@dataclasses.dataclass(frozen=True)
class Context:
    """Metadata that rendering of samples needs."""

    config: Config
    """Config of the run."""
    audio_format: AudioFormat | None = None
    """Audio format of the samples, for audio."""
    vocabulary: Sequence[str] = ()
    """Strings of the tokens, for texts."""
    real: np.ndarray | None = None
    """Real points, float32 [n, 2], plotted behind samples of points."""


class Format(Protocol):
    """Interface of the formats: generation and output of one type of samples."""

    suffix: str
    """Default suffix of a file of samples."""
    in_run_folder: Mapping[str, int | None]
    """Suffixes of the files of one step, with the largest number of samples in each (None: all)."""

    def sample(
        self, config: Config, variables: Any, key: jax.Array, n: int, cond: Any = None
    ) -> np.ndarray:
        """Generate samples.

        Args:
            config: Config of the run.
            variables: Variables of its generator.
            key: PRNG key of the latents.
            n: Number of samples.
            cond: Inputs to condition on, leaves [n, ...]; labels in turn by default.

        Returns:
            Samples [n, ...].
        """
        ...

    def write(self, samples: np.ndarray, path: Path, columns: int, context: Context) -> None:
        """Write samples to a file.

        Args:
            samples: Samples [n, ...].
            path: File to write. Its suffix selects the file format.
            columns: Number of samples in a row of a grid.
            context: Metadata for rendering.

        Raises:
            UserError: If the file cannot be written.
            ValueError: If no file format has the suffix.
        """


class _ImageFormat:
    """Base class of formats that render samples as one image."""

    suffix = ".png"
    in_run_folder: Mapping[str, int | None] = {".png": None}

    def sample(
        self, config: Config, variables: Any, key: jax.Array, n: int, cond: Any = None
    ) -> np.ndarray:
        return sampling.sample(config, variables, key, n, cond)

    def write(self, samples: np.ndarray, path: Path, columns: int, context: Context) -> None:
        save_image(self.render(samples, columns, context), path)

    def render(self, samples: np.ndarray, columns: int, context: Context) -> Image.Image:
        """Render samples as one image.

        Args:
            samples: Samples [n, ...].
            columns: Number of samples in a row of a grid.
            context: Metadata for rendering.

        Returns:
            The image.
        """
        raise NotImplementedError


class Points(_ImageFormat):
    """Points of the plane, rendered as densities."""

    def render(self, samples: np.ndarray, columns: int, context: Context) -> Image.Image:  # noqa: ARG002
        return plots.density(samples, samples if context.real is None else context.real)


class Images(_ImageFormat):
    """Images in a grid. Points, which an npz file may hold, are rendered as densities."""

    def render(self, samples: np.ndarray, columns: int, context: Context) -> Image.Image:
        if samples.ndim == 2:
            return Points().render(samples, columns, context)
        symmetric = context.config.data.symmetric
        return plots.grid(pixels.to_pixels(samples, symmetric=symmetric), columns)


class Audio(_ImageFormat):
    """Audio: waveforms and mel spectrograms in a grid, or a WAV file."""

    in_run_folder: Mapping[str, int | None] = {".wav": CLIPS_IN_FILE, ".png": None}

    def render(self, samples: np.ndarray, columns: int, context: Context) -> Image.Image:
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
    """Sequences of tokens, one line each."""

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
    """Return the format of a run's samples."""
    return FORMATS[type(config.data)]


def save_image(image: Image.Image, path: Path) -> None:
    """Save an image. Raises UserError if it cannot be written."""
    with files.writing(path):
        image.save(path)

"""The pictures of a run folder: sample grids as it trains, the data once, and film strips; of a run
on sounds what they look like, and some to hear. Of texts files with a sentence a line."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from gan_jax.config import Config, TextData
from gan_jax.config.population import is_population, members
from gan_jax.core import files as core_files
from gan_jax.core import keys
from gan_jax.data import feeds
from gan_jax.data.images import pixels as images_pixels
from gan_jax.data.sources import Dataset
from gan_jax.inference import inpainting, sampling
from gan_jax.inference import text as inference_text
from gan_jax.metrics.features import preprocess
from gan_jax.reporting import audio, plots
from gan_jax.training.hooks import Chunk, Hook
from gan_jax.training.population_state import select
from gan_jax.training.state import TrainState, generator_variables

POINTS = 2560  # drawn of a generator of points
REPAIRS = 3  # of each picture
HEARD = 16  # sounds in a wav file


def _save(image: Image.Image, path: Path) -> None:
    with core_files.writing(path):
        image.save(path)


class SampleWriter(Hook):
    """Draws into samples/, every member of a population into a folder of its own there."""

    def __init__(self, workdir: Path, config: Config, dataset: Dataset, every: int = 1):
        """Writes samples every so many steps, and after the last one."""
        self._every = every
        self._workdir, self._config, self._dataset = workdir, config, dataset
        self._columns = sampling.classes(config) or 8
        self._text = isinstance(config.data, TextData)
        self._points = dataset.batch.real.ndim == 2 and not self._text
        self._count = POINTS if self._points else 8 * self._columns
        self._members = len(members(config))
        if config.masks.kinds:  # pictures in two blocks: known, repairs, whole
            self._columns, self._count = 2 * (REPAIRS + 2), 16

    def on_chunk(self, chunk: Chunk) -> None:
        if chunk.is_due(self._every) or chunk.last:
            self.samples(chunk.step, chunk.state)

    def folder(self, number: int) -> Path:
        """Where a member's samples are."""
        samples = self._workdir / "samples"
        return samples / f"member_{number:02d}" if is_population(self._config) else samples

    def _image(self, made: np.ndarray, path: Path) -> Image.Image:
        """Of examples; of sounds a wav file too, beside the picture's `path`."""
        if self._points:
            return plots.density(made, self._dataset.batch.real[:10_000])
        if sound := self._dataset.sound:
            waves = preprocess.waveforms(made, sound)
            with core_files.writing(heard := path.with_suffix(".wav")):
                audio.write(heard, waves[:HEARD], sound.rate)
            return plots.grid(audio.pictures(waves, sound.rate), self._columns)
        pixels = images_pixels.to_pixels(made, symmetric=self._config.data.symmetric)
        return plots.grid(pixels, self._columns)

    def _cond(self) -> Any:
        """Where the data has arrays to condition on, those of the first examples; else None, for
        the labels in turn."""
        if not self._config.data.cond:
            return None
        rows = np.arange(self._count) % len(self._dataset)
        first = jax.tree.map(lambda leaf: leaf[rows], self._dataset.batch)
        return jax.device_get(feeds.take(self._config, first, jnp.arange(self._count)).cond)

    def _repaired(self, variables: Any, key: jax.Array) -> Image.Image:
        """Of the first examples, with holes of all kinds in turn."""
        kinds, shown = self._config.masks.kinds, self._dataset.batch
        pictures, labels = jax.tree.map(lambda leaf: leaf[: self._count], (shown.real, shown.cond))
        drawn = [inpainting.holes(kind, key, pictures.shape) for kind in kinds]
        turn = np.arange(len(pictures))
        hole = np.stack(drawn)[turn % len(kinds), turn]
        made = inpainting.repair(self._config, variables, key, pictures, hole, REPAIRS, labels)
        return plots.grid(inpainting.show(pictures, hole, made), self._columns)

    def real(self) -> None:
        """real.png, or real.txt: examples of the data in the form of the samples."""
        shown = self._dataset.batch.real[: self._count]
        if self._text:
            self._write(shown, self._workdir / "samples" / "real")
            return
        made = np.asarray(feeds.scale(shown, symmetric=self._config.data.symmetric))
        path = self._workdir / "samples" / "real.png"
        _save(self._image(made, path), path)

    def _write(self, rows: np.ndarray, path: Path) -> None:
        text = inference_text.written(self._config, rows, self._dataset.vocabulary or ())
        path = path.with_suffix(".txt")
        with core_files.writing(path):
            path.write_text(text, encoding="utf-8")

    def samples(self, step: int, state: TrainState) -> None:
        """step_NNNNNNNN.png, of sounds .wav too, of texts .txt: samples of the z that is the same
        at every step of the run, or repairs of the same pictures."""
        shown = jax.device_put((generator_variables(state), state.key), jax.local_devices()[0])
        for number in range(self._members):
            variables, root = select(self._config, shown, number)
            key = keys.step_key(root, keys.Purpose.GRID, 0)
            folder = self.folder(number)
            folder.mkdir(exist_ok=True)
            path = folder / f"step_{step:08d}.png"
            if self._text:
                rows = inference_text.sample(self._config, variables, key, self._count)
                self._write(rows, path)
                continue
            if self._config.masks.kinds:
                image = self._repaired(variables, key)
            else:
                made = sampling.sample(self._config, variables, key, self._count, self._cond())
                image = self._image(made, path)
            _save(image, path)

    def film(self) -> None:
        """film.png, the run from top to bottom; of a population members.png, the members' last
        samples, of a sweep a row for each value of its first field. Of texts none."""
        frames = [sorted(self.folder(i).glob("step_*.png")) for i in range(self._members)]
        if not all(frames):
            return
        if is_population(self._config):
            sweep = self._config.sweep
            columns = self._members // len(sweep[0].values) if sweep else 1
            columns = columns if columns > 1 else min(self._members, 5)
            sheet = plots.sheet([files[-1] for files in frames], columns)
            _save(sheet, self._workdir / "members.png")
        for number, files in enumerate(frames):
            place = self.folder(number) if is_population(self._config) else self._workdir
            _save(plots.film(files, whole=self._points), place / "film.png")


class FilmStrip(Hook):
    """Joins the sample images into film strips at the end of a launch."""

    def __init__(self, samples: SampleWriter):
        self._samples = samples

    def on_end(self, state: TrainState, *, stopped: bool) -> None:  # noqa: ARG002
        self._samples.film()

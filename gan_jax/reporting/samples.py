"""Samples in a run folder: samples during training, real examples, and film strips."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import Config
from gan_jax.config.population import is_population, member_configs
from gan_jax.core import keys
from gan_jax.data import feeds
from gan_jax.data.sources import Dataset
from gan_jax.inference import inpainting, sampling
from gan_jax.reporting import plots
from gan_jax.reporting.formats import Context, format_of, save_image
from gan_jax.training.hooks import Chunk, Hook
from gan_jax.training.population_state import select_member
from gan_jax.training.state import TrainState, generator_variables

POINTS = 2560  # number of samples of a generator of points
INPAINTINGS = 3  # number of results for each masked image


class SampleWriter(Hook):
    """Hook that writes samples into samples/, with one folder for each member of a population.

    The latents are the same at every step, and so are the images that are inpainted.
    """

    def __init__(self, workdir: Path, config: Config, dataset: Dataset, every: int = 1):
        """Create the hook; samples are also written after the last step.

        Args:
            workdir: Run folder.
            config: Config of the run, or of a population.
            dataset: Data set of the run.
            every: Number of steps between samples.
        """
        self._workdir, self._config, self._dataset = workdir, config, dataset
        self._every, self._format = every, format_of(config)
        self._columns = sampling.num_classes(config) or 8
        is_points = dataset.batch.real.ndim == 2 and dataset.vocabulary is None
        self._count = POINTS if is_points else 8 * self._columns
        self._members = len(member_configs(config))
        if config.masks.kinds:  # two blocks of columns: masked image, results, original image
            self._columns, self._count = 2 * (INPAINTINGS + 2), 16
        points = dataset.batch.real[:10_000] if is_points else None
        self._context = Context(config, dataset.audio_format, dataset.vocabulary or (), points)
        self._is_points = is_points

    def on_chunk(self, chunk: Chunk) -> None:
        """Write samples if they are due."""
        if chunk.is_due(self._every) or chunk.last:
            self.samples(chunk.step, chunk.state)

    def folder(self, number: int) -> Path:
        """Return the folder of a member's samples."""
        samples = self._workdir / "samples"
        return samples / f"member_{number:02d}" if is_population(self._config) else samples

    def real(self) -> None:
        """Write examples of the data in the format of the samples, as samples/real.*."""
        real = feeds.to_network_range(
            self._dataset.batch.real[: self._count], symmetric=self._config.data.symmetric
        )
        self._write(np.asarray(real), self._workdir / "samples" / "real")

    def samples(self, step: int, state: TrainState) -> None:
        """Write the samples of a step, as step_NNNNNNNN.*."""
        replica = jax.device_put((generator_variables(state), state.key), jax.local_devices()[0])
        for number in range(self._members):
            variables, root = select_member(self._config, replica, number)
            key = keys.step_key(root, keys.Purpose.GRID, 0)
            folder = self.folder(number)
            folder.mkdir(exist_ok=True)
            path = folder / f"step_{step:08d}"
            if self._config.masks.kinds:
                save_image(self._inpainted(variables, key), path.with_suffix(".png"))
                continue
            config, count = self._config, self._count
            samples = self._format.sample(config, variables, key, count, self._cond())
            self._write(samples, path)

    def film(self) -> None:
        """Join the images of all steps into film.png, from top to bottom.

        For a population, members.png shows the last samples of all members; for a sweep, with one
        row for each value of its first field. Texts have neither.
        """
        frames = [sorted(self.folder(i).glob("step_*.png")) for i in range(self._members)]
        if not all(frames):
            return
        if is_population(self._config):
            sweep = self._config.sweep
            columns = self._members // len(sweep[0].values) if sweep else 1
            columns = columns if columns > 1 else min(self._members, 5)
            sheet = plots.sheet([images[-1] for images in frames], columns)
            save_image(sheet, self._workdir / "members.png")
        for number, images in enumerate(frames):
            folder = self.folder(number) if is_population(self._config) else self._workdir
            save_image(plots.film(images, is_strip=not self._is_points), folder / "film.png")

    def _write(self, samples: np.ndarray, path: Path) -> None:
        for suffix, count in self._format.in_run_folder.items():
            file = path.with_suffix(suffix)
            self._format.write(samples[:count], file, self._columns, self._context)

    def _cond(self) -> Any:
        """Return the conditions of the first examples, or None for labels in turn."""
        if not self._config.data.cond:
            return None
        rows = np.arange(self._count) % len(self._dataset)
        first = jax.tree.map(lambda leaf: leaf[rows], self._dataset.batch)
        return jax.device_get(
            feeds.take_examples(self._config, first, jnp.arange(self._count)).cond
        )

    def _inpainted(self, variables: Any, key: jax.Array) -> Any:
        """Plot the first images, with masks of all kinds in turn, and their inpainted results."""
        kinds, batch = self._config.masks.kinds, self._dataset.batch
        images, labels = jax.tree.map(lambda leaf: leaf[: self._count], (batch.real, batch.cond))
        masks = [inpainting.sample_masks(kind, key, images.shape) for kind in kinds]
        index = np.arange(len(images))
        mask = np.stack(masks)[index % len(kinds), index]
        config, count = self._config, INPAINTINGS
        results = inpainting.inpaint(config, variables, key, images, mask, count, labels)
        return plots.grid(inpainting.comparison_rows(images, mask, results), self._columns)


class FilmStrip(Hook):
    """Hook that joins the sample images into film strips at the end of a launch."""

    def __init__(self, samples: SampleWriter):
        """Create the hook for the samples of a `SampleWriter`."""
        self._samples = samples

    def on_end(self, state: TrainState, *, stopped: bool) -> None:  # noqa: ARG002
        """Write the film strips."""
        self._samples.film()

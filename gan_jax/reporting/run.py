"""A run folder, opened for analysis in Python or in a notebook."""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_jax.config import Config, population
from gan_jax.core.errors import UserError
from gan_jax.inference.generator import TrainedGenerator
from gan_jax.inference.load import load_generator
from gan_jax.reporting import curves
from gan_jax.runs import folder, metrics_log, restore, score_card


class Run(NamedTuple):
    """A run folder. Files are read when they are asked for, so a running run can be followed.

    In a notebook a run shows its newest sample grid and its training curves.
    """

    path: Path
    """Path of the run folder."""
    config: Config
    """Config of the run, or of the population."""

    @property
    def metrics(self) -> Any:
        """Logged training metrics: a pandas DataFrame indexed by step, or arrays without pandas.

        Columns are metric names, for a population pairs (metric, member). Without pandas: a
        dictionary of float64 arrays [rows] or [rows, members].
        """
        return _table(metrics_log.read_metrics(self.path))

    @property
    def training_scores(self) -> Any:
        """Scores computed during training, in the form of `metrics`; None if there are none."""
        _, scores = curves.read_curves(self.path)
        return None if scores is None else _table(scores)

    @property
    def scores(self) -> Any:
        """Score cards of `gan-jax evaluate`: a pandas DataFrame, or a list of dictionaries."""
        path = self.path / "scores.json"
        cards = score_card.read_cards(path) if path.exists() else []
        pandas = _pandas()
        return cards if pandas is None else pandas.DataFrame(cards)

    @property
    def checkpoints(self) -> list[int]:
        """Steps of the checkpoints in the folder, ascending."""
        return restore.checkpoint_steps(self.path)

    def generator(self, step: int | None = None, member: int | None = None) -> TrainedGenerator:
        """Load the trained generator.

        Args:
            step: Step of the checkpoint; the newest one if None.
            member: Member of a population; the first one if None.

        Returns:
            The generator with its moving average, if the run has one.

        Raises:
            UserError: If there is no such checkpoint or member.
        """
        return load_generator(self.path, step, member)

    def sample_files(self, member: int = 0) -> dict[int, Path]:
        """Return the sample images, or text files, that the run wrote, by step."""
        samples = self.path / "samples"
        if population.is_population(self.config):
            samples = samples / f"member_{member:02d}"
        files = sorted([*samples.glob("step_*.png"), *samples.glob("step_*.txt")])
        return {int(file.stem.removeprefix("step_")): file for file in files}

    def sample_grid(self, step: int | None = None, member: int = 0) -> Image.Image:
        """Open the sample grid that the run wrote at a step.

        Args:
            step: Step of the samples; the newest ones if None.
            member: Member of a population.

        Returns:
            The image.

        Raises:
            UserError: If there is no image of that step.
        """
        images = {s: f for s, f in self.sample_files(member).items() if f.suffix == ".png"}
        if not images or (step is not None and step not in images):
            steps = ", ".join(map(str, images)) or "none"
            raise UserError(f"step must be one with a sample image ({steps}), got {step}")
        with Image.open(images[max(images) if step is None else step]) as image:
            return image.copy()

    def curves(self) -> Any:
        """Plot the metrics and the scores during training as a matplotlib figure."""
        return curves.figure(*curves.read_curves(self.path))

    def _repr_html_(self) -> str:
        steps = max(self.sample_files(), default=0)
        title = f"<b>{html.escape(self.config.name)}</b>, {html.escape(str(self.path))}"
        parts = [f"<p>{title}: samples to step {steps} of {self.config.steps}</p>"]
        parts += [f'<img src="{source}" alt="{alt}">' for source, alt in self._images()]
        return "".join(parts)

    def _images(self) -> list[tuple[str, str]]:
        """Return the newest sample grid and the curves as data URIs, where they exist."""
        images = []
        if any(file.suffix == ".png" for file in self.sample_files().values()):
            images.append((_png_address(self.sample_grid()), "newest samples"))
        if (self.path / "metrics.jsonl").exists() and len(self._logged_steps()):
            file = io.BytesIO()
            self.curves().savefig(file, dpi=80)
            images.append((_address(file.getvalue()), "training curves"))
        return images

    def _logged_steps(self) -> np.ndarray:
        return metrics_log.read_metrics(self.path)["step"]


def open_run(path: Path | str) -> Run:
    """Open a run folder for analysis.

    Args:
        path: Run folder.

    Returns:
        The run: its config, metrics, scores, sample grids and generator.

    Raises:
        UserError: If the folder holds no run.
    """
    return Run(Path(path), folder.load_config(Path(path)))


def _table(columns: Mapping[str, np.ndarray]) -> Any:
    """Convert arrays by name, `step` among them, to a DataFrame where pandas is installed."""
    pandas = _pandas()
    if pandas is None:
        return dict(columns)
    series: dict[Any, np.ndarray] = {}
    for name, values in columns.items():
        if name == "step":
            continue
        members = {(name, i): column for i, column in enumerate(values.T)}
        series.update({name: values} if values.ndim == 1 else members)
    index = pandas.Index(np.asarray(columns["step"], np.int64), name="step")
    return pandas.DataFrame(series, index=index)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        return None
    return pandas


def _png_address(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return _address(file.getvalue())


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()

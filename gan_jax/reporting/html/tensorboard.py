"""A run's curves, scores and samples as TensorBoard event files, from what its folder holds."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from gan_jax.config import population
from gan_jax.core import files
from gan_jax.core.errors import UserError
from gan_jax.reporting import curves
from gan_jax.runs import folder as run_folder

FOLDER = "tensorboard"


def write_events(workdir: Path) -> str:
    """Writes RUN/tensorboard anew: a scalar a metric and a score, of a population in a folder a
    member; samples as pictures (of sounds too) or text. Returns what it wrote, in words.

    Raises UserError without the package tensorboardX.
    """
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
        raise UserError("tensorboardX is missing: pip install 'gan-jax[tensorboard]'") from None
    config, folder, count = run_folder.load_config(workdir), workdir / FOLDER, 0
    metrics, scores = curves.read_curves(workdir)
    several = population.is_population(config)
    with files.writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
    for member in range(len(population.member_configs(config))):
        of = f"member_{member:02d}" if several else "."
        with SummaryWriter(str(folder / of)) as writer:
            for kind, rows in (("train", metrics), ("score", scores or {})):
                count += _scalars(writer, kind, rows, member)
            for path in sorted((workdir / "samples" / of).glob("step_*")):
                _samples(writer, path)
    return f"{folder}: {count} numbers"


def _scalars(writer, kind: str, rows: dict[str, np.ndarray], member: int) -> int:
    """The finite ones, and how many."""
    written = 0
    for name in sorted(rows.keys() - {"step"}):
        columns = rows[name].reshape(len(rows["step"]), -1)
        for step, value in zip(rows["step"], columns[:, member], strict=True):
            if np.isfinite(value):
                writer.add_scalar(f"{kind}/{name}", float(value), int(step), walltime=0)
                written += 1
    return written


def _samples(writer, path: Path) -> None:
    step = int(path.stem.removeprefix("step_"))
    if path.suffix == ".txt":
        writer.add_text("samples", "    " + path.read_text("utf-8").replace("\n", "\n    "), step)
    elif path.suffix == ".png":
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        writer.add_image("samples", pixels, step, walltime=0, dataformats="HWC")

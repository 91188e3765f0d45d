"""Export of a run's curves, scores and samples to TensorBoard event files."""

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
    """Write the folder tensorboard/ of a run, replacing an earlier one.

    Metrics and scores are scalars, samples are images (also of audio) or text. Members of a
    population have folders of their own.

    Args:
        workdir: Run folder.

    Returns:
        Summary of the output, for the user.

    Raises:
        UserError: If the package tensorboardX is missing.
    """
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
        raise UserError("tensorboardX is missing: pip install 'gan-jax[tensorboard]'") from None
    config, folder, count = run_folder.load_config(workdir), workdir / FOLDER, 0
    metrics, scores = curves.read_curves(workdir)
    is_population = population.is_population(config)
    with files.writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
    for member in range(len(population.member_configs(config))):
        name = f"member_{member:02d}" if is_population else "."
        with SummaryWriter(str(folder / name)) as writer:
            for kind, rows in (("train", metrics), ("score", scores or {})):
                count += _scalars(writer, kind, rows, member)
            for path in sorted((workdir / "samples" / name).glob("step_*")):
                _samples(writer, path)
    return f"{folder}: {count} values"


def _scalars(writer, kind: str, rows: dict[str, np.ndarray], member: int) -> int:
    """Write the finite values of a member, and return their number."""
    count = 0
    for name in sorted(rows.keys() - {"step"}):
        columns = rows[name].reshape(len(rows["step"]), -1)
        for step, value in zip(rows["step"], columns[:, member], strict=True):
            if np.isfinite(value):
                writer.add_scalar(f"{kind}/{name}", float(value), int(step), walltime=0)
                count += 1
    return count


def _samples(writer, path: Path) -> None:
    step = int(path.stem.removeprefix("step_"))
    if path.suffix == ".txt":
        writer.add_text("samples", "    " + path.read_text("utf-8").replace("\n", "\n    "), step)
    elif path.suffix == ".png":
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        writer.add_image("samples", pixels, step, walltime=0, dataformats="HWC")

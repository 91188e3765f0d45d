"""Compare inversion of held-out images with the nearest of many samples.

    python -m studies.inversion_study --run RUN --out experiments/results/inversion.json

The study answers two questions. For real images that the run has not been trained on: how does the
error of inversion compare with that of the nearest of 10,000 samples? For images that the generator
made, whose latents exist: does inversion recover them, measured by the error of the image? Errors
are mean squared differences of pixels in [0, 1]. Images are not rounded to 256 levels.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.core import command_line, devices, keys
from gan_jax.data import sources
from gan_jax.inference import inversion, latent_space
from gan_jax.inference.inversion import Search
from gan_jax.inference.latent_space import LatentSpace
from gan_jax.inference.nearest import nearest_samples
from gan_jax.runs import folder
from gan_jax.runs.restore import restore_member
from gan_jax.training.state import generator_variables
from studies import common

RECOVERED = 1e-3  # largest error of a recovered image: a PSNR of 30 dB


@dataclasses.dataclass(frozen=True)
class Study:
    """Images to invert, and the file to write."""

    run: Path = Path("runs/mnist_dcgan_small")
    """Run folder."""
    member: int | None = None
    """Number of the member of a population; the first by default."""
    split: str = "test"
    """Split of the run's data with the held-out images."""
    num: int = 256
    """Number of held-out images, evenly spaced in their split, and of generated ones."""
    samples: int = 10_000
    """Number of samples of which the nearest one is compared."""
    seed: int = 0
    """Seed of the samples and of the generated images."""
    search: Search = Search()
    """Settings of the inversion."""
    out: Path | None = None
    """Path of the record; None writes none."""


def measure_errors(
    study: Study, space: LatentSpace, target: np.ndarray, cond: Any, key: Any
) -> dict[str, Any]:
    """Measure the errors of inversion and of the nearest samples.

    Args:
        study: Settings.
        space: Latent space of the generator.
        target: Images to invert, float32 [n, h, w, c] in [0, 1].
        cond: Class labels [n], or None.
        key: PRNG key of the samples.

    Returns:
        Statistics of both errors, and their ratio.
    """
    nearest = nearest_samples(space, target, key, study.samples, cond=cond)[0][:, 0]
    errors = inversion.invert(space, target, key, study.search, cond=cond, quiet=False).errors
    stds = {"inversion": errors.std(ddof=1), "nearest": nearest.std(ddof=1)}
    return {
        "inversion_error": float(errors.mean()),
        "inversion_median": float(np.median(errors)),
        "inversion_largest": float(errors.max()),
        "nearest_error": float(nearest.mean()),
        "standard_errors": {k: float(std / len(errors) ** 0.5) for k, std in stds.items()},
        "factor": float(nearest.mean() / errors.mean()),
        "share_nearer_than_nearest": float((errors < nearest).mean()),
        "share_found": float((errors < RECOVERED).mean()),
    }


def main() -> None:
    """Print the figures, and write them to --out."""
    study = command_line.parse(Study())
    step, _, config, state = restore_member(study.run, member=study.member)
    space = latent_space.make_latent_space(config, generator_variables(state))
    dataset = sources.load_split(config.data, study.split)
    indices = np.arange(study.num) * len(dataset) // study.num
    real = dataset.batch.real[indices].astype(np.float32) / 255
    labels = dataset.batch.cond[indices] if space.classes else None
    root = keys.root_key(study.seed)
    key, latent_key = (keys.step_key(root, keys.Purpose.SAMPLE, i) for i in range(2))
    latents = space.sample(keys.example_keys(latent_key, study.num), labels)
    generated = np.clip(np.asarray(space.generate(latents, labels)), 0, 1)
    figures = {
        "name": config.name,
        "step": step,
        "seed": study.seed,
        "pictures": f"{config.data.name} {study.split}, {study.num} of {len(dataset)}",
        "samples": study.samples,
        "search": vars(study.search),
        "held_out": measure_errors(study, space, real, labels, key),
        "generated": measure_errors(study, space, generated, labels, key),
        "versions": folder.run_versions(dataset, devices.pick_devices(1)),
    }
    print(json.dumps({name: figures[name] for name in ("held_out", "generated")}, indent=1))
    if study.out:
        common.write_record(study.out, figures)


if __name__ == "__main__":
    with command_line.user_errors():
        main()

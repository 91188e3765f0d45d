"""How near a run's generator comes to held-out pictures: by inversion, and by many random samples.

Data     that of the run, its split `--split`
Command  python -m studies.inversion_study --run runs/mnist_dcgan_small \\
             --out experiments/results/inversion.json
Result   experiments/results/inversion.json

Two questions. Of real pictures that the run has not seen: the error of the inversion against that
of the nearest of 10,000 samples. Of pictures that the generator made itself, whose latents exist:
whether they are found again, up to the error of the picture. Errors are mean squared differences of
pixels in [0, 1]; pictures are not rounded to 256 levels.
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

FOUND = 1e-3  # the error, a 30 dB PSNR, below which a generated picture counts as found again


@dataclasses.dataclass(frozen=True)
class Study:
    """What to invert, and where to put the figures."""

    run: Path = Path("runs/mnist_dcgan_small")
    member: int | None = None
    """Of a population; by default the first."""
    split: str = "test"
    num: int = 256
    """Held-out pictures, evenly spaced in their split; and as many generated ones."""
    samples: int = 10_000
    """Of which the nearest one is compared."""
    seed: int = 0
    search: Search = Search()
    out: Path | None = None


def measured(
    study: Study, space: LatentSpace, target: np.ndarray, cond: Any, key: Any
) -> dict[str, Any]:
    """Errors of the inversions of the targets, and of their nearest samples."""
    near = nearest_samples(space, target, key, study.samples, cond=cond)[0][:, 0]
    errors = inversion.invert(space, target, key, study.search, cond=cond, quiet=False).errors
    deviation = {"inversion": errors.std(ddof=1), "nearest": near.std(ddof=1)}
    return {
        "inversion_error": float(errors.mean()),
        "inversion_median": float(np.median(errors)),
        "inversion_largest": float(errors.max()),
        "nearest_error": float(near.mean()),
        "standard_errors": {k: float(sd / len(errors) ** 0.5) for k, sd in deviation.items()},
        "factor": float(near.mean() / errors.mean()),
        "share_nearer_than_nearest": float((errors < near).mean()),
        "share_found": float((errors < FOUND).mean()),
    }


def main() -> None:
    """Prints the figures, and writes them to --out."""
    study = command_line.parse(Study())
    step, _, config, state = restore_member(study.run, member=study.member)
    space = latent_space.make_latent_space(config, generator_variables(state))
    dataset = sources.load_split(config.data, study.split)
    picked = np.arange(study.num) * len(dataset) // study.num
    real = dataset.batch.real[picked].astype(np.float32) / 255
    labels = dataset.batch.cond[picked] if space.classes else None
    root = keys.root_key(study.seed)
    key, others = (keys.step_key(root, keys.Purpose.SAMPLE, i) for i in range(2))
    latents = space.sample(keys.example_keys(others, study.num), labels)
    made = np.clip(np.asarray(space.generate(latents, labels)), 0, 1)
    figures = {
        "name": config.name,
        "step": step,
        "seed": study.seed,
        "pictures": f"{config.data.name} {study.split}, {study.num} of {len(dataset)}",
        "samples": study.samples,
        "search": vars(study.search),
        "held_out": measured(study, space, real, labels, key),
        "generated": measured(study, space, made, labels, key),
        "versions": folder.run_versions(dataset, devices.pick_devices(1)),
    }
    print(json.dumps({name: figures[name] for name in ("held_out", "generated")}, indent=1))
    if study.out:
        common.write_record(study.out, figures)


if __name__ == "__main__":
    with command_line.user_errors():
        main()

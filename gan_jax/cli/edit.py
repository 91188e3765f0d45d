"""Commands that edit given images: invert and inpaint."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from gan_jax.cli.shared import (
    FeatureArgs,
    Flat,
    GeneratorArgs,
    Group,
    Output,
    check_at_least,
    open_generator,
    refuse_existing,
)

if TYPE_CHECKING:
    import numpy as np

    from gan_jax.config import Config
    from gan_jax.inference.generator import TrainedGenerator
    from gan_jax.inference.inversion import Inversion, Search

COLUMNS = 16  # images per row of the grid
FILES = ("grid.png", "latents.npz", "errors.json")  # output of `invert`


@dataclasses.dataclass(frozen=True)
class InvertArgs(GeneratorArgs):
    """A trained generator, and images."""

    images: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[IMAGES]")] = None
    """Path to a folder of images, instead of a --split of the data of the run."""


@dataclasses.dataclass(frozen=True)
class InpaintArgs(GeneratorArgs):
    """A generator that was trained with masks, and images."""

    images: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IMAGES")]
    """Path to a folder of images of any size."""


@dataclasses.dataclass(frozen=True)
class SearchArgs:
    """Optimization of the latents."""

    iterations: int = 500
    """Number of Adam steps."""
    lr: float = 0.05
    """Maximum learning rate of Adam."""
    restarts: int = 4
    """Number of optimizations per image, from different samples."""
    samples: int = 1000
    """Number of random samples, of which the nearest ones are starting points."""
    prior: float = 1e-3
    """Weight of the log prior of normal z."""


def invert(
    generator: Group[InvertArgs],
    output: Flat[Output],
    split: str | None = None,
    num_images: int | None = None,
    data: str | None = None,
    mask_kind: Literal["box", "half", "strokes", "random"] | None = None,
    seed: int = 0,
    space: Literal["z", "w"] | None = None,
    perceptual: float = 0.1,
    feature: Group[FeatureArgs] = FeatureArgs(),  # noqa: B008
    search: Group[SearchArgs] = SearchArgs(),
) -> None:
    """Invert images: find the latents that generate the most similar images.

    Writes grid.png (each image above its inversion), latents.npz, and errors.json. A
    class-conditional generator uses the labels of the split; for a folder of images all classes are
    tried. With --mask-kind the error ignores masked pixels, so the inversion inpaints them.

    Args:
        generator: A trained generator, and images.
        output: Output folder.
        split: Split of the data of the run to invert instead of a folder, for example test.
        num_images: Number of images, evenly spaced; by default all.
        data: Path to the data set, if it has moved since training.
        mask_kind: Kind of masks; by default none.
        seed: Random seed of the starting points and the masks.
        space: Latent space; by default w if the generator has one, else z.
        perceptual: Weight of the perceptual loss, used with --features.
        feature: Features of the perceptual loss.
        search: Optimization of the latents.
    """
    import numpy as np

    from gan_jax.core.errors import UserError
    from gan_jax.inference import inpainting, inversion

    refuse_existing(output.force, *(output.out / name for name in FILES))
    check_at_least(1, num_images=num_images)
    if (generator.images is None) == (split is None):
        number = "neither" if split is None else "both"
        raise UserError(f"images must be either a folder or a --split, got {number}")
    method = inversion.Search(*dataclasses.astuple(search))
    loaded, latent_space, key = open_generator(generator, space, seed)
    pixels, labels, source = _images(generator.images, split, data, num_images, loaded)
    term = _perceptual_term(feature, perceptual, data, loaded.config)
    mask = None if mask_kind is None else inpainting.sample_masks(mask_kind, key, pixels.shape)
    result = inversion.invert(
        latent_space,
        pixels.astype(np.float32) / 255,
        key,
        method,
        cond=labels,
        mask=mask,
        term=term,
        quiet=False,
    )
    targets = pixels if mask is None else np.where(mask, np.uint8(128), pixels)
    error = "mean squared difference of pixels in [0, 1]"
    record = {
        "name": loaded.config.name,
        "step": loaded.step,
        "seed": seed,
        "pictures": source,
        "hole": mask_kind,
        "space": "w" if latent_space.distribution == "w" else "z",
        "error": error + (f" + {perceptual} x {feature.features}" if term else ""),
    }
    _write_inversion(output.out, targets, result, record, method)
    summary = f"{len(result.images)} images, {loaded.title}"
    print(f"{output.out}: {summary}: mean error {float(result.errors.mean()):.5f}")


def _write_inversion(
    out: Path,
    targets: "np.ndarray",
    result: "Inversion",
    record: dict[str, Any],
    search: "Search",
) -> None:
    """Write the files of an inversion into the folder `out`."""
    import numpy as np

    from gan_jax.core import devices, files
    from gan_jax.data.images import pixels as images_pixels
    from gan_jax.reporting import plots
    from gan_jax.runs import folder as run_folder
    from gan_jax.runs import timing

    images = images_pixels.to_pixels(result.images, symmetric=False)
    arrays: dict[str, Any] = {
        "latents": result.latents,
        "pictures": images,
        "errors": result.errors,
    }
    if result.labels is not None:
        arrays["labels"] = result.labels
    report = {
        "command": timing.launch_command(),
        **record,
        "search": vars(search),
        "mean_error": float(result.errors.mean()),
        "errors": [float(error) for error in result.errors],
        "versions": run_folder.environment(devices.pick_devices(1)),
    }
    out.mkdir(parents=True, exist_ok=True)
    grid, latents, errors = (out / name for name in FILES)
    plots.grid(_pair_rows(targets, images), min(COLUMNS, len(images))).save(grid)
    np.savez(latents, **arrays)
    files.write_atomically(errors, json.dumps(report, indent=1) + "\n")


def _images(
    folder: Path | None,
    split: str | None,
    data: str | None,
    count: int | None,
    generator: "TrainedGenerator",
) -> tuple["np.ndarray", "np.ndarray | None", str]:
    """Load images uint8 [n, h, w, c], labels for a conditional generator, and their source."""
    import numpy as np

    from gan_jax.config import ImageData, schema
    from gan_jax.data import sources
    from gan_jax.inference import sampling

    config = generator.config
    if split is None:
        height, width, channels = generator.example.real.shape[1:]
        size = height if height == width else None
        dataset = sources.load(ImageData("folder", path=str(folder), size=size, channels=channels))
        source = str(folder)
    else:
        dataset = sources.load_split(schema.with_data_dir(config.data, data), split)
        source = f"{config.data.name} {split}"
    count = min(count or len(dataset), len(dataset))
    picked = np.arange(count) * len(dataset) // count
    labels = None
    if split is not None and sampling.num_classes(config) and dataset.labels is not None:
        labels = dataset.labels[picked]
    return dataset.batch.real[picked], labels, f"{source}, {count} of {len(dataset)}, evenly spaced"


def _perceptual_term(
    feature: FeatureArgs, weight: float, data: str | None, config: "Config"
) -> Any:
    """Return the perceptual loss, or None without features."""
    if feature.features is None:
        return None
    from gan_jax.config import schema
    from gan_jax.metrics.evaluation.generator import require_extractor
    from gan_jax.metrics.features import perceptual as features_perceptual
    from gan_jax.metrics.features.select import select_features

    features = select_features(
        feature.features, schema.with_data_dir(config.data, data), feature.weights
    )
    return features_perceptual.perceptual(require_extractor(features), weight)


def _pair_rows(above: "np.ndarray", below: "np.ndarray") -> "np.ndarray":
    """Arrange two sets of images [n, h, w, c] in alternating rows, padded with white images."""
    import numpy as np

    columns, rows = min(COLUMNS, len(above)), []
    for first in range(0, len(above), columns):
        for images in (above, below):
            row = images[first : first + columns]
            rows.append(row)
            rows.append(np.full((columns - len(row), *row.shape[1:]), 255, np.uint8))
    return np.concatenate(rows)


def inpaint(
    generator: Group[InpaintArgs],
    output: Flat[Output],
    mask: str,
    num_samples: int = 1,
    fit: Literal["resize", "tiles"] = "resize",
    seed: int = 0,
) -> None:
    """Inpaint the masked pixels of a folder of images of any size; other pixels do not change.

    Args:
        generator: A generator that was trained with masks, and images.
        output: Output folder.
        mask: Folder of masks, named as the images (white: inpaint), a color #rrggbb, or alpha.
        num_samples: Number of inpainted versions of each image.
        fit: Method for images of other sizes: resize the image, or inpaint tile by tile.
        seed: Random seed of the latents.
    """
    from gan_jax.inference.inpainting_files import inpaint_folder

    check_at_least(1, num_samples=num_samples)
    inpainted, total = inpaint_folder(
        generator.run,
        generator.images,
        output.out,
        mask,
        count=num_samples,
        seed=seed,
        member=generator.member,
        step=generator.step,
        fit=fit,
        force=output.force,
    )
    print(f"{output.out}: {inpainted} of {total} images inpainted")

"""python -m gan_jax invert: latents of given pictures. Nothing heavy is imported before it runs."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_jax import editing_commands

if TYPE_CHECKING:
    import numpy as np

    from gan_jax.config import Config, Data
    from gan_jax.data.sources import Dataset
    from gan_jax.trained import Trained

COLUMNS = 16  # of pictures and their inversions


def invert(args: argparse.Namespace) -> None:
    """Finds latents whose pictures are nearest to given ones: those below the folder PICTURES,
    brought to the run's size, or of a --split of the run's own data. Writes grid.png (each picture
    above its inversion), latents.npz and errors.json into --out. A class-conditional generator is
    given the split's labels; of a folder's pictures every class is tried. With --hole a hole of
    that kind is cut into each picture, and filled by what fits the rest."""
    import numpy as np

    from gan_jax import inversion, logs, placement, plots, repair, run
    from gan_jax.errors import UserError

    names = ("grid.png", "latents.npz", "errors.json")
    editing_commands.refuse_existing(args, *(args.out / name for name in names))
    if (args.pictures is None) == (args.split is None):
        raise UserError("give a folder of pictures or a --split: one of the two")
    search = inversion.Search(args.iterations, args.lr, args.restarts, args.samples, args.prior)
    generator, space, key = editing_commands.opened(args)
    config = generator.config
    pixels, labels, source = _pictures(args, generator)
    term = _term(args, config)
    target = pixels.astype(np.float32) / 255
    mask = None if args.hole is None else repair.holes(args.hole, key, pixels.shape)
    found = inversion.invert(
        space, target, key, search, cond=labels, mask=mask, term=term, quiet=False
    )
    made = plots.to_pixels(found.pictures, symmetric=False)
    shown = pixels if mask is None else np.where(mask, np.uint8(128), pixels)
    arrays: dict[str, Any] = {"latents": found.latents, "pictures": made, "errors": found.errors}
    if found.labels is not None:
        arrays["labels"] = found.labels
    report = {
        "command": logs.command(),
        "name": config.name,
        "step": generator.step,
        "seed": args.seed,
        "pictures": source,
        "hole": args.hole,
        "space": "w" if space.law == "w" else "z",
        "search": vars(search),
        "error": "mean squared difference of pixels in [0, 1]"
        + (f" + {args.perceptual} x {args.features}" if term else ""),
        "mean_error": float(found.errors.mean()),
        "errors": [float(error) for error in found.errors],
        "versions": run.packages(placement.pick_devices(1)),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    plots.grid(_paired(shown, made), min(COLUMNS, len(made))).save(args.out / names[0])
    np.savez(args.out / names[1], **arrays)
    logs.write_atomically(args.out / names[2], json.dumps(report, indent=1) + "\n")
    error = f"mean error {report['mean_error']:.5f}"
    print(f"{args.out}: {len(made)} pictures, {generator.title}: {error}")


def load_split(data: "Data", split: str) -> "Dataset":
    """The data that `data` names, but of the split. Raises UserError if it is not there."""
    import dataclasses

    from gan_jax.data import sources
    from gan_jax.errors import UserError

    if data.name in ("folder", "npz"):
        raise UserError(f"split is {split!r}: data set {data.name!r} has none; give a folder")
    return sources.load(dataclasses.replace(data, split=split, per_class=0))


def _pictures(
    args: argparse.Namespace, generator: "Trained"
) -> tuple["np.ndarray", "np.ndarray | None", str]:
    """Pictures uint8 [n, h, w, c], their labels where the generator takes such, and where they are
    from, in words."""
    import numpy as np

    from gan_jax import sampling
    from gan_jax.config import Data
    from gan_jax.data import sources
    from gan_jax.metrics.evaluation import evaluate

    if args.num is not None:
        editing_commands.at_least(args, num=1)
    config = generator.config
    if args.split is None:
        height, width, channels = generator.example.real.shape[1:]
        size = height if height == width else None
        dataset = sources.load(
            Data("folder", path=str(args.pictures), size=size, channels=channels)
        )
        where = str(args.pictures)
    else:
        dataset = load_split(evaluate.moved(config.data, args.data), args.split)
        where = f"{config.data.name} {args.split}"
    count = min(args.num or len(dataset), len(dataset))
    picked = np.arange(count) * len(dataset) // count
    known = args.split is not None and sampling.classes(config) and dataset.labels is not None
    labels = dataset.labels[picked] if known and dataset.labels is not None else None
    return dataset.batch.real[picked], labels, f"{where}, {count} of {len(dataset)}, evenly spaced"


def _term(args: argparse.Namespace, config: "Config") -> Any:
    """The perceptual term that is asked for, or None."""
    if args.features is None:
        return None
    from gan_jax import inversion
    from gan_jax.metrics.evaluation import evaluate
    from gan_jax.metrics.evaluation.generator import require_extractor
    from gan_jax.metrics.features.select import select_features

    data = evaluate.moved(config.data, args.data)
    features = require_extractor(select_features(args.features, data, args.weights))
    return inversion.perceptual(features, args.perceptual)


def _paired(above: "np.ndarray", below: "np.ndarray") -> "np.ndarray":
    """Pictures [n, h, w, c] in rows of at most COLUMNS, each above its counterparts; white fills a
    short row up."""
    import numpy as np

    columns, made = min(COLUMNS, len(above)), []
    for first in range(0, len(above), columns):
        for pictures in (above, below):
            row = pictures[first : first + columns]
            made.append(row)
            made.append(np.full((columns - len(row), *row.shape[1:]), 255, np.uint8))
    return np.concatenate(made)


def add(command: editing_commands.Command) -> None:
    """Adds the command, as editing_commands.add does its own."""
    one = editing_commands.common(command, invert, "latents of given pictures", "folder")
    one.add_argument("pictures", type=Path, nargs="?", help="folder of pictures")
    one.add_argument("--split", help="of the run's data, instead of a folder: test, say")
    holes = ("box", "half", "free", "pixels")  # as gan_jax/masks.py, which imports jax
    one.add_argument("--hole", choices=holes, help="cut such holes, and repair them")
    one.add_argument("--num", type=int, help="so many of the pictures, evenly spaced")
    one.add_argument("--data", help="where the data lies, if not where it was trained on")
    one.add_argument("--iterations", type=int, default=500, help="of Adam (default 500)")
    one.add_argument("--lr", type=float, default=0.05, help="Adam's highest (default 0.05)")
    one.add_argument("--restarts", type=int, default=4, help="descents a picture (default 4)")
    one.add_argument("--samples", type=int, default=1000, help="to start from (default 1000)")
    one.add_argument("--prior", type=float, default=1e-3, help="weight of normal z's (0.001)")
    one.add_argument("--features", help="perceptual term: classifier, inception or pixels")
    one.add_argument("--perceptual", type=float, default=0.1, help="its weight (default 0.1)")
    one.add_argument("--weights", type=Path, help="of the Inception network: file or folder")

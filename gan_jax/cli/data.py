"""Commands on data sets: prepare."""

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


def prepare(
    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")],
    out: Path,
    size: int | None = None,
    channels: Literal[1, 3] | None = None,
    split: str = "train",
    path: str | None = None,
    dir: str | None = None,  # noqa: A002
    format: Literal["png", "raw"] = "png",  # noqa: A002
    shard: int = 10_000,
) -> None:
    """Decode, crop and resize a set of images once, into files that a run streams in any order.

    Train on it with --data.name prepared --data.path OUT, and --stream where memory cannot hold it.
    Broken images are named and left out. An interrupted command continues where it stopped.

    Args:
        source: Folder of images, or the name of a data set.
        out: Folder to write, or to continue.
        size: Side in pixels; by default the shortest of any image.
        channels: Number of channels, 1 for gray, 3 for RGB; by default the data set's own, 3 for a
            folder.
        split: Split of the data set.
        path: Path from which the data sets npz and idx read.
        dir: Path to the TFDS data directory; by default $TFDS_DATA_DIR.
        format: Format of the images; raw is larger, and faster to read.
        shard: Number of images in a file.
    """
    from gan_jax.config import ImageData
    from gan_jax.config.validation import validate_data
    from gan_jax.data.images import prepare

    options: dict[str, Any] = {"split": split, "path": path, "dir": dir}
    if Path(source).expanduser().is_dir():
        options["path"] = source
        source = "folder"
    data = ImageData(source, **options, size=size, channels=channels)
    validate_data(data)
    prepared = prepare.prepare(data, out, format, shard)
    report, tried = prepared["report"], prepared["plan"]["tried"]
    shape = " x ".join(map(str, prepared["shape"]))
    print(
        f"{out}: {prepared['examples']} of {tried} images, {shape}; {report['grey']} were gray, "
        f"{report['cropped']} were not square and are cropped, {report['enlarged']} were smaller "
        "and are enlarged"
    )
    if report["left_out"]:
        print(f"{len(report['left_out'])} left out, listed in {out / 'prepared.json'}")
    option = "" if prepared["split"] == "train" else f" --data.split {prepared['split']}"
    print(f"train on it with --data.name prepared --data.path {out}{option} --stream")

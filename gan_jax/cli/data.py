"""Command on data sets: prepare."""

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
    """Decode, crop, and resize images once, and write shards with random access for training.

    Train on them with --data.name prepared --data.path OUT, and with --stream if they do not fit in
    memory. Broken images are listed and omitted. An interrupted command continues where it stopped.

    Args:
        source: Folder of images, or name of a data set.
        out: Path to the output folder. Existing output is continued.
        size: Side in pixels; by default the shortest side of all images.
        channels: Number of channels, 1 (gray) or 3 (RGB); by default that of the data set, or 3 for
            a folder.
        split: Split of the data set.
        path: Path to the files of the data sets npz and idx.
        dir: Path to the TFDS data directory; by default $TFDS_DATA_DIR.
        format: Format of the images; raw is larger than png and faster to read.
        shard: Number of images per shard.
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
        f"{report['cropped']} cropped to a square, {report['enlarged']} enlarged"
    )
    if report["left_out"]:
        print(f"{len(report['left_out'])} omitted, listed in {out / 'prepared.json'}")
    option = "" if prepared["split"] == "train" else f" --data.split {prepared['split']}"
    print(f"train on it with --data.name prepared --data.path {out}{option} --stream")

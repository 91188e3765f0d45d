"""`python -m gan_jax prepare`: a set of pictures made ready to be streamed."""

import argparse
from pathlib import Path
from typing import Any


def prepare(args: argparse.Namespace) -> None:
    """Decodes, crops and resizes a set of pictures once, into files from which a run reads them in
    any order: --data.name prepared --data.path OUT, and --stream where memory cannot hold them.
    What is broken is named and left out. Broken off and run again it goes on."""
    from gan_jax.config import Data
    from gan_jax.data import prepare

    where = {"split": args.split, "path": args.path, "dir": args.dir}
    if Path(args.source).expanduser().is_dir():
        where |= {"path": args.source}
        args.source = "folder"
    data = Data(args.source, **where, size=args.size, channels=args.channels)
    found = prepare.prepare(data, args.out, args.format, args.shard)
    report, tried = found["report"], found["plan"]["tried"]
    parts = [f"{report['grey']} were grey", f"{report['cropped']} were not square and are cropped"]
    parts += [f"{report['enlarged']} were smaller and are enlarged"]
    shape = " x ".join(map(str, found["shape"]))
    print(f"{args.out}: {found['examples']} of {tried} pictures, {shape}; {', '.join(parts)}")
    if report["left_out"]:
        print(f"{len(report['left_out'])} left out, listed in {args.out / 'prepared.json'}")
    split = "" if found["split"] == "train" else f" --data.split {found['split']}"
    print(f"train on it with --data.name prepared --data.path {args.out}{split} --stream")


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    made = commands.add_parser("prepare", help="make a set ready", description=prepare.__doc__)
    made.set_defaults(function=prepare)
    made.add_argument("source", help="folder of pictures, or the name of a data set")
    made.add_argument("--out", type=Path, required=True, help="folder to make, or to go on with")
    made.add_argument("--size", type=int, help="side in pixels (default: the shortest of any)")
    made.add_argument("--channels", type=int, choices=(1, 3), help="1 grey, 3 RGB (a folder's: 3)")
    made.add_argument("--split", default="train", help="of the data set (default train)")
    made.add_argument("--path", help="where the data sets npz and idx read")
    made.add_argument("--dir", help="TFDS data directory (default $TFDS_DATA_DIR)")
    form = "png (the default), or raw: larger, and quicker to read"
    made.add_argument("--format", default="png", help=form)
    made.add_argument("--shard", type=int, default=10_000, help="pictures a file (default 10000)")

"""python -m gan_jax COMMAND RUN: what can be done with a run folder, and before a run."""

import argparse
from pathlib import Path

from gan_jax import commands as do
from gan_jax import (
    editing_commands,
    export_command,
    invert_command,
    prepare_command,
    report_command,
)

EITHER = "run folder, or an artefact of `export`"


def imports() -> argparse.ArgumentParser:
    """The option --import, which may stand anywhere in a command line."""
    option = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    text = "module or file of your own networks; may be given several times"
    option.add_argument("--import", dest="modules", action="append", metavar="MODULE", help=text)
    return option


def parser() -> argparse.ArgumentParser:
    """The commands and their flags. Nothing heavy is imported for it."""
    top = argparse.ArgumentParser(
        prog="python -m gan_jax", description=__doc__, parents=[imports()]
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(function, help: str, nargs: str | None = None, of: str = "run folder"):  # noqa: A002
        made = commands.add_parser(function.__name__, help=help, description=function.__doc__)
        made.set_defaults(function=function)
        made.add_argument("run", type=Path, nargs=nargs, help=of)
        return made

    one = command(do.sample, "a grid of samples", of=EITHER)
    one.add_argument("--num", type=int, default=64, help="how many (default 64)")
    one.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    one.add_argument("--out", help="file (default samples.png, or samples.txt of a text)")
    one.add_argument("--temperature", type=float, default=1.0, help="of a text (default 1)")
    one.add_argument("--member", type=int, help="of which member of a population (default 0)")
    one.add_argument("--step", type=int, help="of which checkpoint (default: the newest)")
    one.add_argument("--force", action="store_true", help="overwrite --out")

    one = command(do.augment, "a labelled data set of samples", of=EITHER)
    one.add_argument("--out", required=True, help="folder to make")
    one.add_argument("--per-class", type=int, default=1000, help="samples a class (default 1000)")
    one.add_argument("--classes", type=int, nargs="+", help="which (default: all)")
    one.add_argument("--format", default="npz", help="npz (the default), png or array_record")
    one.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    one.add_argument("--member", type=int, help="of which member of a population (default 0)")
    one.add_argument("--step", type=int, help="of which checkpoint (default: the newest)")
    one.add_argument("--force", action="store_true", help="overwrite --out, if it is such a set")

    def protocol(made, features: str):
        made.add_argument("--features", help=f"{features}, pixels, or your own MODULE:FUNCTION")
        made.add_argument("--weights", type=Path, help="of the Inception network: file or folder")
        made.add_argument("--devices", type=int, help="how many devices (default: all)")

    one = command(do.evaluate, "score a run's samples against its data")
    protocol(one, "classifier (the default where the data has labels), inception, inception-768")
    one.add_argument("--num", type=int, help="samples (default: as many as reals, at most 50000)")
    one.add_argument("--seed", type=int, help="of the noise (default: each member's own)")
    one.add_argument("--checkpoints", choices=("newest", "all"), default="newest", help="which")
    one.add_argument("--data", help="where the data lies, if not where it was trained on")
    one.add_argument("--cas", action="store_true", help="classification accuracy score: trains")
    one.add_argument("--temperatures", type=float, nargs="+", help="of a text")
    paths = {"nargs": "?", "type": int, "const": 10_000, "default": 0, "metavar": "PATHS"}
    one.add_argument(
        "--path-length", help="perceptual path length, of 10000 paths or PATHS", **paths
    )
    one = commands.add_parser("score", help=do.score.__doc__, description=do.score.__doc__)
    one.set_defaults(function=do.score)
    one.add_argument("real", type=Path, help="folder of pictures")
    one.add_argument("fake", type=Path, help="folder of pictures")
    protocol(one, "inception, inception-768")
    one.add_argument("--out", type=Path, help="write the cards there, as JSON")
    one = command(do.repair, "repair a folder of pictures")
    one.add_argument("pictures", type=Path, help="folder of the pictures")
    one.add_argument("out", type=Path, help="folder for the repaired ones")
    says = "where: a folder of masks of the same names (white: repair), a colour #rrggbb, or alpha"
    one.add_argument("--mask", required=True, help=says)
    one.add_argument("--num", type=int, default=1, help="repairs of each picture (default 1)")
    fits = "other sizes: resize the whole picture (default), or repair it tile by tile"
    one.add_argument("--fit", choices=("resize", "tiles"), default="resize", help=fits)
    one.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    one.add_argument("--member", type=int, help="of which member of a population (default 0)")
    one.add_argument("--step", type=int, help="of which checkpoint (default: the newest)")
    one.add_argument("--force", action="store_true", help="overwrite files in the folder")
    one = command(do.resume, "go on with a run")
    one.add_argument("--steps", type=int, help="go on to this step (default: the config's)")
    one.add_argument("--devices", type=int, help="how many devices (default: all)")
    one.add_argument("--members-at-once", type=int, help="of a population (default: all)")
    one.add_argument("--stream", action="store_true", help="keep the data on the host")
    one.add_argument("--coordinator", help="of several processes: HOST:PORT of process 0")
    one.add_argument("--num-processes", type=int, help="how many train together")
    one.add_argument("--process-id", type=int, help="which of them this one is, from 0")
    one.add_argument("--workers", type=int, default=0, help="processes that read it (default 0)")
    one = command(do.reproduce, "train a recorded run again and compare")
    one.add_argument("--steps", type=int, help="so far only (default: to its end)")
    one.add_argument("--out", type=Path, help="keep the new run there (default: it is thrown away)")
    one.add_argument("--data", help="where the data lies, if not where it was trained on")
    one = command(do.diff, "compare two runs")
    one.add_argument("other", type=Path, help="another run folder")
    one = command(do.record, "what runs came to, as a file to commit", nargs="+")
    one.add_argument("--out", type=Path, default=Path("experiments/results"), help="folder")
    editing_commands.add(command)
    invert_command.add(command)
    prepare_command.add(commands)
    export_command.add(command)
    report_command.add(command)
    return top


def main() -> None:
    """The command `gan-jax`."""
    options, words = imports().parse_known_args()
    args = parser().parse_args(words)
    from gan_jax import cli

    with cli.user_errors():
        if options.modules:
            from gan_jax import config_json

            for name in options.modules:
                config_json.import_types(name)
        cli.use_compilation_cache()
        args.function(args)


if __name__ == "__main__":
    main()

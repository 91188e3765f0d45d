"""python -m gan_jax report: a page to look at. Nothing heavy is imported before it runs."""

import argparse
from pathlib import Path

from gan_jax import editing_commands


def report(args: argparse.Namespace) -> None:
    """Writes one HTML page that holds all it shows, and opens from disk without a network: samples
    over training under a slider, curves to zoom into (of a population with the band of its
    members), a walk through the latents, scores, config and versions. With --compare other runs
    beside. With --tensorboard the curves and samples as event files too, from what the run folder
    holds: while a run trains nothing is written twice, and a resume leaves no double rows."""
    from gan_jax import logs
    from gan_jax.errors import UserError
    from gan_jax.report import collect, page

    out = args.out or args.run / "report.html"
    if args.out:  # the page in the run folder is only ever this command's
        editing_commands.refuse_existing(args, out)
    folders = [args.run, *args.compare]
    room = page.ROOM // len(folders)
    text = page.page([collect.run_folder(one, room, walk=args.walk) for one in folders])
    if (size := len(text.encode())) > page.LIMIT:
        raise UserError(f"the page would have {size} bytes, at most {page.LIMIT} are allowed")
    done = f"{out}: {size / 1e6:.1f} MB"
    with logs.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    logs.write_atomically(out, text)
    if args.tensorboard:
        from gan_jax.report import tensorboard

        done += "".join(f"; {tensorboard.write(one)}" for one in folders)
    print(done)


def add(command: editing_commands.Command) -> None:
    """Adds the command, as editing_commands.add does its own."""
    one = command(report, "a page to look at: samples, curves, scores, config")
    compare = "other run folders, shown beside it"
    one.add_argument("--compare", type=Path, nargs="+", default=[], metavar="RUN", help=compare)
    one.add_argument("--out", type=Path, help="file (default: report.html in the run folder)")
    one.add_argument("--no-walk", dest="walk", action="store_false", help="no walk in the latents")
    event = "event files too, into RUN/tensorboard (extra `tensorboard`)"
    one.add_argument("--tensorboard", action="store_true", help=event)
    one.add_argument("--force", action="store_true", help="overwrite --out")

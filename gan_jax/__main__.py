"""python -m gan_jax COMMAND RUN: what can be done with a run folder."""

import argparse
from pathlib import Path


def _restore(workdir: Path, step: int | None = None):
    """(step, config, state) of the newest checkpoint of a run folder, or that of `step`."""
    import jax

    from gan_jax import checkpoint, placement, population, run
    from gan_jax.errors import UserError

    config = run.load_config(workdir)
    example = run.load_example(workdir, config.batch_size)
    init = jax.jit(lambda roots: population.init(config, roots, example))
    like = init(population.roots(config))
    like = placement.place(like, jax.local_devices()[:1])
    folder = workdir / "checkpoints"
    if not folder.is_dir():
        raise UserError(f"{workdir} has no checkpoint yet")
    with checkpoint.Checkpoints(folder, keep=None) as checkpoints:
        steps = checkpoints.steps()
        if step is not None and step not in steps:
            there = ", ".join(map(str, steps)) or "none"
            raise UserError(f"step is {step}: the run has checkpoints of steps {there}")
        found = checkpoints.restore(like, step)
    if found is None:
        raise UserError(f"{workdir} has no checkpoint yet")
    return found[0], config, found[1]


def sample(args: argparse.Namespace) -> None:
    """Writes a grid of samples of the newest checkpoint, or of that of --step."""
    from gan_jax import keys, plots, population, sampling
    from gan_jax.errors import UserError
    from gan_jax.state import generator_variables

    if args.num < 1:
        raise UserError(f"num is {args.num}: it must be at least 1")
    if not 0 <= args.seed < 2**32:
        raise UserError(f"seed is {args.seed}: it must be from 0 to 4294967295")
    out = Path(args.out)
    if out.exists() and not args.force:
        raise UserError(f"{out} exists: give --force to overwrite it, or another --out")
    step, config, state = _restore(args.run, args.step)
    of = ""
    if population.is_population(config):
        count, number = len(population.members(config)), args.member or 0
        if not 0 <= number < count:
            raise UserError(f"member is {number}: the run has members 0 to {count - 1}")
        of = f", member {number}"
        config, state = population.member(config, state, number)
    elif args.member is not None:
        raise UserError(f"member is {args.member}: the run in {args.run} is no population")
    made = sampling.sample(
        config,
        generator_variables(state),
        keys.step_key(keys.root(args.seed), keys.Purpose.SAMPLE, 0),
        args.num,
    )
    if made.ndim == 2:
        image = plots.density(made, made)
    else:
        pixels = plots.to_pixels(made, symmetric=config.data.symmetric)
        image = plots.grid(pixels, min(args.num, sampling.classes(config) or 8))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        image.save(out)
    except (OSError, ValueError) as error:
        raise UserError(f"out is {args.out!r}: {error}") from None
    print(f"{out}: {args.num} samples of step {step}{of}, seed {args.seed}")


def record(args: argparse.Namespace) -> None:
    """Writes what runs of one experiment came to, with seeds and versions, small enough to commit.

    Runs on a 2-D mixture are scored: modes covered, high-quality share and KL of 2500 samples.
    """
    from gan_jax import record
    from gan_jax.scores import scores

    found = []
    for workdir in args.run:
        _, config, state = _restore(workdir)
        found.append(scores(config, state))
    print(record.record(args.run, found, args.out))


def resume(args: argparse.Namespace) -> None:
    """Goes on with a run, to --steps or to where it was meant to go."""
    import dataclasses

    from gan_jax import placement, run, train
    from gan_jax.validation import validate

    config = run.load_config(args.run)
    if args.steps is not None:
        config = dataclasses.replace(config, steps=args.steps)
    validate(config)
    devices = placement.pick_devices(args.devices, config.batch_size)
    train.fit(
        config, args.run, devices=devices, members_at_once=args.members_at_once, stream=args.stream
    )


def parser() -> argparse.ArgumentParser:
    """The commands and their flags. Nothing heavy is imported for it."""
    top = argparse.ArgumentParser(prog="python -m gan_jax", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(function, help: str, nargs: str | None = None):  # noqa: A002
        made = commands.add_parser(function.__name__, help=help, description=function.__doc__)
        made.set_defaults(function=function)
        made.add_argument("run", type=Path, nargs=nargs, help="run folder")
        return made

    one = command(sample, "a grid of samples")
    one.add_argument("--num", type=int, default=64, help="how many (default 64)")
    one.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    one.add_argument("--out", default="samples.png", help="picture file (default samples.png)")
    one.add_argument("--member", type=int, help="of which member of a population (default 0)")
    one.add_argument("--step", type=int, help="of which checkpoint (default: the newest)")
    one.add_argument("--force", action="store_true", help="overwrite --out")
    one = command(resume, "go on with a run")
    one.add_argument("--steps", type=int, help="go on to this step (default: the config's)")
    one.add_argument("--devices", type=int, help="how many devices (default: all)")
    one.add_argument("--members-at-once", type=int, help="of a population (default: all)")
    one.add_argument("--stream", action="store_true", help="keep the data on the host")
    one = command(record, "what runs came to, as a file to commit", nargs="+")
    one.add_argument("--out", type=Path, default=Path("experiments/results"), help="folder")
    return top


def main() -> None:
    """The command `gan-jax`."""
    args = parser().parse_args()
    from gan_jax import cli

    with cli.user_errors():
        cli.use_compilation_cache()
        args.function(args)


if __name__ == "__main__":
    main()

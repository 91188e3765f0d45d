"""python -m gan_jax export: a generator as one file. Nothing heavy is imported before it runs."""

import argparse
from pathlib import Path

from gan_jax import editing_commands

SUFFIXES = (".jaxexport", ".safetensors")


def export(args: argparse.Namespace) -> None:
    """Writes the generator (its moving average, where there is one) as one file. FILE.jaxexport
    holds its weights and its function for any batch, on CPU, CUDA and TPU, and runs where there is
    jax alone; `sample`, `augment`, `interpolate` and `invert` take it in place of RUN.
    FILE.safetensors holds the weights alone, with a model card in FILE.md beside it."""
    from gan_jax import population, run, trained
    from gan_jax.errors import UserError
    from gan_jax.export import manifest, weights, write

    out: Path = args.out
    if out.suffix not in SUFFIXES:
        raise UserError(f"out is {str(out)!r}: it must end in {' or '.join(SUFFIXES)}")
    beside = [out.with_suffix(".md")] if out.suffix == ".safetensors" else []
    editing_commands.refuse_existing(args, out, *beside)
    config = run.load_config(args.run)
    if population.is_population(config) and args.member is None:
        last = len(population.members(config)) - 1
        raise UserError(f"{args.run} is a population: give one --member, 0 to {last}")
    found = trained.load(args.run, args.step, args.member)
    described = manifest.describe(args.run, found)
    if out.suffix == ".safetensors":
        files = f"{out}, {weights.save(out, found, described)}"
    else:
        write.write(out, found, described)
        files = str(out)
    size = out.stat().st_size / 2**20
    print(f"{files}: the generator of {found.config.name}, {found.title}; {size:.1f} MiB")


def add(command: editing_commands.Command) -> None:
    """Adds the command, as editing_commands.add does its own."""
    one = command(export, "the generator as one portable file")
    one.add_argument("--out", type=Path, required=True, help="FILE.jaxexport or FILE.safetensors")
    one.add_argument("--member", type=int, help="of which member of a population")
    one.add_argument("--step", type=int, help="of which checkpoint (default: the newest)")
    one.add_argument("--force", action="store_true", help="overwrite --out")

"""Commands on runs: train, resume, compare, reproduce, record, report, and recipes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.cli.shared import RunFolder, check_at_least, refuse_existing

Record = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


def train(recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")]) -> None:
    """Train a recipe; `gan-jax train RECIPE --help` lists its flags.

    The recipe is the first argument; flags change its config. An interrupted run is continued.

    Args:
        recipe: Name of a recipe that `gan-jax recipes` lists, or path to a recipe file NAME.py.
    """
    train_recipe(recipe, ())


def train_recipe(recipe: str, args: Sequence[str]) -> None:
    """Train the recipe with this name or path, with flags `args`."""
    from gan_jax import train
    from gan_jax.cli import recipes as cli_recipes
    from gan_jax.config import serialization

    source = cli_recipes.load_recipe(recipe, register=serialization.register)
    flags = train.parse(
        source.presets,
        args=args,
        prog=f"gan-jax train {recipe}",
        description=source.docstring.partition("\nImplementation details:")[0].strip(),
    )
    train.execute(flags)


def resume(run: RunFolder) -> None:
    """Continue a run from its newest checkpoint; `gan-jax resume RUN --help` lists its flags.

    The run folder is the first argument; flags change the settings of the last launch.

    Args:
        run: Path to the run folder.
    """
    resume_run(str(run), ())


def resume_run(run: str, args: Sequence[str]) -> None:
    """Continue the run in this folder, with flags `args`."""
    from gan_jax import train
    from gan_jax.config import serialization
    from gan_jax.core import command_line
    from gan_jax.runs import folder

    workdir = Path(run)
    for module in command_line.parse_imports(args):
        serialization.import_types(module)
    config = folder.load_config(workdir)
    logging, runtime = folder.load_settings(workdir)
    default = train.ResumeArgs(config.steps, train.LaunchArgs(runtime, logging))
    flags = command_line.parse(
        default, args=args, prog=f"gan-jax resume {run}", renamed=train.RENAMED_FLAGS
    )
    train.fit_on(flags.launch, config.replace(steps=flags.steps), workdir)


def compare(
    run: Record, other: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OTHER")]
) -> None:
    """Compare two runs bit by bit over their common steps; exit status 1 if they differ.

    The comparison covers metrics, digests of states, and samples.

    Args:
        run: Path to a run folder, or to a record in experiments/results/.
        other: Path to the other run folder or record.
    """
    from gan_jax.runs import compare as run_compare

    verdict = run_compare.compare(*map(run_compare.load_run_record, (run, other)))
    print(run_compare.format_comparison(verdict))
    if verdict.differences:
        raise SystemExit(1)


def reproduce(
    run: Record, out: Path | None = None, steps: int | None = None, data: str | None = None
) -> None:
    """Retrain a recorded run and compare the two bit by bit; exit status 1 if they differ.

    The output has the first difference of the runs, and all differences of versions, device, data,
    and config.

    Args:
        run: Path to a run folder, or to a record in experiments/results/.
        out: Path to the new run folder; by default the new run is deleted.
        steps: Number of train steps; by default that of the recorded run.
        data: Path to the data set, if it has moved since training.
    """
    import tempfile

    from gan_jax.cli import reproduce
    from gan_jax.core.errors import UserError
    from gan_jax.runs import compare as run_compare

    check_at_least(1, steps=steps)
    if out is not None and out.exists():
        raise UserError(f"out must be a new folder, got {out}")
    with tempfile.TemporaryDirectory() as folder:
        verdict = reproduce.reproduce(run, out or Path(folder) / "run", steps, data)
    print(run_compare.format_comparison(verdict))
    if verdict.differences:
        raise SystemExit(1)


def record(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")],
    out: Path = Path("experiments/results"),
    force: bool = False,
) -> None:
    """Write a record of the runs of one experiment that is small enough to commit.

    The scores are those of `evaluate`; runs on a 2-D mixture need no evaluation.

    Args:
        runs: Paths to run folders that differ only in their seeds.
        out: Path to the output folder of NAME.json and its images.
        force: Overwrite the output if it exists.
    """
    from gan_jax.core.errors import UserError
    from gan_jax.metrics.evaluation.mixtures import scores
    from gan_jax.reporting import record
    from gan_jax.runs import folder as run_folder
    from gan_jax.runs.restore import restore

    if not runs:
        raise UserError("runs must be one or more run folders, got none")
    refuse_existing(force, out / f"{run_folder.load_config(runs[0]).name}.json")
    results = []
    for folder in runs:
        _, config, state = restore(folder)
        results.append(record.recorded_scores(folder, config) or scores(config, state))
    print(record.write_record(runs, results, out))


def report(
    run: RunFolder,
    compare: tuple[Path, ...] = (),
    out: Path | None = None,
    force: bool = False,
    walk: bool = True,
    tensorboard: bool = False,
) -> None:
    """Write an HTML report of a run, a single page that needs no network.

    The page has samples over training, curves, a latent walk, scores, config, and versions.
    RUN/report.html is always rewritten; another --out is overwritten only with --force.

    Args:
        run: Path to the run folder.
        compare: Paths to other run folders, to be included for comparison.
        out: Path to the output file; by default report.html in the run folder.
        force: Overwrite the output if it exists.
        walk: Show a latent walk; --no-walk omits it.
        tensorboard: Write event files to RUN/tensorboard (requires the extra tensorboard).
    """
    from gan_jax.core import files
    from gan_jax.core.errors import UserError
    from gan_jax.reporting.html import collect, page

    if out:
        refuse_existing(force, out)
    out = out or run / "report.html"
    folders = [run, *compare]
    budget = page.ROOM // len(folders)
    text = page.page([collect.collect_run(folder, budget, walk=walk) for folder in folders])
    if (size := len(text.encode())) > page.LIMIT:
        raise UserError(f"the page must have at most {page.LIMIT} bytes, got {size}")
    with files.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(out, text)
    written = [f"{out}: {size / 1e6:.1f} MB"]
    if tensorboard:
        from gan_jax.reporting.html import tensorboard as html_tensorboard

        written += [html_tensorboard.write_events(folder) for folder in folders]
    print("; ".join(written))


def recipes() -> None:
    """List all recipes with their data, commands, and results."""
    from gan_jax.cli import recipes as cli_recipes

    cli_recipes.print_recipes()

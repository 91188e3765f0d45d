"""Commands on runs: train, resume, compare, reproduce, record, report and recipes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.cli.shared import RunFolder, at_least, refuse_existing

Record = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


def train(recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")]) -> None:
    """Train a recipe; `gan-jax train RECIPE --help` lists its flags.

    The recipe comes first; flags change its config. An interrupted run is continued.

    Args:
        recipe: Name that `gan-jax recipes` lists, or a file of your own: my_recipe.py.
    """
    train_recipe(recipe, ())


def train_recipe(recipe: str, args: Sequence[str]) -> None:
    """Train the recipe of this name or path with the given flags."""
    from gan_jax import train
    from gan_jax.cli import recipes as cli_recipes
    from gan_jax.config import serialization

    source = cli_recipes.load_recipe(recipe, register=lambda module: serialization.register(module))
    flags = train.parse(
        source.presets,
        args=args,
        prog=f"gan-jax train {recipe}",
        description=source.docstring.partition("\n")[0],
    )
    train.execute(flags)


def resume(run: RunFolder) -> None:
    """Continue a run from its newest checkpoint; `gan-jax resume RUN --help` lists its flags.

    The run folder comes first; flags change the settings of its last launch.

    Args:
        run: Run folder.
    """
    resume_run(str(run), ())


def resume_run(run: str, args: Sequence[str]) -> None:
    """Continue the run in this folder with the given flags."""
    from gan_jax import train
    from gan_jax.core import command_line
    from gan_jax.runs import folder

    workdir = Path(run)
    modules = command_line.parse_imports(args)
    for module in modules:
        from gan_jax.config import serialization

        serialization.import_types(module)
    config = folder.load_config(workdir)
    logging, runtime = folder.load_settings(workdir)
    default = train.ResumeArgs(config.steps, train.LaunchArgs(runtime, logging))
    flags = command_line.parse(default, args=args, prog=f"gan-jax resume {run}")
    train.fit_on(flags.launch, config.replace(steps=flags.steps), workdir)


def compare(
    run: Record, other: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OTHER")]
) -> None:
    """Compare two runs bit by bit over the steps that both have; exit status 1 if they differ.

    Metrics, digests of states and samples are compared, as by `reproduce`.

    Args:
        run: Run folder, or a file of experiments/results/.
        other: The other one.
    """
    from gan_jax.runs import compare as run_compare

    verdict = run_compare.compare(*map(run_compare.load_run_record, (run, other)))
    print(run_compare.format_comparison(verdict))
    if verdict.differences:
        raise SystemExit(1)


def reproduce(
    run: Record, out: Path | None = None, steps: int | None = None, data: str | None = None
) -> None:
    """Train a recorded run again and compare the two bit by bit; exit status 1 if they differ.

    The report says where the runs first differ, and what differs of versions, device, data and
    config.

    Args:
        run: Run folder, or a file of experiments/results/.
        out: New run folder; by default the new run is not kept.
        steps: Number of train steps; by default all of the run's.
        data: Path to the data set, if it has moved since training.
    """
    import tempfile

    from gan_jax.cli import reproduce
    from gan_jax.core.errors import UserError
    from gan_jax.runs import compare as run_compare

    at_least(1, steps=steps)
    if out is not None and out.exists():
        raise UserError(f"{out} exists: give another --out")
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
    """Write the results of runs of one experiment, small enough to commit.

    The scores are those of `evaluate`; without it, runs on a 2-D mixture are scored all the same.

    Args:
        runs: Run folders that differ in their seeds alone.
        out: Folder to write NAME.json and its images to.
        force: Overwrite a record of the same name.
    """
    from gan_jax.core.errors import UserError
    from gan_jax.metrics.evaluation.mixtures import scores
    from gan_jax.reporting import record
    from gan_jax.runs import folder as run_folder
    from gan_jax.runs.restore import restore

    if not runs:
        raise UserError("runs must be one run folder or more, got none")
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
    """Write one HTML page that shows a run, and opens from disk without a network.

    It shows samples over training, curves, a walk through the latents, scores, config and versions.
    RUN/report.html is rewritten; another file that --out names is not without --force.

    Args:
        run: Run folder.
        compare: Other run folders, shown beside it.
        out: File to write; by default report.html in the run folder.
        force: Overwrite the output if it exists.
        walk: Show a walk through the latents.
        tensorboard: Write event files too, into RUN/tensorboard (extra `tensorboard`).
    """
    from gan_jax.core import files
    from gan_jax.core.errors import UserError
    from gan_jax.reporting.html import collect, page

    if out:
        refuse_existing(force, out)
    out = out or run / "report.html"
    folders = [run, *compare]
    room = page.ROOM // len(folders)
    text = page.page([collect.collect_run(folder, room, walk=walk) for folder in folders])
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
    """List all recipes with their data, commands and results."""
    from gan_jax.cli import recipes as cli_recipes

    cli_recipes.print_recipes()

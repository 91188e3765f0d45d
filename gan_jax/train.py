"""Training: `iterate` generates steps, `fit` does it in a run folder, `main` is its command."""

import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro

from gan_jax.config import Config, population, schema, serialization
from gan_jax.config.launch import Imports, Launch, import_modules
from gan_jax.config.validation import validate
from gan_jax.core import command_line, signals
from gan_jax.core import devices as core_devices
from gan_jax.core import processes as core_processes
from gan_jax.core.errors import UserError
from gan_jax.core.progress import Progress
from gan_jax.data import sources
from gan_jax.metrics.evaluation.in_training_log import InTrainingScores
from gan_jax.reporting import curves, sweeps
from gan_jax.reporting.samples import Drawing
from gan_jax.runs import folder, follower, metrics_log
from gan_jax.runs import timing as runs_timing
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.training.dry_run import dry_run
from gan_jax.training.initialize import start
from gan_jax.training.loop import iterate
from gan_jax.training.nonfinite import Skips
from gan_jax.training.state import TrainState

Preset = Literal["full", "small"]
RENAMED = {"--small": "--preset small"}  # flags of earlier versions


def _mean(values: np.ndarray) -> float:
    """Of the finite ones: a member that has diverged does not hide the others."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def fit(
    config: Config,
    workdir: Path | str,
    *,
    devices: Sequence[jax.Device] | None = None,
    members_at_once: int | None = None,
    stream: bool = False,
    workers: int = 0,
    quiet: bool = False,
) -> TrainState:
    """Trains in the run folder `workdir`: from the beginning, or on from its newest checkpoint.

    Either way the run's numbers are those of one that was never stopped. SIGINT and SIGTERM end it
    after the chunk at hand, with a checkpoint and the exit status 128 + signal. Raises UserError if
    the folder is of another config or other data, or is ahead of `config.steps`.

    Of several processes, all call it alike; only process 0 writes, and the others follow.
    """
    began = time.monotonic()
    workdir = Path(workdir)
    validate(config)
    devices = core_devices.pick_devices(None, config.batch_size) if devices is None else devices
    dataset = sources.load(config.data)
    state = start(config, dataset, devices)
    texts = {"the config": serialization.dumps(config), "the data": dataset.fingerprint}
    core_processes.check_same(**texts)

    def steps(
        state: TrainState, tell: Callable[[dict[str, int] | None], None] | None = None
    ) -> Iterator[tuple[int, TrainState, dict[str, np.ndarray]]]:
        how = (devices, members_at_once, stream, workers, tell)
        return iterate(config, dataset, state, *how)

    if not core_processes.is_leader():
        return follower.follow(config, workdir, state, devices, steps)
    scores = InTrainingScores(config, dataset, devices[0], quiet=quiet)
    with (
        folder.opened(workdir, config, dataset, devices) as found,
        signals.caught() as came,
        Checkpoints(workdir / "checkpoints", config.keep) as checkpoints,
    ):
        done, state = checkpoints.restore(state) or (0, state)
        if done > config.steps:
            raise UserError(
                f"steps is {config.steps}: the run in {workdir} is at step {done} already"
            )
        state = follower.begin(state, devices)
        folder.write_config(workdir, config)
        members = population.members(config)
        seeds = [member.seed for member in members]
        timing = runs_timing.Timing(workdir / "timing.json", seeds, done, found, devices)
        log = metrics_log.MetricsLog(workdir / "metrics.jsonl", config.log_every, done)
        scores.open(workdir, done)
        drawing = Drawing(workdir, config, dataset)
        skips, by = Skips(config, state, saved=done), 0
        rate = config.batch_size * len(members)
        with contextlib.closing(Progress(done, config.steps, rate, quiet=quiet)) as progress:
            if done == 0:
                drawing.real()
            timing.ready(time.monotonic() - began)
            for reached, state, metrics in steps(state, timing.program):  # noqa: B020
                by = core_processes.stop_signal(came)
                log.write(done + 1, metrics)
                alone = reached <= config.pretrain.steps
                names = ("nll", "l1") if alone else ("disc_loss", "gen_loss")
                losses = {name: _mean(metrics[name]) for name in names if name in metrics}
                progress.update(reached - done, losses)
                done = reached
                skips.count(done, metrics["skipped"])
                if done % config.sample_every == 0 or done == config.steps:
                    drawing.samples(done, state)
                scores.reached(done, state)
                timing.reached(done)
                if follower.is_kept(config, done, by, skips):
                    timing.write()  # first, so that every checkpoint's launch is on record
                    checkpoints.save(done, state)
                    skips.saved = done
                if by:
                    break
    timing.close()
    drawing.film()
    curves.draw(workdir, workdir / "curves.png")
    if config.sweep and not by:
        sweeps.write(workdir, config, state)
    core_processes.barrier()
    if by:
        name = signal.Signals(by).name
        print(f"{name}: stopped at step {done}; run it again to go on", file=sys.stderr)
        raise SystemExit(128 + by)
    return state


@dataclasses.dataclass(frozen=True)
class Flags:
    """Flags of a training: a recipe's config, and where and on what it trains."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    preset: Preset = "full"
    """Version of the recipe that the other flags change; small is for CPUs: the same code with
    fewer channels and steps, where a recipe has it."""
    workdir: str | None = None
    """Run folder; runs/NAME by default. An interrupted run in it is continued."""
    dry_run: bool = False
    """Print parameters, memory and estimated time instead of training."""
    launch: Annotated[Launch, tyro.conf.arg(name="")] = Launch()
    imports: Annotated[Imports, tyro.conf.arg(name="")] = Imports()


def parse(config: Config, small: Config | None = None, **options: Any) -> Flags:
    """Parse the flags of a training.

    Args:
        config: The recipe's config, which flags change.
        small: Its small version, which they change instead with --preset small.
        **options: Options of `command_line.parse_as`.

    Returns:
        The flags.

    Raises:
        UserError: A flag is wrong, or --preset small is given and there is no small version.
    """

    @dataclasses.dataclass(frozen=True)
    class First:
        preset: Preset = "full"

    args = options.get("args", sys.argv[1:])
    first = First()
    with contextlib.suppress(UserError):  # which the second parser reports
        first, _ = command_line.parse_as(First, args=args, return_unknown_args=True, add_help=False)
    if first.preset == "small" and small is None:
        raise UserError(f"preset must be full, got small: {config.name} has no small version")
    default = Flags(small if small and first.preset == "small" else config, preset=first.preset)
    return command_line.parse(default, renamed=RENAMED, **options)


def execute(flags: Flags) -> None:
    """Train with the given flags, and print where the results are."""
    config = flags.config
    import_modules(flags.imports.modules)
    serialization.register_types_of(config)
    if flags.dry_run:
        hardware = flags.launch.hardware
        dry_run(
            config,
            devices=core_devices.pick_devices(hardware.devices, config.batch_size),
            members_at_once=hardware.members_at_once,
            stream=hardware.stream,
            workers=hardware.workers,
        )
        return
    workdir = Path(flags.workdir or Path("runs") / config.name)
    if not fit_on(flags.launch, config, workdir):
        return
    picture = "members.png, " if population.is_population(config) else "film.png, "
    picture = "" if schema.of_tokens(config) else picture
    print(f"{workdir}: samples/, {picture}curves.png to look at, metrics.jsonl to plot")


def fit_on(launch: Launch, config: Config, workdir: Path) -> bool:
    """Call `fit` on the given hardware and processes; return whether this process is the leader."""
    hardware, processes = launch.hardware, launch.processes
    if hardware.compilation_cache:
        command_line.use_compilation_cache()
    validate(config)
    with (
        core_processes.distributed_session(*dataclasses.astuple(processes)),
        command_line.user_errors(),
    ):
        fit(
            config,
            workdir,
            devices=core_devices.pick_devices(hardware.devices, config.batch_size),
            members_at_once=hardware.members_at_once,
            stream=hardware.stream,
            workers=hardware.workers,
        )
        return core_processes.is_leader()


def main(config: Config, small: Config | None = None) -> None:
    """Train a recipe with the flags in `sys.argv`: `python -m experiments.NAME [flags]`."""
    with command_line.user_errors():
        execute(parse(config, small))

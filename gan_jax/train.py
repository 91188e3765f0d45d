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

from gan_jax import (
    command_line,
    config_json,
    curves,
    distributed,
    follow,
    logs,
    parallel,
    placement,
    population,
    run,
    sentences,
    signals,
    sweep_table,
)
from gan_jax.checkpoint import Checkpoints
from gan_jax.config import Config
from gan_jax.data import feeds, sources
from gan_jax.data.sources import Dataset
from gan_jax.drawing import Drawing
from gan_jax.dry_run import dry_run
from gan_jax.errors import UserError
from gan_jax.launch import Imports, Launch, import_modules
from gan_jax.metrics.evaluation.in_training_log import InTrainingScores
from gan_jax.progress import Progress
from gan_jax.skips import Skips
from gan_jax.start import start
from gan_jax.state import TrainState
from gan_jax.validation import validate

LONGEST_CHUNK = 1000  # steps in one program: a row of metrics each is held on the device
CHUNK_SECONDS = 1.0  # a chunk ends after about this long, so that the run can be seen and stopped
Preset = Literal["full", "small"]
RENAMED = {"--small": "--preset small"}  # flags of earlier versions


def iterate(
    config: Config,
    dataset: Dataset | Sequence[Dataset] | None = None,
    state: TrainState | None = None,
    devices: Sequence[jax.Device] | None = None,
    members_at_once: int | None = None,
    stream: bool = False,
    workers: int = 0,
    tell: Callable[[dict[str, int] | None], None] | None = None,
) -> Iterator[tuple[int, TrainState, dict[str, np.ndarray]]]:
    """Trains to `config.steps`, from the beginning or from `state`, which it consumes.

    Yields after each chunk: the steps done, the state (whole until the next item is asked for), and
    the metrics of the chunk's steps, float32 [steps of the chunk] each; of a population [steps,
    members]. Chunks end where samples, scores and checkpoints are due; their lengths change no
    number. Instead of one data set that all share, the members of a population may be given one
    each, all of one size; these are streamed. So many `workers` processes read a prepared set that
    is streamed. `tell` is called once, with what the program takes of each device
    (gan_jax/memory.py). Raises UserError at once if config, data and devices do not fit together.
    """
    dataset = sources.load(config.data) if dataset is None else dataset
    devices = placement.pick_devices(None, config.batch_size) if devices is None else devices
    if members_at_once is not None and members_at_once < 1:
        raise UserError(f"members_at_once is {members_at_once}: at least 1 is allowed")
    if workers and not stream:
        raise UserError(f"workers is {workers}: only a set that is streamed has them (--stream)")
    if isinstance(dataset, Dataset):
        example = dataset
    else:
        sizes, count = {len(one) for one in dataset}, len(population.members(config))
        if len(dataset) != count or len(sizes) > 1:
            raise UserError(
                f"{len(dataset)} data sets of {sorted(sizes)} examples: {count} of one size allowed"
            )
        example, stream = dataset[0], True
    state = start(config, example, devices) if state is None else state
    return _chunks(config, dataset, state, devices, members_at_once, stream, workers, tell)


def _chunks(
    config: Config,
    dataset: Dataset | Sequence[Dataset],
    state: TrainState,
    devices: Sequence[jax.Device],
    members_at_once: int | None,
    stream: bool,
    workers: int,
    tell: Callable[[dict[str, int] | None], None] | None,
) -> Iterator[tuple[int, TrainState, dict[str, np.ndarray]]]:
    done, length, compiled = int(state.step), 1, False
    if done >= config.steps:
        return
    if isinstance(dataset, Dataset) and not stream:
        feed = feeds.resident(dataset, devices)
    else:
        feed = feeds.streamed(config, dataset, devices, done, workers)
    data, end = next(feed)
    at_once = members_at_once or parallel.members_at_once(config, state, devices)
    program = parallel.make_program(config, devices, LONGEST_CHUNK, at_once)
    while done < config.steps:
        every = (config.sample_every, config.checkpoint_every, config.score_every or config.steps)
        if done == end:
            data, end = next(feed)
        ends = [one - done for one in (end, config.pretrain.steps, config.steps) if one > done]
        steps = min(length, *ends, *(e - done % e for e in every))
        steps = distributed.broadcast_int(steps)  # its clock decides for all
        began = time.monotonic()
        state, metrics = program(state, steps, data)
        metrics = {name: rows.T[:steps] for name, rows in jax.device_get(metrics).items()}
        if tell and not compiled:
            tell(program.memory())
        if compiled:  # the first step's time says nothing of the others'
            fitting = CHUNK_SECONDS * steps / max(time.monotonic() - began, 1e-9)
            length = int(np.clip(fitting, 1, min(LONGEST_CHUNK, 10 * length)))
        done, compiled = done + steps, True
        yield done, state, metrics


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
    devices = placement.pick_devices(None, config.batch_size) if devices is None else devices
    dataset = sources.load(config.data)
    state = start(config, dataset, devices)
    texts = {"the config": config_json.dumps(config), "the data": dataset.fingerprint}
    distributed.check_same(**texts)

    def steps(
        state: TrainState, tell: Callable[[dict[str, int] | None], None] | None = None
    ) -> Iterator[tuple[int, TrainState, dict[str, np.ndarray]]]:
        how = (devices, members_at_once, stream, workers, tell)
        return iterate(config, dataset, state, *how)

    if not distributed.is_leader():
        return follow.follow(config, workdir, state, devices, steps)
    scores = InTrainingScores(config, dataset, devices[0], quiet=quiet)
    with (
        run.opened(workdir, config, dataset, devices) as found,
        signals.caught() as came,
        Checkpoints(workdir / "checkpoints", config.keep) as checkpoints,
    ):
        done, state = checkpoints.restore(state) or (0, state)
        if done > config.steps:
            raise UserError(
                f"steps is {config.steps}: the run in {workdir} is at step {done} already"
            )
        state = follow.begin(state, devices)
        run.write_config(workdir, config)
        members = population.members(config)
        seeds = [member.seed for member in members]
        timing = logs.Timing(workdir / "timing.json", seeds, done, found, devices)
        log = logs.MetricsLog(workdir / "metrics.jsonl", config.log_every, done)
        scores.open(workdir, done)
        drawing = Drawing(workdir, config, dataset)
        skips, by = Skips(config, state, saved=done), 0
        rate = config.batch_size * len(members)
        with contextlib.closing(Progress(done, config.steps, rate, quiet=quiet)) as progress:
            if done == 0:
                drawing.real()
            timing.ready(time.monotonic() - began)
            for reached, state, metrics in steps(state, timing.program):  # noqa: B020
                by = distributed.stop_signal(came)
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
                if follow.is_kept(config, done, by, skips):
                    timing.write()  # first, so that every checkpoint's launch is on record
                    checkpoints.save(done, state)
                    skips.saved = done
                if by:
                    break
    timing.close()
    drawing.film()
    curves.draw(workdir, workdir / "curves.png")
    if config.sweep and not by:
        sweep_table.write(workdir, config, state)
    distributed.barrier()
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
    config_json.register_types_of(config)
    if flags.dry_run:
        hardware = flags.launch.hardware
        dry_run(
            config,
            devices=placement.pick_devices(hardware.devices, config.batch_size),
            members_at_once=hardware.members_at_once,
            stream=hardware.stream,
            workers=hardware.workers,
        )
        return
    workdir = Path(flags.workdir or Path("runs") / config.name)
    if not fit_on(flags.launch, config, workdir):
        return
    picture = "members.png, " if population.is_population(config) else "film.png, "
    picture = "" if sentences.of_tokens(config) else picture
    print(f"{workdir}: samples/, {picture}curves.png to look at, metrics.jsonl to plot")


def fit_on(launch: Launch, config: Config, workdir: Path) -> bool:
    """Call `fit` on the given hardware and processes; return whether this process is the leader."""
    hardware, processes = launch.hardware, launch.processes
    if hardware.compilation_cache:
        command_line.use_compilation_cache()
    validate(config)
    with (
        distributed.distributed_session(*dataclasses.astuple(processes)),
        command_line.user_errors(),
    ):
        fit(
            config,
            workdir,
            devices=placement.pick_devices(hardware.devices, config.batch_size),
            members_at_once=hardware.members_at_once,
            stream=hardware.stream,
            workers=hardware.workers,
        )
        return distributed.is_leader()


def main(config: Config, small: Config | None = None) -> None:
    """Train a recipe with the flags in `sys.argv`: `python -m experiments.NAME [flags]`."""
    with command_line.user_errors():
        execute(parse(config, small))

"""Training in a run folder: the function `fit`, and `main`, the command of every recipe."""

import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from gan_jax.config import (
    Config,
    Logging,
    Preset,
    Runtime,
    TextData,
    population,
    serialization,
)
from gan_jax.config.validation import validate, validate_logging, validate_runtime
from gan_jax.core import command_line, processes, signals
from gan_jax.core import devices as core_devices
from gan_jax.core.command_line import Flat, Group, Imports
from gan_jax.core.errors import UserError
from gan_jax.core.processes import Processes
from gan_jax.core.progress import Progress
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.metrics.evaluation.in_training_log import InTrainingScores
from gan_jax.reporting.curves import CurvesPlot
from gan_jax.reporting.notebook import NotebookDisplay, in_notebook
from gan_jax.reporting.run import Run
from gan_jax.reporting.samples import FilmStrip, SampleWriter
from gan_jax.reporting.sweeps import SweepTable
from gan_jax.runs import folder
from gan_jax.runs.checkpoint import Checkpointer, Checkpoints
from gan_jax.runs.metrics_log import MetricsLog
from gan_jax.runs.timing import Timing
from gan_jax.training.dry_run import dry_run
from gan_jax.training.hooks import Chunk, Hook, ProgressBar
from gan_jax.training.initialize import initialize
from gan_jax.training.loop import iterate
from gan_jax.training.nonfinite import NonFiniteGuard
from gan_jax.training.state import TrainState

RENAMED_FLAGS = {  # of version 0.1
    "--small": "--preset small",
    "--augment.colour": "--augment.color",
    "--data.draw": "--data.subset-seed",
    "--disc.pack": "--disc.pac-size",
    "--silence": "--heartbeat-timeout",
}


def fit(
    config: Config,
    workdir: Path | str,
    *,
    devices: Sequence[jax.Device] | None = None,
    runtime: Runtime = Runtime(),  # noqa: B008
    logging: Logging = Logging(),  # noqa: B008
    quiet: bool = False,
) -> TrainState:
    """Train in a run folder, from the beginning or from its newest checkpoint.

    An interrupted and continued run has the same numbers as one without interruption. If several
    processes train the run, all must call this function with the same arguments; only process 0
    writes the folder.

    Args:
        config: Config of a run or a population.
        workdir: Path to the run folder. It is created if it does not exist.
        devices: Devices that share each batch; by default those of `runtime`.
        runtime: Execution settings.
        logging: Logging settings.
        quiet: Hide the progress bar.

    Returns:
        The state after the last step.

    Raises:
        UserError: If the folder has a run of another config or other data, or more steps than
            `config.steps`.
        SystemExit: With status 128 + signal if SIGINT or SIGTERM stopped the run, after the current
            chunk and a checkpoint.
    """
    start_time = time.monotonic()
    validate(config)
    validate_runtime(runtime)
    validate_logging(config, logging)
    if devices is None:
        devices = core_devices.pick_devices(runtime.devices, config.batch_size)
    dataset = sources.load(config.data)
    state = initialize(config, dataset, devices, runtime.microbatch)
    texts = {"the config": serialization.dumps(config), "the data": dataset.fingerprint}
    processes.check_same(**texts)
    launch = _Launch(config, Path(workdir), dataset, devices, runtime, logging, quiet, start_time)
    # Before the folder is opened: this fails if there is no metric for the data.
    scores = launch.scores() if processes.is_leader() else None
    with (
        launch.open_folder() as versions,
        signals.catch_signals() as received,
        Checkpoints(launch.workdir / "checkpoints", logging.keep) as checkpoints,
        contextlib.ExitStack() as stack,
    ):
        state = launch.restore(checkpoints, state)
        guard = NonFiniteGuard(config, state, runtime.skip_limit)
        if scores is None:
            every, on_compiled = logging.checkpoint_every, None
            hooks: list[Hook] = [guard, Checkpointer(checkpoints, config, every, guard)]
        else:
            timing = launch.timing(versions, int(state.step))
            hooks = launch.hooks(int(state.step), checkpoints, guard, scores, timing, stack)
            on_compiled = timing.program
            timing.ready(time.monotonic() - start_time)
        options: Any = {"runtime": runtime, "logging": logging, "on_compiled": on_compiled}
        chunks = iterate(config, dataset, state, devices, **options)
        state, stop_signal = _run(chunks, hooks, state, config.steps, received)
    for hook in hooks:
        hook.on_end(state, stopped=bool(stop_signal))
    processes.barrier()
    if stop_signal:
        if processes.is_leader():
            name, step = signal.Signals(stop_signal).name, int(state.step)
            print(f"{name}: stopped at step {step}; run it again to continue", file=sys.stderr)
        raise SystemExit(128 + stop_signal)
    return state


def _run(
    chunks: Iterator[tuple[int, TrainState, Any]],
    hooks: Sequence[Hook],
    state: TrainState,
    steps: int,
    received: list[int],
) -> tuple[TrainState, int]:
    """Train to the end or to a signal, and call the hooks after each chunk."""
    step, stop_signal = int(state.step), 0
    for last_step, state, metrics in chunks:
        stop_signal = processes.stop_signal(received)
        chunk = Chunk(step + 1, last_step, state, metrics, last_step == steps, stop_signal)
        for hook in hooks:
            hook.on_chunk(chunk)
        step = last_step
        if stop_signal:
            break
    return state, stop_signal


@dataclasses.dataclass(frozen=True)
class _Launch:
    """A call of `fit`."""

    config: Config
    workdir: Path
    dataset: Dataset
    devices: Sequence[jax.Device]
    runtime: Runtime
    logging: Logging
    quiet: bool
    start_time: float

    @contextlib.contextmanager
    def open_folder(self) -> Iterator[dict[str, Any]]:
        """Open the run folder in process 0; the other processes wait."""
        if not processes.is_leader():
            processes.barrier()
            yield {}
            return
        with folder.open_folder(self.workdir, self.config, self.dataset, self.devices) as versions:
            yield versions

    def restore(self, checkpoints: Checkpoints, initial: TrainState) -> TrainState:
        """Restore the newest checkpoint, if there is one, and broadcast it from process 0."""
        step, state = checkpoints.restore(initial) or (0, initial)
        if step > self.config.steps:
            raise UserError(
                f"steps must be at least {step}, the last step of {self.workdir}, "
                f"got {self.config.steps}"
            )
        if jax.process_count() == 1:
            return state
        processes.barrier()
        processes.connect_devices(self.devices)
        return core_devices.replicate(processes.broadcast_tree(state), self.devices)

    def scores(self) -> InTrainingScores:
        """Return the hook that scores the run. Raises UserError if there is no metric for it."""
        every, device = self.logging.score_every, self.devices[0]
        return InTrainingScores(self.config, self.dataset, device, every, quiet=self.quiet)

    def timing(self, versions: dict[str, Any], step: int) -> Timing:
        """Return the hook that times the launch."""
        seeds = [member.seed for member in population.member_configs(self.config)]
        return Timing(self.workdir / "timing.json", seeds, step, versions, self.devices)

    def hooks(
        self,
        step: int,
        checkpoints: Checkpoints,
        guard: NonFiniteGuard,
        scores: InTrainingScores,
        timing: Timing,
        stack: contextlib.ExitStack,
    ) -> list[Hook]:
        """Return the hooks of the process that writes.

        Args:
            step: Last step of the previous launch.
            checkpoints: Checkpoints of the run.
            guard: Hook that stops the run after non-finite updates.
            scores: Hook that scores the run.
            timing: Hook that times the launch.
            stack: Stack that closes the progress bar.

        Returns:
            The hooks, in the order in which they are called.
        """
        config, logging, workdir = self.config, self.logging, self.workdir
        folder.write_config(workdir, config)
        folder.write_settings(workdir, logging, self.runtime)
        log = MetricsLog(workdir / "metrics.jsonl", logging.log_every, step)
        scores.open(workdir, step)
        samples = SampleWriter(workdir, config, self.dataset, logging.sample_every)
        rate = config.batch_size * len(population.member_configs(config))
        progress = Progress(step, config.steps, rate, quiet=self.quiet)
        stack.enter_context(contextlib.closing(progress))
        if step == 0:
            samples.real()
        live = in_notebook() and not self.quiet
        return [
            log,
            ProgressBar(progress, config.pretrain.steps),
            guard,
            samples,
            scores,
            timing,
            # Timing is written first, so that the launch of every checkpoint is recorded.
            Checkpointer(checkpoints, config, logging.checkpoint_every, guard, timing.write),
            FilmStrip(samples),
            CurvesPlot(workdir),
            SweepTable(workdir, config),
            *([NotebookDisplay(Run(workdir, config))] if live else []),
        ]


@dataclasses.dataclass(frozen=True)
class TrainArgs:
    """Flags of the launch of a recipe."""

    preset: str = "full"
    """Name of the version of the recipe. Most recipes have small, which trains on a CPU."""
    workdir: str | None = None
    """Path to the run folder; by default runs/NAME. An interrupted run in it is continued."""
    dry_run: bool = False
    """Print parameter counts, memory, and estimated time instead of training."""


@dataclasses.dataclass(frozen=True)
class LaunchArgs:
    """Flags of execution and logging, which do not change the numbers of a run."""

    runtime: Group[Runtime] = Runtime()
    logging: Group[Logging] = Logging()
    processes: Group[Processes] = Processes()
    compilation_cache: bool = True
    """Cache compiled programs on disk, so that later starts are fast."""


@dataclasses.dataclass(frozen=True)
class Flags:
    """All flags of the command `train`."""

    config: Flat[Config]
    train: Flat[TrainArgs] = TrainArgs()
    launch: Flat[LaunchArgs] = LaunchArgs()
    imports: Flat[Imports] = Imports()


@dataclasses.dataclass(frozen=True)
class ResumeArgs:
    """All flags of the command `resume`."""

    steps: int
    """Number of train steps of the run."""
    launch: Flat[LaunchArgs] = LaunchArgs()
    imports: Flat[Imports] = Imports()


def parse(presets: Mapping[str, Preset], **options: Any) -> Flags:
    """Parse the flags of the command `train`.

    Args:
        presets: Versions of the recipe by name, the default one first. Flags change their values.
        **options: Options of `command_line.parse_as`.

    Returns:
        The flags.

    Raises:
        UserError: If a flag is wrong, or there is no such preset.
    """
    args = options.get("args", sys.argv[1:])
    first = TrainArgs(next(iter(presets)))
    with contextlib.suppress(UserError):  # reported by the second call
        first, _ = command_line.parse_as(
            TrainArgs, default=first, args=args, return_unknown_args=True, add_help=False
        )
    if first.preset not in presets:
        raise UserError(f"preset must be one of {', '.join(presets)}, got {first.preset}")
    preset = presets[first.preset]
    launch = LaunchArgs(runtime=preset.runtime, logging=preset.logging)
    default = Flags(preset.config, TrainArgs(first.preset), launch)
    return command_line.parse(default, renamed=RENAMED_FLAGS, **options)


def execute(flags: Flags) -> None:
    """Train with the given flags, and print the paths of the results."""
    config, launch = flags.config, flags.launch
    for name in flags.imports.modules:
        serialization.import_types(name)
    serialization.register_types_of(config)
    if flags.train.dry_run:
        dry_run(config, runtime=launch.runtime)
        return
    workdir = Path(flags.train.workdir or Path("runs") / config.name)
    if not fit_on(launch, config, workdir):
        return
    images = "members.png, " if population.is_population(config) else "film.png, "
    images = "" if isinstance(config.data, TextData) else images
    print(f"{workdir}: samples/, {images}curves.png, metrics.jsonl")


def fit_on(launch: LaunchArgs, config: Config, workdir: Path) -> bool:
    """Call `fit` with all settings of a launch.

    Args:
        launch: Execution and logging settings, and processes.
        config: Config of the run.
        workdir: Path to the run folder.

    Returns:
        True in the process that writes the run folder.
    """
    if launch.compilation_cache:
        command_line.use_compilation_cache()
    validate(config)
    session = processes.distributed_session(*dataclasses.astuple(launch.processes))
    with session, command_line.user_errors():
        fit(config, workdir, runtime=launch.runtime, logging=launch.logging)
        return processes.is_leader()


def main(presets: Mapping[str, Preset]) -> None:
    """Train a recipe with the flags in `sys.argv`, for `python -m experiments.NAME [flags]`.

    Args:
        presets: Versions of the recipe by name, from which `--preset` chooses.
    """
    with command_line.user_errors():
        execute(parse(presets))

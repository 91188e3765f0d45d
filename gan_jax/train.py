"""Training: `iterate` generates steps, `fit` does it in a run folder, `main` is its command."""

import contextlib
import dataclasses
import json
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from gan_jax import cli, keys, parallel, plots, run, sampling
from gan_jax.checkpoint import Checkpoints
from gan_jax.config import Config, validate
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.progress import Progress
from gan_jax.state import TrainState, generator_variables, init_state

LONGEST_CHUNK = 100  # steps in one program: a row of metrics each is held on the device
CHUNK_SECONDS = 1.0  # a chunk of slow steps ends after about this long, so that the run can be seen


def start(config: Config, dataset: Dataset, devices: Sequence[jax.Device]) -> TrainState:
    """The state before the first step, placed on the devices.

    Raises UserError if the networks cannot take the data's shapes or their labels.
    """
    validate(config)
    example = sources.example(dataset, config.batch_size)

    def init() -> TrainState:
        return init_state(config, jax.random.key(config.seed), example)

    try:
        state = jax.eval_shape(init)
        z = jax.ShapeDtypeStruct((config.batch_size, config.z_dim), np.float32)
        made = jax.eval_shape(
            lambda variables, z: config.gen.apply(variables, z, example.cond, train=False),
            {"params": state.gen.params, **state.gen.stats},
            z,
        )
    except (ValueError, TypeError, ZeroDivisionError) as error:
        given = list(example.real.shape[1:])
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the networks cannot take examples of shape {given}: {reason}") from None
    if made.shape != example.real.shape:
        made, given = list(made.shape[1:]), list(example.real.shape[1:])
        raise UserError(f"the generator makes examples of shape {made}, the data has {given}")
    return parallel.place(jax.jit(init)(), devices)


def iterate(
    config: Config,
    dataset: Dataset | None = None,
    state: TrainState | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Iterator[tuple[int, TrainState, dict[str, np.ndarray]]]:
    """Trains to `config.steps`, from the beginning or from `state`, which it consumes.

    Yields after each chunk: the steps done, the state (whole until the next item is asked for), and
    the metrics of the chunk's steps, float32 [steps of the chunk] each. Chunks end where samples
    and checkpoints are due; their lengths change no number. Raises UserError at once if config,
    data and devices do not fit together.
    """
    dataset = sources.load(config.data) if dataset is None else dataset
    devices = parallel.pick_devices(None, config.batch_size) if devices is None else devices
    state = start(config, dataset, devices) if state is None else state
    return _chunks(config, dataset, state, devices)


def _chunks(
    config: Config, dataset: Dataset, state: TrainState, devices: Sequence[jax.Device]
) -> Iterator[tuple[int, TrainState, dict[str, np.ndarray]]]:
    examples = parallel.place(dataset.batch, devices)
    chunk = parallel.make_chunk(config, devices, LONGEST_CHUNK)
    done, length = (
        int(state.step),
        1,
    )  # one step first: it compiles, and tells how long a step takes
    while done < config.steps:
        due = (
            config.steps,
            *(done + e - done % e for e in (config.sample_every, config.checkpoint_every)),
        )
        steps = min(length, min(due) - done)
        began = time.monotonic()
        state, metrics = chunk(state, steps, examples)
        metrics = {name: rows[:steps] for name, rows in jax.device_get(metrics).items()}
        per_step = (time.monotonic() - began) / steps
        length = 10 if length == 1 else int(np.clip(CHUNK_SECONDS / per_step, 1, LONGEST_CHUNK))
        done += steps
        yield done, state, metrics


def fit(
    config: Config,
    workdir: Path | str,
    *,
    devices: Sequence[jax.Device] | None = None,
    quiet: bool = False,
) -> TrainState:
    """Trains in the run folder `workdir`: from the beginning, or on from its newest checkpoint.

    Either way the run's numbers are those of one that was never stopped. SIGINT and SIGTERM end it
    after the chunk at hand, with a checkpoint and the exit status 128 + signal. Raises UserError if
    the folder is of another config or other data, or is ahead of `config.steps`.
    """
    began = time.monotonic()
    workdir = Path(workdir)
    validate(config)
    devices = parallel.pick_devices(None, config.batch_size) if devices is None else devices
    dataset = sources.load(config.data)
    state = start(config, dataset, devices)
    run.open_run(workdir, config, dataset, devices)
    with Checkpoints(workdir / "checkpoints", config.keep) as checkpoints, _signals() as signals:
        done, state = checkpoints.restore(state) or (0, state)
        if done > config.steps:
            raise UserError(
                f"steps is {config.steps}: the run in {workdir} is at step {done} already"
            )
        run.write_config(workdir, config)
        timing: dict[str, Any] = {"command": run.command(), "seed": config.seed, "from_step": done}
        timing["ready_seconds"] = time.monotonic() - began
        log = run.MetricsLog(workdir / "metrics.jsonl", config.log_every, done)
        progress = Progress(done, config.steps, config.batch_size, quiet=quiet)
        if done == 0:
            _draw(config, dataset, state, workdir / "samples" / "real.png", real=True)
        began, saved = time.monotonic(), done
        chunks = iterate(config, dataset, state, devices)
        for reached, state, metrics in chunks:
            timing.setdefault("first_step_seconds", time.monotonic() - began)
            log.write(done + 1, metrics)
            progress.update(
                reached - done, {n: metrics[n].mean() for n in ("disc_loss", "gen_loss")}
            )
            done, bad = reached, int(state.skipped_in_row)
            if bad >= config.skip_limit:
                raise UserError(
                    f"{bad} steps in a row had non-finite updates, to step {done}: stopped; the "
                    f"last good checkpoint is of step {saved}"
                )
            if done % config.sample_every == 0 or done == config.steps:
                _draw(config, dataset, state, workdir / "samples" / f"step_{done:08d}.png")
            if not bad and (done % config.checkpoint_every == 0 or done == config.steps or signals):
                checkpoints.save(done, state)
                saved = done
            if signals:
                break
        if "first_step_seconds" not in timing:
            return state  # it was at its end already
        timing |= {"to_step": done, "train_seconds": time.monotonic() - began}
    progress.close()
    _record(workdir / "timing.json", timing)
    frames = sorted((workdir / "samples").glob("step_*.png"))
    if frames:
        plots.film(frames).save(workdir / "film.png")
    if signals:
        raise SystemExit(128 + signals[0])
    return state


def _draw(
    config: Config, dataset: Dataset, state: TrainState, path: Path, *, real: bool = False
) -> None:
    """The sample grid of the run's fixed z (or, once, real examples in the same form)."""
    columns = sampling.classes(config) or 8
    points = dataset.batch.real.ndim == 2
    count = 2560 if points else 8 * columns
    if real:
        made = np.asarray(
            parallel.scale(dataset.batch.real[:count], symmetric=config.data.symmetric)
        )
    else:
        key = keys.step_key(jax.device_get(state.key), keys.Purpose.GRID, 0)
        variables = jax.device_put(generator_variables(state), jax.local_devices()[0])
        made = sampling.sample(config, variables, key, count)
    if points:
        image = plots.density(made, dataset.batch.real[:10_000])
    else:
        image = plots.grid(plots.to_pixels(made, symmetric=config.data.symmetric), columns)
    image.save(path)


def _record(path: Path, entry: dict[str, Any]) -> None:
    """One more launch in timing.json: the only file of a run that differs between reruns."""
    launches = json.loads(path.read_text()) if path.exists() else []
    run.write_atomically(path, json.dumps([*launches, entry], indent=2) + "\n")


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """The SIGINTs and SIGTERMs that came; the second SIGINT ends the process as ever."""
    came: list[int] = []

    def note(number: int, _: Any) -> None:
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)

    try:
        before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, where Python delivers signals: leave them alone
        before = {}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclasses.dataclass(frozen=True)
class Launch:
    """What a command line says: the run, and where and on what to do it."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    workdir: str | None = None
    """Run folder; runs/NAME by default. An interrupted run in it is continued."""
    devices: int | None = None
    """How many devices, all by default. Numbers do not depend on it."""
    compilation_cache: bool = True
    """Keep compiled programs on the disk, for a quick start next time."""


def main(config: Config) -> None:
    """What `python -m experiments.NAME [flags]` does: `fit` with the flags laid over `config`."""
    with cli.user_errors():
        launch = cli.parse(Launch(config))
        if launch.compilation_cache:
            cli.use_compilation_cache()
        validate(launch.config)
        devices = parallel.pick_devices(launch.devices, launch.config.batch_size)
        workdir = Path(launch.workdir or Path("runs") / launch.config.name)
        fit(launch.config, workdir, devices=devices)
        print(f"{workdir}: samples/ and film.png to look at, metrics.jsonl to plot")

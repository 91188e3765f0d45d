"""Training: `iterate` generates steps, `fit` does it in a run folder, `main` is its command."""

import dataclasses
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from flax.errors import FlaxError

from gan_jax import cli, keys, logs, parallel, plots, run, sampling, signals
from gan_jax.checkpoint import Checkpoints
from gan_jax.config import Config, validate
from gan_jax.data import feeds, sources
from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.progress import Progress
from gan_jax.state import Player, TrainState, generator_variables, init_state, variables

LONGEST_CHUNK = 1000  # steps in one program: a row of metrics each is held on the device
CHUNK_SECONDS = 1.0  # a chunk ends after about this long, so that the run can be seen and stopped


def _check_networks(config: Config, dataset: Dataset, state: TrainState) -> None:
    """Raises an error of some kind if the networks do not fit the data; nothing is computed."""
    n, example = config.batch_size, sources.example(dataset, config.batch_size)
    empty = [leaf for leaf in jax.tree.leaves((state.gen, state.disc)) if 0 in leaf.shape]
    if empty:
        raise ValueError(f"a width of 0 makes parameters of shape {list(empty[0].shape)}")

    def shape(module: Any, player: Player, x: Any) -> tuple[int, ...]:
        def outputs(all_variables: Any, x: Any, cond: Any) -> Any:
            return module.apply(all_variables, x, cond, train=True, mutable=list(player.stats))[0]

        return jax.eval_shape(outputs, variables(player), x, example.cond).shape

    made = shape(config.gen, state.gen, np.zeros((n, config.z_dim), np.float32))
    if made != example.real.shape:
        made, given = list(made[1:]), list(example.real.shape[1:])
        raise UserError(f"the generator makes examples of shape {made}, the data has {given}")
    logits = shape(config.disc, state.disc, example.real)
    if logits != (n,):
        raise UserError(f"the discriminator makes logits {list(logits)}: they must be [{n}]")
    for player, module in (("gen", config.gen), ("disc", config.disc)):
        classes, labels = getattr(module, "classes", 0), dataset.batch.cond
        if classes and labels is not None and labels.max() >= classes:
            raise UserError(
                f"{player}.classes is {classes}: the data has labels from 0 to {labels.max()}"
            )


def start(config: Config, dataset: Dataset, devices: Sequence[jax.Device]) -> TrainState:
    """The state before the first step, placed on the devices.

    Raises UserError if the networks cannot take the data's shapes or its labels.
    """
    validate(config)
    example = sources.example(dataset, config.batch_size)

    def init(key: jax.Array) -> TrainState:
        return init_state(config, key, example)

    key = keys.root(config.seed)
    try:
        _check_networks(config, dataset, jax.eval_shape(init, key))
    except UserError:
        raise
    except (ValueError, TypeError, AssertionError, ZeroDivisionError, FlaxError) as error:
        given, reason = list(example.real.shape[1:]), str(error)[:300]
        raise UserError(f"the networks cannot take examples of shape {given}: {reason}") from None
    return parallel.place(jax.jit(init)(key), devices)


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
    done, length, compiled = int(state.step), 1, False
    while done < config.steps:
        every = (config.sample_every, config.checkpoint_every)
        steps = min(length, config.steps - done, *(e - done % e for e in every))
        began = time.monotonic()
        state, metrics = chunk(state, steps, examples)
        metrics = {name: rows[:steps] for name, rows in jax.device_get(metrics).items()}
        if compiled:  # the first step's time says nothing of the others'
            fitting = CHUNK_SECONDS * steps / (time.monotonic() - began)
            length = int(np.clip(fitting, 1, min(LONGEST_CHUNK, 10 * length)))
        done, compiled = done + steps, True
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
    found = run.open_run(workdir, config, dataset, devices)
    with (
        signals.caught() as came,
        Checkpoints(workdir / "checkpoints", config.keep) as checkpoints,
    ):
        done, state = checkpoints.restore(state) or (0, state)
        if done > config.steps:
            raise UserError(
                f"steps is {config.steps}: the run in {workdir} is at step {done} already"
            )
        run.write_config(workdir, config)
        timing = logs.Timing(workdir / "timing.json", config.seed, done, found)
        log = logs.MetricsLog(workdir / "metrics.jsonl", config.log_every, done)
        progress = Progress(done, config.steps, config.batch_size, quiet=quiet)
        if done == 0:
            _draw(config, dataset, state, workdir / "samples" / "real.png", real=True)
        row, saved = int(state.skipped_in_row), done
        timing.ready(time.monotonic() - began)
        for reached, state, metrics in iterate(config, dataset, state, devices):  # noqa: B020
            stop = bool(came) or reached == config.steps
            log.write(done + 1, metrics)
            losses = {name: metrics[name].mean() for name in ("disc_loss", "gen_loss")}
            progress.update(reached - done, losses)
            done = reached
            for skipped in metrics["skipped"]:
                row = row + 1 if skipped else 0
                if row >= config.skip_limit:
                    progress.close()
                    raise UserError(
                        f"{row} steps in a row had non-finite updates, by step {done}: stopped; "
                        f"the last checkpoint is of step {saved}"
                    )
            if done % config.sample_every == 0 or done == config.steps:
                _draw(config, dataset, state, workdir / "samples" / f"step_{done:08d}.png")
            timing.reached(done)
            if stop or (done % config.checkpoint_every == 0 and not row):
                timing.write()  # first, so that every checkpoint's launch is on record
                checkpoints.save(done, state)
                saved = done
            if stop:
                break
        progress.close()
    timing.close()
    frames = sorted((workdir / "samples").glob("step_*.png"))
    if frames:
        plots.film(frames, whole=dataset.batch.real.ndim == 2).save(workdir / "film.png")
    if came:
        name = signal.Signals(came[0]).name
        print(f"{name}: stopped at step {done}; run it again to go on", file=sys.stderr)
        raise SystemExit(128 + came[0])
    return state


def _draw(
    config: Config, dataset: Dataset, state: TrainState, path: Path, *, real: bool = False
) -> None:
    """The sample grid of the run's fixed z (or, once, real examples in the same form)."""
    columns = sampling.classes(config) or 8
    points = dataset.batch.real.ndim == 2
    count = 2560 if points else 8 * columns
    if real:
        made = np.asarray(feeds.scale(dataset.batch.real[:count], symmetric=config.data.symmetric))
    else:
        key = keys.step_key(jax.device_get(state.key), keys.Purpose.GRID, 0)
        variables = jax.device_put(generator_variables(state), jax.local_devices()[0])
        made = sampling.sample(config, variables, key, count)
    if points:
        image = plots.density(made, dataset.batch.real[:10_000])
    else:
        image = plots.grid(plots.to_pixels(made, symmetric=config.data.symmetric), columns)
    image.save(path)


@dataclasses.dataclass(frozen=True)
class Launch:
    """What a command line says: the run, and where and on what to do it."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    workdir: str | None = None
    """Run folder; runs/NAME by default. An interrupted run in it is continued."""
    devices: int | None = None
    """How many devices, all by default. They see the same noise and data whatever their number."""
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

"""A finished or running run's state, read from its folder alone: the data need not be there."""

from pathlib import Path

import jax

from gan_jax.config import Config, population
from gan_jax.core import devices
from gan_jax.core.errors import UserError
from gan_jax.runs import checkpoint
from gan_jax.runs import folder as run_folder
from gan_jax.training import population_state
from gan_jax.training.state import TrainState


def checkpoint_steps(workdir: Path) -> list[int]:
    """The steps of which a run folder has a checkpoint, in order. Raises UserError if none."""
    folder = workdir / "checkpoints"
    if not folder.is_dir():
        raise UserError(f"{workdir} has no checkpoint yet")
    with checkpoint.Checkpoints(folder, keep=None) as checkpoints:
        found = checkpoints.steps()
    if not found:
        raise UserError(f"{workdir} has no checkpoint yet")
    return found


def restore(workdir: Path, step: int | None = None) -> tuple[int, Config, TrainState]:
    """Step, config and state of the newest readable checkpoint of a run folder, or that of `step`.

    Raises UserError if there is none.
    """
    config = run_folder.load_config(workdir)
    example = run_folder.load_example(workdir, config.batch_size)
    # Shapes alone: compiling the start takes longer than reading the state.
    shapes = jax.eval_shape(
        lambda roots: population_state.init_population(config, roots, example),
        population.root_keys(config),
    )
    where = devices.replicated(jax.local_devices()[:1])
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where), shapes
    )
    there = checkpoint_steps(workdir)
    if step is not None and step not in there:
        listed = ", ".join(map(str, there))
        raise UserError(f"step is {step}: the run has checkpoints of steps {listed}")
    with checkpoint.Checkpoints(workdir / "checkpoints", keep=None) as checkpoints:
        found = checkpoints.restore(like, step)
    if found is None:
        raise UserError(f"{workdir} has no checkpoint yet")
    return found[0], config, found[1]


def restore_member(
    workdir: Path, step: int | None = None, member: int | None = None
) -> tuple[int, int | None, Config, TrainState]:
    """As `restore`, of one member of a population as a run of its own, by default the first: step,
    the member's number (None where the run is no population), config and state.

    Raises UserError if there is no such member, or one is asked for of a run that is no population.
    """
    step, config, state = restore(workdir, step)
    if not population.is_population(config):
        if member is not None:
            raise UserError(f"member is {member}: the run in {workdir} is no population")
        return step, None, config, state
    member, count = member or 0, len(population.member_configs(config))
    if not 0 <= member < count:
        raise UserError(f"member is {member}: the run has members 0 to {count - 1}")
    return step, member, *population_state.member_run(config, state, member)

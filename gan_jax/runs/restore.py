"""Loading of checkpoints from a run folder. The data set is not needed."""

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
    """List the steps of the checkpoints in a run folder, in order. Raises UserError if none."""
    folder = workdir / "checkpoints"
    if folder.is_dir():
        with checkpoint.Checkpoints(folder, keep=None) as checkpoints:
            steps = checkpoints.steps()
        if steps:
            return steps
    raise UserError(f"{workdir} has no checkpoint yet")


def restore(workdir: Path, step: int | None = None) -> tuple[int, Config, TrainState]:
    """Restore the state of a run, which may still be training, from its folder.

    Args:
        workdir: Run folder.
        step: Step of the checkpoint; None for the newest readable one.

    Returns:
        The step, the config and the state, on the first local device.

    Raises:
        UserError: If there is no such checkpoint, or it is damaged.
    """
    config = run_folder.load_config(workdir)
    example = run_folder.load_example(workdir, config.batch_size)
    # Shapes suffice: compiling the initialization takes longer than reading the state.
    shapes = jax.eval_shape(
        lambda root_keys: population_state.init_population(config, root_keys, example),
        population.root_keys(config),
    )
    sharding = devices.replicated_sharding(jax.local_devices()[:1])
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes
    )
    steps = checkpoint_steps(workdir)
    if step is not None and step not in steps:
        raise UserError(f"step must be one of {', '.join(map(str, steps))}, got {step}")
    with checkpoint.Checkpoints(workdir / "checkpoints", keep=None) as checkpoints:
        restored = checkpoints.restore(like, step)
    if restored is None:
        raise UserError(f"{workdir} has no checkpoint yet")
    return restored[0], config, restored[1]


def restore_member(
    workdir: Path, step: int | None = None, member: int | None = None
) -> tuple[int, int | None, Config, TrainState]:
    """Restore one member of a population as a run with its own config.

    Args:
        workdir: Run folder.
        step: Step of the checkpoint; None for the newest readable one.
        member: Index of the member; None for the first.

    Returns:
        The step, the index of the member (None if the run is not a population), the config and the
        state.

    Raises:
        UserError: If there is no such checkpoint or member.
    """
    step, config, state = restore(workdir, step)
    if not population.is_population(config):
        if member is not None:
            raise UserError(f"member must be unset, as {workdir} is no population, got {member}")
        return step, None, config, state
    member, num_members = member or 0, len(population.member_configs(config))
    if not 0 <= member < num_members:
        raise UserError(f"member must be from 0 to {num_members - 1}, got {member}")
    return step, member, *population_state.member_run(config, state, member)

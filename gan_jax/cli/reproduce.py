"""Retrain a recorded run and compare it with the record."""

from pathlib import Path

from gan_jax.core.errors import UserError
from gan_jax.runs.compare import Comparison, compare, load_run_record


def reproduce(path: Path, workdir: Path, steps: int | None, data_dir: str | None) -> Comparison:
    """Retrain a recorded run and compare the two.

    The new run uses as many devices as the recorded one if they are available.

    Args:
        path: Run folder, or a record of experiments/results/.
        workdir: Folder of the new run.
        steps: Number of train steps. None: those of the recorded run.
        data_dir: Path to the data set. None: that of the recorded run.

    Returns:
        The comparison of the two runs.

    Raises:
        UserError: If `steps` is before the first recorded row, or the record cannot be read.
    """
    from gan_jax import train
    from gan_jax.config import schema
    from gan_jax.core import devices

    recorded = load_run_record(path)
    config = recorded.config
    last = config.steps if steps is None else min(steps, config.steps)
    if last < (first := min(recorded.rows, default=1)):
        raise UserError(f"steps must be at least {first}, the first recorded row, got {steps}")
    data = schema.with_data_dir(config.data, data_dir)
    device = recorded.versions.get("device")
    count = device.get("count") if isinstance(device, dict) else None
    if not isinstance(count, int) or not 1 <= count <= len(devices.pick_devices(None)):
        count = None
    train.fit(
        config.replace(steps=last, data=data),
        workdir,
        devices=devices.pick_devices(count, config.batch_size),
        runtime=recorded.runtime,
        logging=recorded.logging,
    )
    return compare(recorded, load_run_record(workdir))

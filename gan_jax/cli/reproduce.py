"""Retrain a recorded run and compare it with the record."""

from pathlib import Path

from gan_jax.core.errors import UserError
from gan_jax.runs.compare import Comparison, compare, load_run_record


def reproduce(path: Path, workdir: Path, steps: int | None, data_dir: str | None) -> Comparison:
    """Trains what is recorded at `path` again in the new folder `workdir`, to `steps` or to its
    end, on as many devices, if there are so many, and compares. `data_dir` is where its data lies
    now, if elsewhere."""
    from gan_jax import train
    from gan_jax.config import schema
    from gan_jax.core import devices

    there = load_run_record(path)
    config = there.config
    last = config.steps if steps is None else min(steps, config.steps)
    if last < min(there.rows, default=1):
        raise UserError(f"steps is {steps}: the first row is of step {min(there.rows)}")
    data = schema.with_data_dir(config.data, data_dir)
    again = config.replace(steps=last, data=data)
    device = there.versions.get("device")
    count = device.get("count") if isinstance(device, dict) else None
    if not isinstance(count, int) or not 1 <= count <= len(devices.pick_devices(None)):
        count = None
    on = devices.pick_devices(count, config.batch_size)
    train.fit(again, workdir, devices=on, runtime=there.runtime, logging=there.logging)
    return compare(there, load_run_record(workdir))

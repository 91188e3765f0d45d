"""Runs one of two processes: python -m tests.helpers.pair PORT PROCESS CALL ...

A CALL is a function of this file and its arguments, with commas between them.
"""

import dataclasses
import os
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np

from gan_jax import command_line, distributed, parallel, placement, train
from gan_jax.data import feeds, sources
from tests.helpers import small

SILENCE = 30  # seconds: on a machine with much else to do
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_compilation_cache_dir", os.environ["PAIR_CACHE"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


class Recorded(np.ndarray):
    """An array that notes which of its rows are read."""

    rows: set = set()  # noqa: RUF012

    def __getitem__(self, index):
        if isinstance(index, np.ndarray):
            self.rows.update(np.unique(index).tolist())
        return np.asarray(self)[index]


def inputs(out: str) -> None:
    """Saves what three steps of small.CONFIG see, gathered from all devices, and which rows of the
    data this process read for them."""
    real_step, parallel.make_train_step = parallel.make_train_step, small.spy
    config = small.config(steps=3)
    dataset = sources.load(config.data)
    seen = dataset.batch.real.view(Recorded)
    watched = dataclasses.replace(dataset, batch=dataset.batch.replace(real=seen))
    feeds.LONGEST_BLOCK = 3  # and no block beyond
    devices = placement.pick_devices(None, config.batch_size)
    blocks = feeds.streamed(config, watched, devices, 0)
    for name, feed in (("resident", feeds.resident(dataset, devices)), ("streamed", blocks)):
        program = parallel.make_program(config, devices, 3)
        distributed.meet()
        metrics = program(train.start(config, dataset, devices), 3, next(feed)[0])[1]
        np.savez(f"{out}_{name}_{jax.process_index()}.npz", **jax.device_get(metrics))
    np.save(f"{out}_rows_{jax.process_index()}.npy", sorted(Recorded.rows))
    parallel.make_train_step = real_step


def fit(workdir: str, steps: str, kind: str = "CONFIG") -> None:
    """Trains tests/helpers/small.py's config so far."""
    config = dataclasses.replace(getattr(small, kind), steps=int(steps))
    devices = placement.pick_devices(None, config.batch_size)
    train.fit(config, Path(workdir), devices=devices, quiet=True)


if __name__ == "__main__":
    port, process, *calls = sys.argv[1:]
    where = (f"localhost:{port}", 2, int(process), SILENCE)
    with distributed.together(*where), command_line.user_errors():
        for call in calls:
            name, *words = call.split(",")
            globals()[name](*words)

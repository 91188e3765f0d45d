"""Run one of two processes: `python -m tests.helpers.pair PORT PROCESS CALL ...`.

A CALL is a function of this file followed by its arguments, separated by commas.
"""

import dataclasses
import os
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
os.environ["JAX_PLATFORMS"] = "cpu"

import chex
import jax
import numpy as np
import pytest

from gan_jax import train
from gan_jax.core import command_line, processes
from gan_jax.core import devices as core_devices
from gan_jax.core.errors import UserError
from gan_jax.data import feeds, sources
from gan_jax.training import parallel
from gan_jax.training.initialize import initialize
from tests.helpers import small

HEARTBEAT_TIMEOUT = 30  # seconds, for a busy machine
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_compilation_cache_dir", os.environ["PAIR_CACHE"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


class RowRecorder(np.ndarray):
    """Array that records which rows are read."""

    rows: set = set()  # noqa: RUF012

    def __getitem__(self, index):
        if isinstance(index, np.ndarray):
            self.rows.update(np.unique(index).tolist())
        return np.asarray(self)[index]


def messages() -> None:
    """Broadcast values as a run does, with different values in each process."""
    process = jax.process_index()
    processes.barrier()
    assert processes.broadcast_int(7 + process) == 7
    assert processes.broadcast_text("café" if process == 0 else "") == "café"
    for first, second in ((0, 15), (2, 0), (2, 15), (15, 2), (0, 0)):
        received = [(first, second)[process]]
        assert processes.stop_signal(received if received[0] else []) == max(first, second)

    bits = np.array([0x7FC00001, 0x80000000, 1, 0xFF800000], np.uint32)  # NaN, -0, subnormal, -inf
    tree = {
        "floats": bits.view(np.float32),
        "flags": np.array([True, False]),
        "step": np.int32(-3),
        "key": jax.random.key(5, impl="threefry2x32"),
    }
    other = {
        "floats": bits[::-1].view(np.float32),
        "flags": np.array([False, True]),
        "step": np.int32(0),
        "key": jax.random.key(0, impl="threefry2x32"),
    }
    received = processes.broadcast_tree(other if process else tree)
    assert received["floats"].tobytes() == bits.tobytes()
    chex.assert_trees_all_equal(received, tree)

    processes.check_same(config="a", data="b")
    with pytest.raises(UserError, match=r"data must be .* processes \[1\]"):
        processes.check_same(config="a", data=f"b{process}")


def inputs(out: str) -> None:
    """Save the inputs of three steps of `small.CONFIG`.

    Saves the reals and latents of all devices, and the rows of the data that this process read.
    """
    make_train_step, parallel.make_train_step = parallel.make_train_step, small.spy
    config = small.config(steps=3)
    dataset = sources.load(config.data)
    real = dataset.batch.real.view(RowRecorder)
    recorded = dataclasses.replace(dataset, batch=dataset.batch.replace(real=real))
    feeds.LONGEST_BLOCK = 3  # exactly the steps of the run
    devices = core_devices.pick_devices(None, config.batch_size)
    blocks = feeds.streamed(config, recorded, devices, 0)
    for name, feed in (("resident", feeds.resident(dataset, devices)), ("streamed", blocks)):
        program = parallel.make_program(config, devices, 3)
        processes.barrier()
        metrics = program(initialize(config, dataset, devices), 3, next(feed)[0])[1]
        np.savez(f"{out}_{name}_{jax.process_index()}.npz", **jax.device_get(metrics))
    np.save(f"{out}_rows_{jax.process_index()}.npy", sorted(RowRecorder.rows))
    parallel.make_train_step = make_train_step


def fit(workdir: str, steps: str, kind: str = "CONFIG") -> None:
    """Train a config of tests/helpers/small.py up to step `steps`."""
    config = getattr(small, kind).replace(steps=int(steps))
    devices = core_devices.pick_devices(None, config.batch_size)
    train.fit(config, Path(workdir), devices=devices, logging=small.LOGGING, quiet=True)


if __name__ == "__main__":
    port, process, *calls = sys.argv[1:]
    address = (f"localhost:{port}", 2, int(process), HEARTBEAT_TIMEOUT)
    with processes.distributed_session(*address), command_line.user_errors():
        for call in calls:
            name, *arguments = call.split(",")
            globals()[name](*arguments)

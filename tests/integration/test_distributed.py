"""A run on two processes of two devices each equals one on a single device."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import chex
import jax
import numpy as np
import pytest

from gan_jax.core import devices as core_devices
from gan_jax.core import keys
from gan_jax.core import processes as core_processes
from gan_jax.core.errors import UserError
from gan_jax.data import order, sources
from gan_jax.runs import digest, metrics_log
from gan_jax.training import collectives, parallel
from gan_jax.training.initialize import initialize
from tests.helpers import small
from tests.helpers.paths import REPOSITORY

HEARTBEAT_TIMEOUT = 30  # seconds, as in pair.py
EXIT_TIMEOUT = 2 * HEARTBEAT_TIMEOUT  # seconds until the other process has exited


@pytest.fixture
def pair(tmp_path):
    """Starts two processes: pair(call, ...) -> two Popen. Stderr goes to tmp_path/stderr_I."""
    all_processes = []

    def start(*calls):
        with socket.socket() as listener:
            listener.bind(("localhost", 0))
            port = listener.getsockname()[1]
        processes = []
        for i in range(2):
            arguments = [sys.executable, "-m", "tests.helpers.pair", port, i, *calls]
            cache = jax.config.jax_compilation_cache_dir
            env = {**os.environ, "PAIR_CACHE": cache, "PYTHONPATH": str(REPOSITORY)}
            with (tmp_path / f"stderr_{i}").open("w") as stderr:
                streams = {"stderr": stderr, "stdout": subprocess.DEVNULL}
                processes.append(subprocess.Popen([*map(str, arguments)], env=env, **streams))
        all_processes.extend(processes)
        return processes

    yield start
    for process in all_processes:
        process.kill()
        process.wait()


def exit_statuses(processes, timeout=400):
    return [process.wait(timeout) for process in processes]


def wait_for(path, processes):
    while not path.exists():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)


def assert_same_run(a, b):
    for name in ("metrics.jsonl", "config.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes()
    assert digest.read_digests(a) == digest.read_digests(b)


def assert_close(actual, desired):
    """Asserts equality up to the order of sums, amplified by Adam, as in test_contracts."""
    small.assert_trees_close(actual, desired, rtol=1e-3, atol=2e-4)


def fit(folder, steps, devices=1):
    """Trains small.CONFIG in this process."""
    return small.fit(small.config(steps=steps), folder, devices)


def test_two_processes_train_as_one_does(pair, tmp_path, monkeypatch):
    """Two processes see the inputs of one and reach its parameters.

    Inputs are bit-identical, resident or streamed; when streaming, each process reads only its half
    of the rows. A run may be resumed with more or fewer processes.
    """
    fit(tmp_path / "grows", 2)
    calls = [
        "messages",
        f"inputs,{tmp_path}/inputs",
        f"fit,{tmp_path}/pair,4",
        f"fit,{tmp_path}/grows,4",
    ]
    assert exit_statuses(pair(*calls)) == [0, 0], (tmp_path / "stderr_1").read_text()

    single, _ = small.train_state(small.config(steps=4))
    for name in ("pair", "grows"):
        # Training is complete: this loads the final state that the pair wrote.
        assert_close(fit(tmp_path / name, 4), single)
    assert metrics_log.read_metrics(tmp_path / "pair")["step"].tolist() == [3]
    longer, _ = small.train_state(small.config(steps=6))
    assert_close(fit(tmp_path / "pair", 6, devices=2), longer)

    monkeypatch.setattr(parallel, "make_train_step", small.spy)
    _, expected = small.train_state(small.config(steps=3))
    for i in range(2):
        for name in ("resident", "streamed"):
            with np.load(tmp_path / f"inputs_{name}_{i}.npz") as inputs:
                chex.assert_trees_all_equal(dict(inputs), expected)
    config, dataset = small.CONFIG, sources.load(small.CONFIG.data)
    key = keys.root_key(config.seed)
    halves = [set(), set()]
    for step in range(6):  # the requested block of three steps and the prefetched one
        indices = order.indices(key, step, 2, config.batch_size, len(dataset))
        for half, rows in zip(halves, np.split(np.asarray(indices), 2, axis=1), strict=True):
            half.update(rows.flat)
        if step == 2:
            requested = [set(half) for half in halves]
    for i in range(2):
        assert requested[i] <= set(np.load(tmp_path / f"inputs_rows_{i}.npy")) <= halves[i]


@pytest.mark.nightly
def test_an_interrupted_pair_resumes_to_the_same_bits(pair, tmp_path):
    """A pair stopped by SIGTERM and then by SIGKILL reaches the bits of an uninterrupted one.

    SIGTERM to one process stops both at the same step. After SIGKILL of one, the other exits soon,
    with a one-line error and status 75.
    """
    interrupted, uninterrupted, steps = tmp_path / "cut", tmp_path / "whole", 120
    processes = pair(f"fit,{uninterrupted},{steps},PLAIN", f"fit,{interrupted},{steps},PLAIN")
    wait_for(interrupted / "checkpoints" / "10", processes)
    processes[1].send_signal(signal.SIGTERM)
    assert exit_statuses(processes) == [143, 143]
    assert "SIGTERM: stopped at step" in (tmp_path / "stderr_0").read_text()
    stop_step = max(digest.read_digests(interrupted))
    assert 10 <= stop_step < steps

    processes = pair(f"fit,{interrupted},{steps},PLAIN")
    wait_for(interrupted / "checkpoints" / str(stop_step + 10 - stop_step % 10), processes)
    processes[1].kill()
    kill_time = time.monotonic()
    assert exit_statuses(processes) == [core_processes.EXIT_PEER_LOST, -9]
    assert time.monotonic() - kill_time < EXIT_TIMEOUT
    last_line = (tmp_path / "stderr_0").read_text().splitlines()[-1]
    assert last_line.startswith("error: another process of this run has died")

    assert exit_statuses(pair(f"fit,{interrupted},{steps},PLAIN")) == [0, 0]
    if stop_step % small.LOGGING.checkpoint_every:  # stopping wrote an additional checkpoint
        path = interrupted / digest.FILE_NAME
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if f": {stop_step}," not in line))
    assert_same_run(interrupted, uninterrupted)
    shutil.rmtree(interrupted)


@pytest.mark.nightly
def test_other_processes_exit_when_process_0_is_killed(pair, tmp_path):
    processes = pair(f"fit,{tmp_path}/run,4000,PLAIN")
    wait_for(tmp_path / "run" / "checkpoints" / "10", processes)
    processes[0].kill()
    assert exit_statuses(processes, EXIT_TIMEOUT) == [-9, core_processes.EXIT_PEER_LOST]
    last_line = (tmp_path / "stderr_1").read_text().splitlines()[-1]
    assert last_line.startswith("error: another process of this run has died")


@pytest.mark.parametrize(
    ("changes", "updates"),
    [({}, 2), ({"penalty_every": 4}, 3), ({"n_critic": 3, "loss": "non_saturating"}, 2)],
    ids=["joint", "lazy_penalty", "n_critic_3"],
)
@pytest.mark.usefixtures("optimized")
def test_an_update_has_one_all_reduce(changes, updates):
    """The compiled program reduces the gradients and metrics of an update in one collective.

    The only other collectives gather the logits.
    """
    config, devices = small.PLAIN.replace(**changes), jax.local_devices()[:4]
    dataset = sources.load(config.data)
    text = collectives.compiled_step(config, dataset, devices).as_text()
    operations = collectives.list_collectives(text, 4, config.n_critic)
    reductions = [operation for operation in operations if operation.kind == "all-reduce"]
    assert [operation.source for operation in reductions] == [collectives.GRADIENTS] * updates
    state = initialize(config, dataset, devices)
    disc, gen = (sum(x.size for x in jax.tree.leaves(p.params)) for p in (state.disc, state.gen))
    sizes, counts = [disc] * (updates - 1) + [gen], [config.n_critic] * (updates - 1) + [1]
    assert [operation.count for operation in reductions] == counts
    for operation, size in zip(reductions, sizes, strict=True):
        assert 0 <= operation.bytes / 4 - size < 10  # gradients and a few metrics
    others = {(operation.kind, operation.source) for operation in operations}
    others -= {("all-reduce", collectives.GRADIENTS)}
    assert others <= {("all-gather", "logits"), ("reduce-scatter", "logits")}
    gathered = [operation.bytes for operation in operations if operation.kind == "all-gather"]
    assert gathered == [4 * config.batch_size] * len(gathered)


def test_collectives_of_layers_are_listed_by_layer():
    """Batch and minibatch statistics need separate reductions, which block the forward pass."""
    config, devices = small.CONFIG, jax.local_devices()[:2]
    text = collectives.compiled_step(config, sources.load(config.data), devices).as_text()
    operations = collectives.list_collectives(text, 2, config.n_critic)
    assert {operation.source for operation in operations} == {
        *(collectives.GRADIENTS, collectives.LOGITS, "BatchNorm", "MinibatchStd")
    }
    assert sum(operation.source == collectives.GRADIENTS for operation in operations) == 2


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4"}, False),  # a batch script, which runs once
        ({"SLURM_STEP_NUM_TASKS": "4"}, True),
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),  # a notebook pod
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_LIBRARY_PATH": "libtpu.so"}, True),  # queries the metadata server
        ({"TPU_LIBRARY_PATH": "libtpu.so", "TPU_SKIP_MDS_QUERY": "1"}, False),
    ],
)
def test_cluster_environments_are_detected(environment, expected, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_", "KUBERNETES_", "TPU_", "JOB_")):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert core_processes.in_cluster() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("a:1", None, None),
            "num_processes and process_id must be set too, got only coordinator 'a:1'",
        ),
        ((None, 2, 0), "coordinator must be set too"),
        (("nowhere", 2, 0), "must be HOST:PORT"),
        (("a:1", 2, 2), "process_id must be from 0 .* got process_id 2 of num_processes 2"),
    ],
)
def test_invalid_session_arguments_are_rejected(arguments, message):
    with (
        pytest.raises(UserError, match=message),
        core_processes.distributed_session(*arguments, HEARTBEAT_TIMEOUT),
    ):
        pass


def test_broadcast_leaves_keep_every_bit():
    """Covers -0.0, a NaN with a payload and the implementation of PRNG keys."""
    floats = np.array([0x80000000, 0x7FC12345, 0xFF800001, 1], np.uint32).view(np.float32)
    tree = {
        "floats": floats.reshape(2, 2),
        "scalar": np.int32(-3),
        "flags": np.array([True, False]),
        "keys": jax.random.split(jax.random.key(1, impl="rbg"), 3),
        "device": jax.numpy.arange(3, dtype="bfloat16"),
    }
    sent = jax.tree.map(core_processes._to_bytes, tree)
    assert {leaf.dtype for leaf in jax.tree.leaves(sent)} == {np.dtype(np.uint8)}
    received = jax.tree.map(core_processes._from_bytes, sent, tree)
    assert received["keys"].dtype == tree["keys"].dtype
    small.assert_same_bits(received, tree)


def test_collectives_of_a_single_process_are_local():
    with core_processes.distributed_session(None, 1, None, HEARTBEAT_TIMEOUT):
        assert core_processes.is_leader()
        assert core_processes.broadcast_text("x") == "x"
        assert core_processes.broadcast_int(3) == 3
        assert [core_processes.stop_signal(signals) for signals in ([], [15])] == [0, 15]
    assert core_devices.local_indices(jax.local_devices()[:3]) == [0, 1, 2]

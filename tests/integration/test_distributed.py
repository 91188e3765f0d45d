"""Two processes of two devices each are one process of one: inputs, results, faults."""

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

HEARTBEAT_TIMEOUT = 30  # seconds, of pair.py
WITHIN = 2 * HEARTBEAT_TIMEOUT  # seconds in which the other process is gone


@pytest.fixture
def pair(tmp_path):
    """Starts two processes: pair(call, ...) -> two Popen. Their stderr is in tmp_path/said_I."""
    processes = []

    def start(*calls):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        started = []
        for i in range(2):
            words = [sys.executable, "-m", "tests.helpers.pair", port, i, *calls]
            cache = jax.config.jax_compilation_cache_dir
            env = {**os.environ, "PAIR_CACHE": cache, "PYTHONPATH": str(REPOSITORY)}
            with (tmp_path / f"said_{i}").open("w") as said:
                out = {"stderr": said, "stdout": subprocess.DEVNULL}
                started.append(subprocess.Popen([*map(str, words)], env=env, **out))
        processes.extend(started)
        return started

    yield start
    for process in processes:
        process.kill()
        process.wait()


def statuses(started, timeout=400):
    return [process.wait(timeout) for process in started]


def wait_for(path, started):
    while not path.exists():
        assert all(process.poll() is None for process in started)
        time.sleep(0.01)


def same_run(a, b):
    for name in ("metrics.jsonl", "config.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes()
    assert digest.read_digests(a) == digest.read_digests(b)


def close(actual, desired):
    """As in test_contracts: the order of sums, through Adam."""
    small.assert_trees_close(actual, desired, rtol=1e-3, atol=2e-4)


def fit(folder, steps, devices=1):
    """In this process."""
    return small.fit(small.config(steps=steps), folder, devices)


def test_a_pair_of_processes_is_one(pair, tmp_path, monkeypatch):
    """The same inputs to the bit, resident or streamed, of which each process reads its own half;
    the same parameters; and a run may go on with more or fewer processes."""
    fit(tmp_path / "grows", 2)
    calls = [
        "messages",
        f"inputs,{tmp_path}/seen",
        f"fit,{tmp_path}/pair,4",
        f"fit,{tmp_path}/grows,4",
    ]
    assert statuses(pair(*calls)) == [0, 0], (tmp_path / "said_1").read_text()

    one, _ = small.train_state(small.config(steps=4))
    for name in ("pair", "grows"):
        close(fit(tmp_path / name, 4), one)  # nothing to do: what the two have left
    assert metrics_log.read_metrics(tmp_path / "pair")["step"].tolist() == [3]
    more, _ = small.train_state(small.config(steps=6))
    close(fit(tmp_path / "pair", 6, devices=2), more)

    monkeypatch.setattr(parallel, "make_train_step", small.spy)
    _, expected = small.train_state(small.config(steps=3))
    for i in range(2):
        for name in ("resident", "streamed"):
            with np.load(tmp_path / f"seen_{name}_{i}.npz") as found:
                chex.assert_trees_all_equal(dict(found), expected)
    config, dataset = small.CONFIG, sources.load(small.CONFIG.data)
    key = keys.root_key(config.seed)
    halves = [set(), set()]
    for step in range(6):  # the block of three steps that was asked for, and the next
        chosen = order.indices(key, step, 2, config.batch_size, len(dataset))
        for half, rows in zip(halves, np.split(np.asarray(chosen), 2, axis=1), strict=True):
            half.update(rows.flat)
        if step == 2:
            asked = [set(half) for half in halves]
    for i in range(2):
        assert asked[i] <= set(np.load(tmp_path / f"seen_rows_{i}.npy")) <= halves[i]


@pytest.mark.nightly
def test_a_broken_pair_ends_and_goes_on_to_the_same_bits(pair, tmp_path):
    """SIGTERM to one stops both at one step; kill -9 of one ends the other soon, with a line and
    the status 75; and started again, they come to the bits of a pair that nothing broke."""
    cut, whole, steps = tmp_path / "cut", tmp_path / "whole", 120
    started = pair(f"fit,{whole},{steps},PLAIN", f"fit,{cut},{steps},PLAIN")
    wait_for(cut / "checkpoints" / "10", started)
    started[1].send_signal(signal.SIGTERM)
    assert statuses(started) == [143, 143]
    assert "SIGTERM: stopped at step" in (tmp_path / "said_0").read_text()
    stopped = max(digest.read_digests(cut))
    assert 10 <= stopped < steps

    started = pair(f"fit,{cut},{steps},PLAIN")
    wait_for(cut / "checkpoints" / str(stopped + 10 - stopped % 10), started)
    started[1].kill()
    killed = time.monotonic()
    assert statuses(started) == [core_processes.EXIT_PEER_LOST, -9]
    assert time.monotonic() - killed < WITHIN
    last = (tmp_path / "said_0").read_text().splitlines()[-1]
    assert last.startswith("error: another process of this run has died")

    assert statuses(pair(f"fit,{cut},{steps},PLAIN")) == [0, 0]
    if stopped % small.LOGGING.checkpoint_every:  # a stop is a reason for a checkpoint
        lines = (cut / digest.FILE_NAME).read_text().splitlines(keepends=True)
        (cut / digest.FILE_NAME).write_text("".join(x for x in lines if f": {stopped}," not in x))
    same_run(cut, whole)
    shutil.rmtree(cut)


@pytest.mark.nightly
def test_the_others_end_with_process_0(pair, tmp_path):
    started = pair(f"fit,{tmp_path}/run,4000,PLAIN")
    wait_for(tmp_path / "run" / "checkpoints" / "10", started)
    started[0].kill()
    assert statuses(started, WITHIN) == [-9, core_processes.EXIT_PEER_LOST]
    last = (tmp_path / "said_1").read_text().splitlines()[-1]
    assert last.startswith("error: another process of this run has died")


@pytest.mark.parametrize(
    ("changes", "updates"),
    [({}, 2), ({"penalty_every": 4}, 3), ({"n_critic": 3, "loss": "non_saturating"}, 2)],
    ids=["joint", "lazy", "critics"],
)
@pytest.mark.usefixtures("optimized")
def test_an_update_holds_one_all_reduce(changes, updates):
    """In the program as XLA has compiled it: gradients and metrics of a player's update in one, and
    beside it nothing but the logits' gathering."""
    config, devices = small.PLAIN.replace(**changes), jax.local_devices()[:4]
    dataset = sources.load(config.data)
    text = collectives.compiled_step(config, dataset, devices).as_text()
    found = collectives.list_collectives(text, 4, config.n_critic)
    sums = [one for one in found if one.kind == "all-reduce"]
    assert [one.source for one in sums] == [collectives.GRADIENTS] * updates
    state = initialize(config, dataset, devices)
    disc, gen = (sum(x.size for x in jax.tree.leaves(p.params)) for p in (state.disc, state.gen))
    sizes, times = [disc] * (updates - 1) + [gen], [config.n_critic] * (updates - 1) + [1]
    assert [one.count for one in sums] == times
    for one, size in zip(sums, sizes, strict=True):
        assert 0 <= one.bytes / 4 - size < 10  # and some metrics
    others = {(one.kind, one.source) for one in found} - {("all-reduce", collectives.GRADIENTS)}
    assert others <= {("all-gather", "logits"), ("reduce-scatter", "logits")}
    gathered = [one.bytes for one in found if one.kind == "all-gather"]
    assert gathered == [4 * config.batch_size] * len(gathered)


def test_what_layers_say_is_named():
    """Batch and minibatch statistics are sums of their own, which the pass through the network
    waits for."""
    config, devices = small.CONFIG, jax.local_devices()[:2]
    text = collectives.compiled_step(config, sources.load(config.data), devices).as_text()
    found = collectives.list_collectives(text, 2, config.n_critic)
    assert {one.source for one in found} == {
        *(collectives.GRADIENTS, collectives.LOGITS, "BatchNorm", "MinibatchStd")
    }
    assert sum(one.source == collectives.GRADIENTS for one in found) == 2


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4"}, False),  # a batch script, started once
        ({"SLURM_STEP_NUM_TASKS": "4"}, True),
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),  # a notebook's pod
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_LIBRARY_PATH": "libtpu.so"}, True),  # asks the metadata server
        ({"TPU_LIBRARY_PATH": "libtpu.so", "TPU_SKIP_MDS_QUERY": "1"}, False),
    ],
)
def test_clusters_are_found(environment, several, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_", "KUBERNETES_", "TPU_", "JOB_")):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert core_processes.in_cluster() == several


@pytest.mark.parametrize(
    ("where", "said"),
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
def test_mistakes_are_named(where, said):
    with (
        pytest.raises(UserError, match=said),
        core_processes.distributed_session(*where, HEARTBEAT_TIMEOUT),
    ):
        pass


def test_what_is_sent_keeps_every_bit():
    """Of -0.0 and of a NaN with a payload too; keys keep their kind."""
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


def test_alone_nothing_is_asked():
    with core_processes.distributed_session(None, 1, None, HEARTBEAT_TIMEOUT):
        assert core_processes.is_leader()
        assert core_processes.broadcast_text("x") == "x"
        assert core_processes.broadcast_int(3) == 3
        assert [core_processes.stop_signal(came) for came in ([], [15])] == [0, 15]
    assert core_devices.local_indices(jax.local_devices()[:3]) == [0, 1, 2]

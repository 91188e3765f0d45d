"""Several processes that train one run, connected by JAX's distributed runtime.

All start with the same command and execute the same steps. Process 0 is the leader: it alone
writes the run folder, and it decides what must be the same everywhere, such as where a chunk ends.
When a process dies, the others report it and exit with the status EXIT_PEER_LOST.
"""

import contextlib
import ctypes
import dataclasses
import hashlib
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import multihost_utils

from gan_jax.core.errors import UserError

EXIT_PEER_LOST = 75  # EX_TEMPFAIL: another process is gone, all are to be started again
HEARTBEAT_TIMEOUT = 30  # seconds
_COMMON_EXITS = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # statuses of all processes at once
_PEER_FAILURES = ("gloo", "nccl", "coordination", "connection", "unavailable")
_ABORTED = (
    "error: another process of this run has died or cannot be reached, so JAX has ended this one; "
    "start all of them again to go on from the last checkpoint\n"
)


def in_cluster() -> bool:
    """Whether the environment is that of one of several processes which JAX can connect.

    That is a step of SLURM or Open MPI, an indexed job of Kubernetes, or a Cloud TPU pod.
    """
    env = os.environ.get
    hosts = env("TPU_WORKER_HOSTNAMES") or env("TPU_PROCESS_ADDRESSES") or ""
    has_libtpu = env("TPU_LIBRARY_PATH") or importlib.util.find_spec("libtpu")
    # Importing JAX sets TPU_SKIP_MDS_QUERY where there are no TPUs.
    asks_metadata = has_libtpu and not env("TPU_SKIP_MDS_QUERY")
    return (
        int(env("SLURM_STEP_NUM_TASKS") or 1) > 1
        or int(env("OMPI_COMM_WORLD_SIZE") or 1) > 1
        or ("KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ)
        or "," in hosts
        or bool(asks_metadata and not hosts)  # connecting a single host as one process is harmless
    )


@dataclasses.dataclass(frozen=True)
class Processes:
    """Several processes that train one run. Clusters (SLURM, Open MPI, Kubernetes, Cloud TPU) set
    these themselves."""

    coordinator: str | None = None
    """HOST:PORT of process 0; the port must be free there."""
    num_processes: int | None = None
    """Number of processes that train this run; 1 for this one alone, even in a cluster."""
    process_id: int | None = None
    """Index of this process. Process 0 writes the run folder."""
    silence: int = HEARTBEAT_TIMEOUT
    """Seconds without a heartbeat after which another process counts as dead."""


@contextlib.contextmanager
def distributed_session(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    heartbeat_timeout: int,
) -> Iterator[None]:
    """Connect this process with the others of its run, before anything is computed.

    Does nothing for a process that is alone. On leaving, the process waits for the others if it
    ends as they do, and otherwise exits at once: they notice within about `heartbeat_timeout`, on
    loopback at once.

    Args:
      coordinator: HOST:PORT of process 0. This and the next two come from the environment if all
        three are None.
      num_processes: Number of processes.
      process_id: Index of this process.
      heartbeat_timeout: Seconds without a heartbeat after which a process counts as dead.

    Raises:
      UserError: The arguments are inconsistent, or the other processes cannot be reached.
    """
    address = (coordinator, num_processes, process_id)
    if num_processes == 1 or (address == (None, None, None) and not in_cluster()):
        yield
        return
    _check(*address)
    _connect(*address, heartbeat_timeout)
    status = 1
    try:
        _check_devices()
        # JAX waits 30 seconds for the peers of a first collective, so it must come while all of
        # them are here.
        barrier()
        yield
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
        raise
    except jax.errors.JaxRuntimeError as error:
        if not is_peer_failure(error):
            raise
        print(f"{_ABORTED.strip()} ({_summary(error)})", file=sys.stderr)
        status = EXIT_PEER_LOST
    finally:
        if status not in _COMMON_EXITS:
            if status == 1:
                sys.excepthook(*sys.exc_info())  # pyright: ignore[reportArgumentType]
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        jax.distributed.shutdown()


def is_peer_failure(error: Exception) -> bool:
    """Whether the error reports that another process is gone."""
    summary = _summary(error).lower()
    return isinstance(error, jax.errors.JaxRuntimeError) and any(
        word in summary for word in _PEER_FAILURES
    )


def _summary(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _check(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    given = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    if missing := [name for name, value in given.items() if value is None]:
        if len(missing) < 3 and not in_cluster():
            here = ", ".join(f"{name} is {v!r}" for name, v in given.items() if v is not None)
            raise UserError(f"{here}: {' and '.join(missing)} must be given too")
        return
    host, _, port = str(coordinator).rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"coordinator must be HOST:PORT of process 0, got {coordinator!r}")
    if num_processes < 1 or not 0 <= process_id < num_processes:  # pyright: ignore
        raise UserError(
            f"process_id must be from 0 to num_processes - 1, got process_id {process_id} of "
            f"num_processes {num_processes}"
        )


def _check_devices() -> None:
    """Raise UserError unless all processes have the same number of devices."""
    owners = [device.process_index for device in jax.devices()]
    counts = [owners.count(i) for i in range(jax.process_count())]
    if len(set(counts)) > 1:
        raise UserError(f"every process must have the same number of devices, got {counts}")


def _connect(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    heartbeat_timeout: int,
) -> None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would swallow every SIGTERM; `stop_signal` handles them.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            heartbeat_timeout_seconds=heartbeat_timeout,
            shutdown_timeout_seconds=heartbeat_timeout,
        )
    except (RuntimeError, ValueError) as error:
        peers = f"coordinator {coordinator}" if coordinator else "the cluster's processes"
        raise UserError(f"{peers} cannot be joined: {str(error)[:300]}") from None
    _handle_abort()


def _handle_abort() -> None:
    """Turn the abort of JAX's runtime into one line and the status EXIT_PEER_LOST."""
    # When a peer is lost, a thread of JAX's C++ runtime aborts the process. No Python exception is
    # raised, and Python's own signal handlers do not run on an abort, hence a C handler.

    def leave(_: int) -> None:
        os.write(2, _ABORTED.encode())
        os._exit(EXIT_PEER_LOST)

    global _handler  # C holds no reference to it
    _handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(leave)
    ctypes.CDLL(None).signal(int(signal.SIGABRT), _handler)


def is_leader() -> bool:
    """Whether this process writes the run folder: process 0, or the only one."""
    return jax.process_index() == 0


def barrier() -> None:
    """Wait until every process is here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("gan_jax")


def connect_devices(devices: Sequence[jax.Device]) -> None:
    """Open the connections between the devices, directly after all processes were in step."""
    if jax.process_count() > 1:
        count = sum(device.process_index == jax.process_index() for device in devices)
        jax.pmap(lambda x: lax.psum(x, "i"), "i", devices=devices)(np.zeros(count, np.float32))


def broadcast_int(value: int) -> int:
    """The int32 value of process 0. Every process calls it."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def broadcast_text(text: str) -> str:
    """The text of process 0. Every process calls it."""
    if jax.process_count() == 1:
        return text
    encoded = np.frombuffer(text.encode(), np.uint8)
    size = broadcast_int(len(encoded))
    buffer = encoded if is_leader() else np.zeros(size, np.uint8)
    return multihost_utils.broadcast_one_to_all(buffer).tobytes().decode()


def broadcast_tree(tree: Any) -> Any:
    """The pytree of process 0, bit for bit. Every process calls it.

    Leaves are arrays, of the same shapes and dtypes in every process.
    """
    if jax.process_count() == 1:
        return tree
    # The broadcast is a sum, which would lose -0.0 and subnormal floats.
    received = multihost_utils.broadcast_one_to_all(jax.tree.map(_to_bytes, tree))
    return jax.tree.map(_from_bytes, received, tree)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_bytes(leaf: Any) -> np.ndarray:
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _from_bytes(received: np.ndarray, like: Any) -> Any:
    if _is_key(like):
        data = jax.random.key_data(like)
        words = received.view(data.dtype).reshape(data.shape)
        return jax.random.wrap_key_data(jnp.asarray(words), impl=jax.random.key_impl(like))
    return received.view(like.dtype).reshape(like.shape)


def check_same(**texts: str) -> None:
    """Raise UserError in every process if one has other `texts` than process 0."""
    for name, text in texts.items():
        digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32)
        digests = multihost_utils.process_allgather(digest).reshape(-1, len(digest))
        if others := np.flatnonzero((digests != digests[0]).any(axis=1)).tolist():
            raise UserError(f"{name} must be that of process 0, got another in processes {others}")


def stop_signal(signals: list[int]) -> int:
    """The signal by which all processes are to stop now, or 0. Every process calls it.

    A cluster's notice of preemption, SIGTERM to one process or to all, thus stops all at one step.
    """
    received = signals[0] if signals else 0
    return int(np.max(multihost_utils.process_allgather(np.int32(received))))

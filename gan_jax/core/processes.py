"""Multi-process training on JAX's distributed runtime.

All processes start with the same command and execute the same steps. Process 0 is the leader: it
alone writes the run folder, and it makes the decisions that all processes must share, such as the
length of a chunk. When a process dies, the others report it and exit with status EXIT_PEER_LOST.
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

EXIT_PEER_LOST = 75  # EX_TEMPFAIL: another process died; restart all of them
HEARTBEAT_TIMEOUT = 30  # seconds
_COMMON_EXITS = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # shared by all processes
_PEER_FAILURES = ("gloo", "nccl", "coordination", "connection", "unavailable")
_ABORTED = (
    "error: another process of this run has died or cannot be reached, so this one has stopped; "
    "restart all of them to continue from the last checkpoint\n"
)


def in_cluster() -> bool:
    """Return whether the environment defines several processes that JAX can connect.

    That is a job step of SLURM or Open MPI, an indexed job of Kubernetes, or a Cloud TPU pod.
    """
    env = os.environ.get
    hosts = env("TPU_WORKER_HOSTNAMES") or env("TPU_PROCESS_ADDRESSES") or ""
    has_libtpu = env("TPU_LIBRARY_PATH") or importlib.util.find_spec("libtpu")
    # Importing JAX sets TPU_SKIP_MDS_QUERY on machines without TPUs.
    queries_metadata = has_libtpu and not env("TPU_SKIP_MDS_QUERY")
    return (
        int(env("SLURM_STEP_NUM_TASKS") or 1) > 1
        or int(env("OMPI_COMM_WORLD_SIZE") or 1) > 1
        or ("KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ)
        or "," in hosts
        or bool(queries_metadata and not hosts)  # harmless for a single host: one process
    )


@dataclasses.dataclass(frozen=True)
class Processes:
    """Processes that train one run.

    Clusters (SLURM, Open MPI, Kubernetes, Cloud TPU) set them.
    """

    coordinator: str | None = None
    """Address HOST:PORT of process 0, with a free port."""
    num_processes: int | None = None
    """Number of processes that train this run; 1 trains alone, even in a cluster."""
    process_id: int | None = None
    """Index of this process. Process 0 writes the run folder."""
    heartbeat_timeout: int = HEARTBEAT_TIMEOUT
    """Number of seconds without a heartbeat after which a process counts as dead."""


@contextlib.contextmanager
def distributed_session(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    heartbeat_timeout: int,
) -> Iterator[None]:
    """Connect this process with the others of its run inside the block.

    It must be entered before the first computation, and does nothing for a single process. At its
    end the process waits for the others if all end the same way. Otherwise it exits at once, and
    the others detect that within about `heartbeat_timeout`, or at once on the loopback interface.

    Args:
        coordinator: Address HOST:PORT of process 0. If it and the next two arguments are None, all
            three come from the environment.
        num_processes: Number of processes.
        process_id: Index of this process.
        heartbeat_timeout: Number of seconds without a heartbeat after which a process counts as
            dead.

    Raises:
        UserError: If the arguments are inconsistent, or the other processes cannot be reached.
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
        # JAX waits 30 seconds for the peers of a first collective, so it must run before the
        # processes spend different times on loading.
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
    """Return whether the error reports that another process died."""
    summary = _summary(error).lower()
    return isinstance(error, jax.errors.JaxRuntimeError) and any(
        word in summary for word in _PEER_FAILURES
    )


def _summary(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _check(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    address = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    if missing := [name for name, value in address.items() if value is None]:
        if len(missing) < 3 and not in_cluster():
            present = ", ".join(f"{name} {v!r}" for name, v in address.items() if v is not None)
            raise UserError(f"{' and '.join(missing)} must be set too, got only {present}")
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
    # The service would consume every SIGTERM, which `stop_signal` handles.
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
        raise UserError(f"{peers} cannot be reached: {str(error)[:300]}") from None
    _handle_abort()


def _handle_abort() -> None:
    """Replace the abort of JAX's runtime by one line and status EXIT_PEER_LOST."""
    # When a peer is lost, a thread of JAX's C++ runtime aborts the process. No Python exception is
    # raised, and Python's own signal handlers do not run on an abort, hence a C handler.

    def leave(_: int) -> None:
        os.write(2, _ABORTED.encode())
        os._exit(EXIT_PEER_LOST)

    global _handler  # C holds no reference to it
    _handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(leave)
    ctypes.CDLL(None).signal(int(signal.SIGABRT), _handler)


def is_leader() -> bool:
    """Return whether this is process 0, which writes the run folder."""
    return jax.process_index() == 0


def barrier() -> None:
    """Wait until every process reaches this call."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("gan_jax")


def connect_devices(devices: Sequence[jax.Device]) -> None:
    """Open the connections between the devices. Call it directly after a barrier."""
    if jax.process_count() > 1:
        count = sum(device.process_index == jax.process_index() for device in devices)
        jax.pmap(lambda x: lax.psum(x, "i"), "i", devices=devices)(np.zeros(count, np.float32))


def broadcast_int(value: int) -> int:
    """Broadcast an int32 from process 0. Collective: every process must call it."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def broadcast_text(text: str) -> str:
    """Broadcast a string from process 0. Collective: every process must call it."""
    if jax.process_count() == 1:
        return text
    encoded = np.frombuffer(text.encode(), np.uint8)
    size = broadcast_int(len(encoded))
    buffer = encoded if is_leader() else np.zeros(size, np.uint8)
    return multihost_utils.broadcast_one_to_all(buffer).tobytes().decode()


def broadcast_tree(tree: Any) -> Any:
    """Broadcast a pytree from process 0, bit for bit. Collective: every process must call it.

    Args:
        tree: Arrays, of the same shapes and dtypes in every process.

    Returns:
        The pytree of process 0, as numpy arrays and PRNG keys.
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
    """Raise UserError in every process if a text differs between processes."""
    for name, text in texts.items():
        digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32)
        digests = multihost_utils.process_allgather(digest).reshape(-1, len(digest))
        if others := np.flatnonzero((digests != digests[0]).any(axis=1)).tolist():
            raise UserError(
                f"{name} must be the same in all processes, got a difference in processes {others}"
            )


def stop_signal(signals: list[int]) -> int:
    """Return the signal that stops all processes now, or 0. Collective.

    A preemption notice of a cluster, SIGTERM to one or all processes, stops all at the same step.

    Args:
        signals: Signals that this process has received.

    Returns:
        The number of the signal, the same in every process.
    """
    received = signals[0] if signals else 0
    return int(np.max(multihost_utils.process_allgather(np.int32(received))))

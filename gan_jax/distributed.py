"""Many processes train one run, on JAX's own distributed runtime.

All start with the same command and do the same; process 0 leads: it alone writes the run folder,
and decides what must be the same everywhere, such as where a chunk ends. No process outlives
another: where one dies, the others say so and leave with the status LOST.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import jax
from jax._src import cloud_tpu_init  # JAX has no public way to these two, which Orbax takes too
from jax._src import distributed as runtime

from gan_jax.errors import UserError

LOST = 75  # exit status (EX_TEMPFAIL): another process is gone, all are to be started again
SILENCE = 30  # seconds without a sign of life, after which a process has died
AGREED = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # statuses that all leave with together
_DAY = 24 * 3600 * 1000  # milliseconds: longer than process 0 draws, scores or compiles
_GONE = ("gloo", "nccl", "coordination", "connection", "unavailable")
_ABORTED = (
    "error: another process of this run has died or cannot be reached, so JAX has ended this one; "
    "start all of them again to go on from the last checkpoint\n"
)
_turns = itertools.count()  # of what process 0 said; the same count in every process


def found() -> bool:
    """Whether the environment is that of one process among several, which JAX knows how to connect:
    a step of SLURM, Open MPI, an indexed job of Kubernetes, or hosts of a Cloud TPU pod."""
    has = os.environ.get
    hosts = has("TPU_WORKER_HOSTNAMES") or has("TPU_PROCESS_ADDRESSES") or ""
    asks_metadata = cloud_tpu_init.running_in_cloud_tpu_vm and not has("TPU_SKIP_MDS_QUERY")
    return (
        int(has("SLURM_STEP_NUM_TASKS") or 1) > 1
        or int(has("OMPI_COMM_WORLD_SIZE") or 1) > 1
        or ("KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ)
        or "," in hosts
        or (asks_metadata and not hosts)  # of one host it makes one process, which is as none
    )


@contextlib.contextmanager
def together(
    coordinator: str | None, num_processes: int | None, process_id: int | None, silence: int
) -> Iterator[None]:
    """Connects this process with the others of its run, before anything is computed; does nothing
    where it is alone. `coordinator` is HOST:PORT of process 0; without the three they are those of
    the environment. On leaving, the process waits for the others if it has ended as they do, and
    else ends at once: they notice within about `silence` seconds, on loopback at once.

    Raises UserError if the three make no sense together, or the others cannot be reached.
    """
    given = (coordinator, num_processes, process_id)
    if num_processes == 1 or (given == (None, None, None) and not found()):
        yield
        return
    _check(*given)
    _connect(*given, silence)
    status = 1
    try:
        yield
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
        raise
    except jax.errors.JaxRuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        if not is_of_another(error):
            raise
        print(f"{_ABORTED.strip()} ({reason})", file=sys.stderr)
        status = LOST
    finally:
        if status not in AGREED:
            if status == 1:
                sys.excepthook(*sys.exc_info())  # pyright: ignore[reportArgumentType]
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        jax.distributed.shutdown()


def is_of_another(error: Exception) -> bool:
    """Whether it says that another process is gone."""
    reason = " ".join(str(error).split())[:200].lower()
    of_jax = isinstance(error, jax.errors.JaxRuntimeError)
    return of_jax and any(word in reason for word in _GONE)


def _check(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    given = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    if missing := [name for name, value in given.items() if value is None]:
        if len(missing) < 3 and not found():
            here = ", ".join(f"{name} is {v!r}" for name, v in given.items() if v is not None)
            raise UserError(f"{here}: {' and '.join(missing)} must be given too")
        return
    host, _, port = str(coordinator).rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"coordinator is {coordinator!r}: it must be HOST:PORT of process 0")
    if num_processes < 1 or not 0 <= process_id < num_processes:  # pyright: ignore
        raise UserError(
            f"process_id is {process_id}, num_processes {num_processes}: it must be from 0 to "
            "num_processes - 1"
        )


def _connect(
    coordinator: str | None, num_processes: int | None, process_id: int | None, silence: int
) -> None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would swallow every SIGTERM; here one is agreed upon (stop_signal).
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            heartbeat_timeout_seconds=silence,
            shutdown_timeout_seconds=silence,
        )
    except (RuntimeError, ValueError) as error:
        what = f"coordinator {coordinator}" if coordinator else "the cluster's processes"
        raise UserError(f"{what} cannot be joined: {str(error)[:300]}") from None
    _say_why_it_aborts()


def _say_why_it_aborts() -> None:
    """JAX's runtime aborts a process when another is lost. It cannot be told to do otherwise (its
    callback takes what Python cannot be given), so the abort itself is given a line and a status.
    """

    def leave(_: int) -> None:
        os.write(2, _ABORTED.encode())
        os._exit(LOST)

    global _handler  # C holds no reference to it
    _handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(leave)
    ctypes.CDLL(None).signal(int(signal.SIGABRT), _handler)


def leads() -> bool:
    """Whether this process writes the run folder: process 0, or the only one."""
    return jax.process_index() == 0


def _client() -> Any:
    return runtime.global_state.client


def of_first(said: str) -> str:
    """What process 0 says here, in every process; all call it, in the same order. Waits for it."""
    if jax.process_count() == 1:
        return said
    turn = next(_turns)
    if leads():
        _client().key_value_set(f"gan_jax/turn/{turn}", said)
        if turn >= 100:  # read by all long ago: the steps between need all
            _client().key_value_delete(f"gan_jax/turn/{turn - 100}")
        return said
    return _client().blocking_key_value_get(f"gan_jax/turn/{turn}", _DAY)


def meet() -> None:
    """Waits until every process is here."""
    if jax.process_count() > 1:
        _client().wait_at_barrier(f"gan_jax/meet/{next(_turns)}", _DAY)


def check_same(**texts: str) -> None:
    """Raises UserError where a process has another one of `texts` than process 0."""
    for name, text in texts.items():
        if of_first(text) != text:
            raise UserError(f"{name} of process {jax.process_index()} is not that of process 0")


def stop_signal(came: list[int]) -> int:
    """The signal by which all processes are to stop now, or 0: one that came to any of them. A
    cluster's notice of preemption, SIGTERM to one of them or to all, so stops all at one step."""
    if jax.process_count() == 1:
        return came[0] if came else 0
    if came and not leads():
        name = f"gan_jax/stop/{jax.process_index()}"
        _client().key_value_set(name, str(came[0]), allow_overwrite=True)
    seen = came
    if leads() and not seen:
        seen = [int(value) for _, value in _client().key_value_dir_get("gan_jax/stop/")]
    return int(of_first(str(seen[0] if seen else 0)))

"""Flags that decide where and on what a run trains. Nothing heavy is imported for them."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Imports:
    """Code of the user's own."""

    modules: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="import", metavar="MODULE")
    ] = ()
    """Module or package of your own whose networks a run uses."""


@dataclasses.dataclass(frozen=True)
class Hardware:
    """Devices, and how they are fed; none of these changes a number of the run."""

    devices: int | None = None
    """Number of devices; all by default. The noise and the data do not depend on it."""
    members_at_once: int | None = None
    """Number of members of a population that train at a time; fewer need less memory. By default
    all, but one of large networks on CPUs, which is faster there."""
    stream: bool = False
    """Keep the data set on the host, a prepared one on disk, and feed its batches ahead of time,
    for sets that do not fit into the memory of the devices or of the host."""
    workers: int = 0
    """Number of processes that read a streamed prepared set ahead; 0: threads of this process."""
    compilation_cache: bool = True
    """Keep compiled programs on disk, for a quick start next time."""


@dataclasses.dataclass(frozen=True)
class Processes:
    """Several processes that train one run; clusters (SLURM, Open MPI, Kubernetes, Cloud TPU)
    configure these themselves."""

    coordinator: str | None = None
    """HOST:PORT of process 0; the port must be free there."""
    num_processes: int | None = None
    """Number of processes that train this run; 1: this one alone, whatever the cluster says."""
    process_id: int | None = None
    """Number of this process, from 0; process 0 writes the run folder."""
    silence: int = 30
    """Seconds without a sign of life after which another process is taken for dead."""


@dataclasses.dataclass(frozen=True)
class Launch:
    """Where and on what a run trains."""

    hardware: Annotated[Hardware, tyro.conf.OmitArgPrefixes] = Hardware()
    processes: Annotated[Processes, tyro.conf.OmitArgPrefixes] = Processes()


def import_modules(names: Sequence[str]) -> None:
    """Import a user's modules, so that run folders may name the networks in them."""
    from gan_jax.config import serialization

    for name in names:
        serialization.import_types(name)

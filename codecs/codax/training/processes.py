"""The processes of a run on several hosts: joins them, and names one that is gone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax

from codax.errors import CodaxError

# In errors of collectives, of CPUs, GPUs and TPUs, whose cause is another process.
_LOST = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED")

_COORDINATOR, _COUNT, _INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"


def initialize_distributed(
    coordinator: str | None = None, processes: int | None = None, index: int | None = None, *, heartbeat: int = 100
) -> None:
    """Joins the processes of a run on several hosts; must be called before any use of a device.

    On Cloud TPU, GKE, SLURM and Open MPI, JAX detects the processes. Elsewhere, all three arguments are needed, or the
    environment variables JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.

    Args:
      coordinator: HOST:PORT of process 0, which every process can reach.
      processes: number of processes.
      index: index of this process, from 0.
      heartbeat: seconds without a heartbeat after which a process counts as dead, and the others end.

    Raises:
      CodaxError: arguments or environment are incomplete, or the other processes cannot be reached.
    """
    flags: dict[str, Any] = {"--coordinator": coordinator, "--num_processes": processes, "--process_index": index}
    variables: dict[str, Any] = {name: os.environ.get(name) or None for name in (_COORDINATOR, _COUNT, _INDEX)}
    settings = flags if any(value is not None for value in flags.values()) else variables
    try:
        if settings is variables and variables[_COUNT] is None and variables[_INDEX] is None:
            jax.distributed.initialize(heartbeat_timeout_seconds=heartbeat)
            return
        if missing := [name for name, value in settings.items() if value is None]:
            kind = "flag" if settings is flags else "environment variable"
            raise CodaxError(f"--distributed: the {kind} {missing[0]} is not set")
        where, count, number = settings.values()
        if not 0 <= int(number) < int(count):
            raise CodaxError(f"--distributed: process {number} of {count}: they are counted from 0")
        jax.distributed.initialize(where, int(count), int(number), heartbeat_timeout_seconds=heartbeat)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CodaxError(f"--distributed: cannot join the other processes ({reason})") from error


@contextlib.contextmanager
def named_processes() -> Iterator[None]:
    """Reports in one line that another process of the run is gone.

    Raises:
      CodaxError: the block failed because this process lost the connection to another one.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1 or not any(sign in str(error) for sign in _LOST):
            raise
        raise CodaxError(
            f"process {jax.process_index()} of {jax.process_count()} lost the connection to another one"
            f" ({str(error).splitlines()[0]}); start all of them again with the same command, and the run resumes"
        ) from error

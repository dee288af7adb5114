"""The cores that a process may use, as limited by containers, `taskset` and its share among several processes.

Libraries that start one thread per core of the machine busy-wait if fewer cores are usable.
"""

from __future__ import annotations

import contextlib
import os


def usable() -> int:
    """Returns the number of cores that this process may use, at least 1."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not available on every system
        return os.cpu_count() or 1


def take_share(number: int, processes: int) -> None:
    """Restricts this process, one of several with the same work, to its share of the cores.

    Call it before JAX and other libraries start their threads. It has no effect on systems without affinity.

    Args:
      number: index of this process, from 0.
      processes: number of processes.
    """
    with contextlib.suppress(AttributeError, OSError):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number % len(cores) :: processes])

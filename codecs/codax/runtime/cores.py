"""The processor's cores that a process may use: what containers, `taskset` and sharing with other processes leave it.

Libraries that start a thread for each core of the machine wait for each other, busily, where they have fewer.
"""

from __future__ import annotations

import contextlib
import os


def usable() -> int:
    """Number of cores that this process may use, at least 1."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not on every system
        return os.cpu_count() or 1


def take_share(number: int, processes: int) -> None:
    """Keeps this process, one of several at the same work, to its share of the cores.

    It must come before JAX and others start their threads. It does nothing where a system cannot do it.

    Args:
      number: of this process, from 0.
      processes: how many there are.
    """
    with contextlib.suppress(AttributeError, OSError):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number % len(cores) :: processes])

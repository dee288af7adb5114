"""Keeps freed memory in the process, and allocates it in huge pages.

A compiled function allocates all of its intermediate arrays at once, hundreds of megabytes, and frees them at its end.
glibc returns blocks of that size to the system, which must clear every page again for the next call: up to half of the
time of a call on a CPU. Huge pages, of 2 MB, make the remaining clearing cheap and speed up address translation in
large arrays. benchmarks/allocator.py measures both.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

SWITCH = "CODAX_KEEP_MEMORY"  # "0" does not change the allocator, "all" keeps blocks of any size
_LARGEST = 1 << 30  # bytes; larger blocks are returned to the system, since several would bloat the heap
# mallopt's parameters, from malloc.h.
_THRESHOLDS = (
    -1,  # M_TRIM_THRESHOLD: minimum free memory at the end of the heap that is returned to the system
    -3,  # M_MMAP_THRESHOLD: minimum size of a block with its own mapping, which is returned when it is freed
)
_TOP_PAD = -2  # M_TOP_PAD: extra memory per request to the system, so that small blocks fit elsewhere
# M_ARENA_MAX. The arenas of other threads cannot hold large blocks, so their pages are cleared in every call: expensive
# with small pages, cheap with huge ones. But threads wait for each other in a single arena: once the compiler has
# fragmented it, searches for memory take so long that a full-size training step takes twice the time.
_ARENA_MAX = -8
# glibc's defaults. With a limit of 0, the number of arenas depends on the cores.
_DEFAULTS = dict.fromkeys((*_THRESHOLDS, _TOP_PAD), 128 << 10) | {_ARENA_MAX: 0}

_kept = 0  # number of open `kept_memory` blocks that have configured the allocator


HUGE_PAGES = "glibc.malloc.hugetlb"  # glibc's setting, since 2.35
_ASKED = f"{HUGE_PAGES}=1"
_SYSTEM = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def _is_users() -> bool:
    """Returns whether the user has configured the allocator or disabled its configuration."""
    tunables = os.environ.get("GLIBC_TUNABLES", "").replace(HUGE_PAGES, "")
    own = "glibc.malloc" in tunables or any(name.startswith("MALLOC_") for name in os.environ)
    return own or os.environ.get(SWITCH) == "0"


def _glibc() -> tuple[int, ...]:
    """Returns the version of glibc, or () for another C library."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return tuple(map(int, version.split("."))) if name == "glibc" else ()
    return ()


def use_huge_pages() -> None:
    """Restarts this program with huge pages, if the system offers them on request (madvise).

    glibc reads the environment only when a process starts. Call this first in a program: the restarted program calls it
    once more, without effect. It has no effect either where `kept_memory` has none, or if the environment already has
    glibc's setting.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if HUGE_PAGES in tunables or _is_users() or _glibc() < (2, 35):
        return
    with contextlib.suppress(OSError):
        if "[madvise]" in _SYSTEM.read_text(encoding="ascii"):
            setting = ":".join(filter(None, (tunables, _ASKED)))
            environment = os.environ | {"GLIBC_TUNABLES": setting}
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


@contextlib.contextmanager
def kept_memory() -> Iterator[bool]:
    """Configures glibc's allocator within the block and restores its defaults after it. Yields whether it did.

    The block must begin before JAX starts its threads, which keep their initial arenas. It has no effect without glibc,
    if the user has configured the allocator, or with CODAX_KEEP_MEMORY=0. After the block the limits are fixed at their
    defaults, while glibc would adapt the mapping threshold to the blocks that a program frees.
    """
    global _kept  # noqa: PLW0603 (the allocator is the process's own)
    settings = _settings()
    if not settings or not _set(settings):
        yield False
        return
    _kept += 1
    try:
        yield True
    finally:
        _kept -= 1
        if not _kept:
            _set({name: _DEFAULTS[name] for name in settings})


def _settings() -> dict[int, int]:
    """Returns the values for `mallopt`; empty if the allocator must not be changed."""
    if _is_users() or not _glibc():
        return {}
    everything = os.environ.get(SWITCH) == "all"
    largest = -1 if everything else _LARGEST  # -1 is never reached
    settings = dict.fromkeys(_THRESHOLDS, largest) | {_TOP_PAD: 1 << 28}
    if everything or _ASKED not in os.environ.get("GLIBC_TUNABLES", ""):
        settings[_ARENA_MAX] = 1
    return settings


def _set(settings: dict[int, int]) -> bool:
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        return sum(mallopt(name, value) for name, value in settings.items()) == len(settings)
    return False


def give_back() -> None:
    """Returns freed memory to the system that `kept_memory` would keep in the process."""
    if _kept:
        gc.collect(0)  # JAX then releases arrays that it had taken over
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)

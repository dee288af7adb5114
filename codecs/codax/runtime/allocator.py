"""Keeps memory that has been freed within the process, and asks for it in huge pages.

A compiled function asks for all of its intermediate arrays at once, hundreds of megabytes, and frees them at its end.
glibc gives blocks of that size back to the system, which must then clear every page of them again for the next call:
up to half of the time of a call on a CPU. In huge pages, of 2 MB, what is left of this costs little, and the processor
finds its way through large arrays more quickly. benchmarks/allocator.py measures both.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

SWITCH = "CODAX_KEEP_MEMORY"  # "0" leaves the allocator alone, "all" keeps blocks of any size
_LARGEST = 1 << 30  # bytes; larger blocks are given back, as a heap that holds several of them grows without need
# mallopt's names for what is set, from malloc.h.
_THRESHOLDS = (
    -1,  # M_TRIM_THRESHOLD: free memory at the end of the heap from which it is given back
    -3,  # M_MMAP_THRESHOLD: size from which a block is a mapping of its own, given back when it is freed
)
_TOP_PAD = -2  # M_TOP_PAD: asked for beyond what is needed, so that small blocks find a place elsewhere
# M_ARENA_MAX. The arenas of other threads cannot hold large blocks, whose pages are then cleared anew in every call:
# dear in small pages, next to nothing in huge ones. One arena, though, is what threads wait for: once the compiler has
# left its many holes in it, a search for memory takes so long that a full-size training step takes twice its time.
_ARENA_MAX = -8
# What glibc starts with. A limit of 0 arenas leaves their number to the cores.
_DEFAULTS = dict.fromkeys((*_THRESHOLDS, _TOP_PAD), 128 << 10) | {_ARENA_MAX: 0}

_kept = 0  # number of blocks of `kept_memory` that are open and have set the allocator up


HUGE_PAGES = "glibc.malloc.hugetlb"  # glibc's setting, since 2.35
_ASKED = f"{HUGE_PAGES}=1"
_SYSTEM = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def _is_users() -> bool:
    """Has the user set the allocator up, or wants it left alone?"""
    tunables = os.environ.get("GLIBC_TUNABLES", "").replace(HUGE_PAGES, "")
    own = "glibc.malloc" in tunables or any(name.startswith("MALLOC_") for name in os.environ)
    return own or os.environ.get(SWITCH) == "0"


def _glibc() -> tuple[int, ...]:
    """Version of glibc; empty where there is another library."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return tuple(map(int, version.split("."))) if name == "glibc" else ()
    return ()


def use_huge_pages() -> None:
    """Starts this program again with huge pages, where the system has them for programs that ask.

    glibc looks at the environment when a process starts, and never again. So this is for the first line of a program,
    which comes back to it once. It does nothing where `kept_memory` does nothing, or where the environment has
    glibc's setting already.
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
    """glibc's allocator is set up in the block, and has its defaults behind it. Gives whether it is.

    It must come before JAX starts its threads, which keep the arenas that they begin with. It does nothing without
    glibc, where the user has set the allocator up, or with CODAX_KEEP_MEMORY=0. Behind the block the limits are fixed
    at their defaults, where glibc would adapt the largest of them to what a program frees.
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
    """What `mallopt` is to be given; nothing where the allocator is left alone."""
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
    """Gives the pages of freed memory back to the system, which would stay in the process within `kept_memory`."""
    if _kept:
        gc.collect(0)  # at which JAX lets go of the arrays that it had taken over
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)

"""Keeps memory that has been freed within the process.

A compiled function asks for all of its intermediate arrays at once, hundreds of megabytes, and frees them at its end.
glibc gives blocks of that size back to the system, which must then clear every page of them again for the next call:
up to half of the time of a call on a CPU. benchmarks/allocator.py measures it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os

SWITCH = "CODAX_KEEP_MEMORY"  # "0" leaves the allocator alone, "all" keeps blocks of any size
_LARGEST = 1 << 30  # bytes; larger blocks are given back, as a heap that holds several of them grows without need
# mallopt's names for them, from malloc.h, and their values here.
_THRESHOLDS = (
    -1,  # M_TRIM_THRESHOLD: free memory at the end of the heap from which it is given back
    -3,  # M_MMAP_THRESHOLD: size from which a block is a mapping of its own, given back when it is freed
)
_OTHERS = {
    -2: 1 << 28,  # M_TOP_PAD: asked for beyond what is needed, so that small blocks find a place elsewhere
    -8: 1,  # M_ARENA_MAX: the other arenas of threads cannot hold large blocks
}


@functools.cache
def keep_memory() -> bool:
    """Sets glibc's allocator up, once. Returns whether it did.

    It must come before JAX starts its threads, which keep the arenas that they begin with. It does nothing without
    glibc, where the user has set the allocator up, or with CODAX_KEEP_MEMORY=0.
    """
    own = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(k.startswith("MALLOC_") for k in os.environ)
    if own or os.environ.get(SWITCH) == "0":
        return False
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            mallopt = ctypes.CDLL(None).mallopt
            largest = -1 if os.environ.get(SWITCH) == "all" else _LARGEST  # -1 is never reached
            settings = dict.fromkeys(_THRESHOLDS, largest) | _OTHERS
            return sum(mallopt(name, value) for name, value in settings.items()) == len(settings)
    return False

"""Compiles the programs of a step side by side."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from codax.errors import CodaxError
from codax.runtime import cores
from codax.runtime.platforms import platform

_FROM_CACHE = "/jax/compilation_cache/cache_hits"


class Program(NamedTuple):
    """A part of a step, or all of it."""

    name: str
    function: Any  # jitted
    arguments: tuple[Any, ...]  # shapes with shardings


class Compiled(NamedTuple):
    """A program that was compiled."""

    name: str
    seconds: float
    is_cached: bool  # read from the cache of compiled programs
    left: int  # number of programs that are not compiled yet


def compile_programs(programs: Sequence[Program]) -> Iterator[Compiled]:
    """Compiles programs in parallel, the last first; later calls of their functions do not compile.

    The last program of a step is usually the largest: the backward pass of the generator and its update.

    Raises:
      CodaxError: a program cannot be compiled; no other compilation begins, but those that are running end first when
        the process exits.
    """
    # With several GPUs, XLA divides the tuning of kernels among the processes, which must compile in the same order.
    threads = 1 if platform() == "gpu" and jax.process_count() > 1 else cores.usable()
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        with _cache_hits() as hits:
            # Threads compile the first programs while this one traces the others.
            futures = [pool.submit(_compile, p.name, p.function.lower(*p.arguments), hits) for p in reversed(programs)]
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                yield Compiled(*future.result(), left=len(futures) - done)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # an error or Ctrl-C waits for nothing


def _compile(name: str, lowered: Any, hits: set[int]) -> tuple[str, float, bool]:
    thread, began = threading.get_ident(), time.monotonic()
    hits.discard(thread)
    try:
        lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        reason = next(filter(None, str(error).splitlines()), "no reason")
        raise CodaxError(f"{name}: this part of the step cannot be compiled ({reason})") from error
    return name, time.monotonic() - began, thread in hits


@contextlib.contextmanager
def _cache_hits() -> Iterator[set[int]]:
    """Collects the threads that read programs from the cache."""
    threads: set[int] = set()

    def listen(event: str, **_: Any) -> None:
        if event == _FROM_CACHE:
            threads.add(threading.get_ident())

    jax.monitoring.register_event_listener(listen)
    try:
        yield threads
    finally:
        jax.monitoring.unregister_event_listener(listen)

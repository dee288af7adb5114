"""Tasks in threads, with results in order."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import TypeVar

T = TypeVar("T")


def in_order(pool: Executor, tasks: Iterable[Callable[[], T]], *, running: int, ahead: int) -> Iterator[T]:
    """Runs tasks in threads and yields their results in the order of the tasks.

    Args:
      pool: runs the tasks.
      tasks: requested only as earlier ones end, because a task may hold its input.
      running: tasks that are unfinished at any time, at most.
      ahead: tasks whose results are not yet yielded, at most; a long task delays those after it.
    """
    futures: collections.deque[Future[T]] = collections.deque()
    unfinished: set[Future[T]] = set()
    try:
        for task in tasks:
            future = pool.submit(task)
            futures.append(future)
            unfinished.add(future)
            while len(unfinished) >= running:
                unfinished = set(wait(unfinished, return_when=FIRST_COMPLETED).not_done)
            while futures and (futures[0].done() or len(futures) >= ahead):
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        for future in futures:
            future.cancel()

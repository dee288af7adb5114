"""Tasks in threads, with results in order."""

import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from codax.runtime.tasks import in_order


def test_results_have_the_order_of_the_tasks_and_few_are_requested():
    requested, yielded = 0, 0

    def work(i: int) -> int:
        time.sleep(0.002 * (i % 3))
        return i

    def tasks():
        nonlocal requested
        for i in range(50):
            assert requested - yielded <= 8
            requested += 1
            yield functools.partial(work, i)

    with ThreadPoolExecutor(3) as pool:
        for i, result in enumerate(in_order(pool, tasks(), running=4, ahead=8)):
            yielded += 1
            assert result == i
    assert yielded == 50


def test_tasks_after_a_long_one_are_done_before_it_ends():
    ended = threading.Semaphore(0)

    def long() -> str:
        for _ in range(20):
            assert ended.acquire(timeout=10)
        return "long"

    def short() -> str:
        ended.release()
        return "short"

    with ThreadPoolExecutor(2) as pool:
        results = list(in_order(pool, [long, *[short] * 20], running=3, ahead=100))
    assert results == ["long", *["short"] * 20]


def test_a_failed_task_ends_the_others():
    started = []

    def task(i: int) -> None:
        started.append(i)
        if i == 2:
            raise ValueError("task 2")

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="task 2"):
        list(in_order(pool, [functools.partial(task, i) for i in range(100)], running=3, ahead=10))
    assert len(started) < 10

"""A process uses the cores that it may use."""

from __future__ import annotations

import multiprocessing
import os

import pytest
from codax.runtime import cores

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")


def _left(number: int, processes: int) -> tuple[list[int], int]:
    cores.take_share(number, processes)
    return sorted(os.sched_getaffinity(0)), cores.usable()


def test_shares_cover_the_cores_without_overlap():
    mine = sorted(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        shares = pool.starmap(_left, [(number, 2) for number in range(2)], chunksize=1)
        crowded = pool.apply(_left, (len(mine) + 1, len(mine) + 2))  # more processes than cores
    assert all(len(share) == count for share, count in [*shares, crowded])
    assert crowded[1] == 1
    if len(mine) > 1:
        assert sorted(shares[0][0] + shares[1][0]) == mine

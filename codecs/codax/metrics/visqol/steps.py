"""The two heavy parts of a comparison as requests, so that one comparison or many at once can be run by the same code.

A comparison is a generator: it yields what it needs computed and is sent the answer. `alone` answers one comparison
with numpy; `codax.metrics.visqol.batch` answers many together on an accelerator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import TypeVar

import numpy as np

from codax.metrics.nsim import sliding_nsim
from codax.metrics.visqol.frontend import FilterBank, band_levels

_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class Levels:
    """Wants [bands, frames], see `frontend.band_levels`.

    Attributes:
        frames: [frames, window_length] samples.
    """

    frames: np.ndarray


@dataclasses.dataclass(frozen=True)
class Search:
    """Wants [patches, degraded frames] similarities, see `codax.metrics.nsim.sliding_nsim`.

    Attributes:
        patches: [patches, bands, patch_frames], decibels.
        degraded: [bands, frames], decibels.
        first, last: [patches], offsets wanted, both included.
    """

    patches: np.ndarray
    degraded: np.ndarray
    first: np.ndarray
    last: np.ndarray


Steps = Generator[Levels | Search, np.ndarray, _Result]


def alone(steps: Steps[_Result], bank: FilterBank) -> _Result:
    """The result of one comparison, computed with numpy in the bank's precision."""
    try:
        request = next(steps)
        while True:
            request = steps.send(answer(request, bank))
    except StopIteration as done:
        return done.value


def answer(request: Levels | Search, bank: FilterBank) -> np.ndarray:
    """What `request` wants, by numpy."""
    if isinstance(request, Levels):
        return band_levels(request.frames, bank)
    return sliding_nsim(request.patches, request.degraded, request.first, request.last)

"""The two expensive parts of a comparison as requests, so that the same code serves one comparison or many at once.

A comparison is a generator that yields requests and receives their results. `run_alone` computes the requests of one
comparison with numpy; `codax.metrics.visqol.batch` those of many together on an accelerator.
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
    """Requests levels [bands, frames]; see `frontend.band_levels`.

    Attributes:
        frames: [frames, window_length] samples.
    """

    frames: np.ndarray


@dataclasses.dataclass(frozen=True)
class Search:
    """Requests similarities [patches, degraded frames]; see `codax.metrics.nsim.sliding_nsim`.

    Attributes:
        patches: [patches, bands, patch_frames], decibels.
        degraded: [bands, frames], decibels.
        first, last: [patches], inclusive range of offsets.
    """

    patches: np.ndarray
    degraded: np.ndarray
    first: np.ndarray
    last: np.ndarray


Steps = Generator[Levels | Search, np.ndarray, _Result]


def run_alone(steps: Steps[_Result], bank: FilterBank) -> _Result:
    """The result of one comparison, computed with numpy in the bank's precision."""
    try:
        request = next(steps)
        while True:
            request = steps.send(compute(request, bank))
    except StopIteration as done:
        return done.value


def compute(request: Levels | Search, bank: FilterBank) -> np.ndarray:
    """Computes a request with numpy."""
    if isinstance(request, Levels):
        return band_levels(request.frames, bank)
    return sliding_nsim(request.patches, request.degraded, request.first, request.last)

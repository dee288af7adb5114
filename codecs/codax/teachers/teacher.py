"""The interfaces of teachers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from codax.errors import CodaxError


class TeacherError(CodaxError):
    """A teacher is missing, damaged, or does not fit the codec."""


class Teacher(Protocol):
    """A network that computes speech features, for distillation.

    Attributes:
      sample_rate: of its input, in Hz.
      dimension: channels of its features.
      delay_seconds: delay of its network, already compensated in its output.
    """

    sample_rate: int
    dimension: int
    delay_seconds: float

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Maps audio float32 [batch, time] to features float32 [batch, frames, dimension]."""
        ...

    def whole(self, audio: np.ndarray) -> np.ndarray:
        """As `__call__`, for one recording of any length, [time] to [frames, dimension]; no frames if too short."""
        ...


@dataclasses.dataclass(frozen=True)
class Differentiable:
    """A frozen network as a pure function in JAX, for losses on its features of the reconstruction.

    Attributes:
      sample_rate: of its input, in Hz.
      weights: tree of float32 arrays. Programs take them as arguments, as they may have hundreds of megabytes.
      features: (weights, audio float32 [batch, time]) -> features [batch, frames, channels] of one or more layers.
    """

    sample_rate: int
    weights: Any
    features: Callable[[Any, Any], Sequence[Any]]

"""The interface of teachers for distillation."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from codax.errors import CodaxError


class TeacherError(CodaxError):
    """A teacher is missing, damaged, or does not fit the codec."""


class Teacher(Protocol):
    """A network that computes speech features.

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

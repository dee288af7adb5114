"""What distillation wants of a teacher."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from codax.errors import CodaxError


class TeacherError(CodaxError):
    """A teacher that is missing, damaged, or does not fit the codec."""


class Teacher(Protocol):
    """Features of speech.

    Attributes:
      sample_rate: Hz, that it takes.
      dimension: channels of its features.
      delay_seconds: by which its network's features come late; undone in what it gives.
    """

    sample_rate: int
    dimension: int
    delay_seconds: float

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Audio float32 [batch, time] to features float32 [batch, frames, dimension]."""
        ...

    def whole(self, audio: np.ndarray) -> np.ndarray:
        """As `__call__`, for one recording of any length, [time] to [frames, dimension]; no frames if too short."""
        ...

"""Frames of intervals in time, such as those of words and phones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def frame_spans(intervals: ArrayLike, frames: int, frame_rate: float) -> np.ndarray:
    """Maps intervals in seconds to the frames whose middle they contain, so that adjacent intervals share no frame.

    Args:
      intervals: float [intervals, 2], start and end in seconds.
      frames: number of frames of the codes; spans end there.
      frame_rate: frames per second.

    Returns:
      int64 [intervals, 2]: first frame, and first frame after the interval; equal if it contains the middle of none.
    """
    bounds = np.asarray(intervals, np.float64).reshape(-1, 2)
    return np.clip(np.ceil(bounds * frame_rate - 0.5), 0, frames).astype(np.int64)

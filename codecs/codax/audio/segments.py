"""Overlapping segments of a signal and their overlap-add, as in EnCodec's 48 kHz model (arXiv 2210.13438)."""

from __future__ import annotations

import numpy as np


def bounds(length: int, segment: int, stride: int) -> list[tuple[int, int]]:
    """(start, stop) of every segment of a signal of `length` samples; the last ones may be shorter than `segment`.

    With `segment` 0 the whole signal is one segment.
    """
    if not segment:
        return [(0, length)] if length else []
    return [(start, min(start + segment, length)) for start in range(0, length, stride)]


class Cutter:
    """Cuts a signal that arrives in chunks [batch, time, channels] into the segments of `bounds`.

    With `segment` 0 the whole signal is one segment.
    """

    def __init__(self, segment: int, stride: int) -> None:
        self._segment, self._stride = segment, stride
        self._pending: list[np.ndarray] = []

    def push(self, chunk: np.ndarray) -> list[np.ndarray]:
        """Returns the segments that this chunk completes."""
        self._pending.append(chunk)
        if not self._segment or sum(part.shape[1] for part in self._pending) < self._segment:
            return []
        # The segments are views of one array: a copy of the rest for each would need memory in square of the length.
        pending = np.concatenate(self._pending, axis=1)
        starts = range(0, pending.shape[1] - self._segment + 1, self._stride)
        self._pending = [pending[:, starts[-1] + self._stride :].copy()]
        return [pending[:, start : start + self._segment] for start in starts]

    def finish(self) -> list[np.ndarray]:
        """Returns the final, shorter segments."""
        pending = np.concatenate(self._pending, axis=1) if self._pending else np.zeros((1, 0, 1), np.float32)
        self._pending = []
        return [pending[:, start:stop] for start, stop in bounds(pending.shape[1], self._segment, self._stride)]


class OverlapAdder:
    """Joins segments [batch, time, channels] that start `stride` samples apart, with triangular weights.

    All but the last segments have the same length; a shorter one uses the first part of the triangle. The weighted sum
    is divided by the sum of the weights.
    """

    def __init__(self, stride: int) -> None:
        self._stride = stride
        self._triangle: np.ndarray | None = None
        self._total = self._weight = np.zeros((1, 0, 1), np.float32)  # from the start of the next segment on

    def push(self, segment: np.ndarray) -> np.ndarray:
        """Adds a segment; returns the samples before the start of the next one."""
        batch, length, channels = segment.shape
        if self._triangle is None:
            position = np.linspace(0, 1, length + 2, dtype=np.float32)[1:-1]
            self._triangle = (np.float32(0.5) - np.abs(position - np.float32(0.5)))[None, :, None]
            self._total = np.zeros((batch, 0, channels), np.float32)
        missing = max(0, length - self._total.shape[1])
        self._total = np.pad(self._total, ((0, 0), (0, missing), (0, 0)))
        self._weight = np.pad(self._weight, ((0, 0), (0, missing), (0, 0)))
        triangle = self._triangle[:, :length]
        self._total[:, :length] += segment * triangle
        self._weight[:, :length] += triangle
        return self._take(self._stride)

    def finish(self) -> np.ndarray:
        """Returns the remaining samples."""
        return self._take(self._total.shape[1])

    def _take(self, count: int) -> np.ndarray:
        done = self._total[:, :count] / self._weight[:, :count]
        self._total, self._weight = self._total[:, count:], self._weight[:, count:]
        return done

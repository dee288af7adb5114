"""Cutting a signal into overlapping segments and putting them together again, as EnCodec's 48 kHz model does."""

from __future__ import annotations

import numpy as np


def bounds(length: int, segment: int, stride: int) -> list[tuple[int, int]]:
    """(start, stop) of every segment of a signal of `length` samples; the last ones may be shorter than `segment`.

    With a `segment` of 0 the whole signal is one.
    """
    if not segment:
        return [(0, length)] if length else []
    return [(start, min(start + segment, length)) for start in range(0, length, stride)]


class Cutter:
    """Cuts a signal that arrives in pieces [batch, time, channels]: the segments of `bounds`, each when it is whole.

    With a `segment` of 0 the whole signal is one segment.
    """

    def __init__(self, segment: int, stride: int) -> None:
        self._segment, self._stride = segment, stride
        self._held: list[np.ndarray] = []

    def push(self, piece: np.ndarray) -> list[np.ndarray]:
        """The segments that are complete with this piece."""
        self._held.append(piece)
        segments = []
        while self._segment and sum(part.shape[1] for part in self._held) >= self._segment:
            held = np.concatenate(self._held, axis=1)
            segments.append(held[:, : self._segment])
            self._held = [held[:, self._stride :]]
        return segments

    def finish(self) -> list[np.ndarray]:
        """The segments that begin in what is left; they are shorter."""
        held = np.concatenate(self._held, axis=1) if self._held else np.zeros((1, 0, 1), np.float32)
        self._held = []
        return [held[:, start:stop] for start, stop in bounds(held.shape[1], self._segment, self._stride)]


class OverlapAdder:
    """Joins segments [batch, time, channels] that start `stride` samples apart, each weighted by a triangle.

    All but the last ones have the length of the first; the weights of a shorter one are those of its part of the
    triangle. The weighted sum is divided by the sum of weights.
    """

    def __init__(self, stride: int) -> None:
        self._stride = stride
        self._triangle: np.ndarray | None = None
        self._total = self._weight = np.zeros((1, 0, 1), np.float32)  # from the next segment's start on

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
        """The samples that are left."""
        return self._take(self._total.shape[1])

    def _take(self, count: int) -> np.ndarray:
        done = self._total[:, :count] / self._weight[:, :count]
        self._total, self._weight = self._total[:, count:], self._weight[:, count:]
        return done

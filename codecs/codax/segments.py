"""Cutting a signal into overlapping segments and putting them together again, as EnCodec's 48 kHz model does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def bounds(length: int, segment: int, stride: int) -> list[tuple[int, int]]:
    """(start, stop) of every segment of a signal of `length` samples; the last ones may be shorter than `segment`."""
    return [(start, min(start + segment, length)) for start in range(0, length, stride)]


def rms_scale(segments: np.ndarray) -> np.ndarray:
    """RMS of the mean of the channels of [batch, time, channels], plus 1e-8 against silence: float32 [batch]."""
    mono = np.mean(segments, axis=2, dtype=np.float32)
    return (np.sqrt(np.mean(mono**2, axis=1)) + np.float32(1e-8)).astype(np.float32)


def overlap_add(segments: Sequence[np.ndarray], stride: int) -> np.ndarray:
    """Joins segments [batch, time, channels] that start `stride` samples apart, each weighted by a triangle.

    All but the last ones have the length of the first; the weights of a shorter one are those of its part of the
    triangle. The weighted sum is divided by the sum of weights.
    """
    first = segments[0]
    position = np.linspace(0, 1, first.shape[1] + 2, dtype=np.float32)[1:-1]
    triangle = np.float32(0.5) - np.abs(position - np.float32(0.5))
    length = max(i * stride + s.shape[1] for i, s in enumerate(segments))
    total = np.zeros((first.shape[0], length, first.shape[2]), np.float32)
    weight = np.zeros((length, 1), np.float32)
    for i, piece in enumerate(segments):
        part = slice(i * stride, i * stride + piece.shape[1])
        total[:, part] += piece * triangle[: piece.shape[1], None]
        weight[part] += triangle[: piece.shape[1], None]
    return total / weight

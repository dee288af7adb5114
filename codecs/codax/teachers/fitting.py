"""Adapters of teachers to another sample rate or frame rate."""

from __future__ import annotations

import numpy as np

from codax.audio import resample
from codax.teachers.teacher import Teacher


def pool(features: np.ndarray, factor: int) -> np.ndarray:
    """Averages features [..., frames, channels] to ceil(frames / factor) frames.

    Each frame is the mean of 2 * factor features around its middle, as for Mimi's teacher (arXiv 2410.00037, section
    3.3.2: kernel 8, stride 4); at the ends, of fewer. `factor` is even.
    """
    frames = features.shape[-2]
    count = -(-frames // factor)
    sums = np.cumsum(features, axis=-2, dtype=np.float64)
    sums = np.concatenate([np.zeros_like(sums[..., :1, :]), sums], axis=-2)
    starts = factor * np.arange(count) - factor // 2
    first, last = np.clip(starts, 0, frames), np.clip(starts + 2 * factor, 0, frames)
    means = (sums[..., last, :] - sums[..., first, :]) / (last - first)[:, None]
    return means.astype(features.dtype)


class Pooled:
    """A teacher with a reduced frame rate; see `Teacher` and `pool`."""

    def __init__(self, teacher: Teacher, factor: int) -> None:
        self._teacher, self._factor = teacher, factor
        self.sample_rate, self.dimension = teacher.sample_rate, teacher.dimension
        self.delay_seconds = teacher.delay_seconds

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        return pool(self._teacher(audio), self._factor)

    def whole(self, audio: np.ndarray) -> np.ndarray:
        return pool(self._teacher.whole(audio), self._factor)


class Resampled:
    """A teacher for audio at another sample rate, in Hz; see `Teacher`."""

    def __init__(self, teacher: Teacher, sample_rate: int) -> None:
        self._teacher, self.sample_rate = teacher, sample_rate
        self.dimension, self.delay_seconds = teacher.dimension, teacher.delay_seconds

    def _converted(self, audio: np.ndarray) -> np.ndarray:  # [time, signals]
        return resample(np.asarray(audio, np.float32), self.sample_rate, self._teacher.sample_rate)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        return self._teacher(self._converted(audio.T).T)

    def whole(self, audio: np.ndarray) -> np.ndarray:
        return self._teacher.whole(self._converted(audio[:, None])[:, 0])

"""Adapters of teachers to another sample rate or frame rate."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.audio import resample
from codax.audio.resampling import resampled_length
from codax.teachers.teacher import Differentiable, Teacher, TeacherError

_REACH = 256  # samples of the slower rate on each side that soxr's filter is cut to
_LARGEST_BLOCK = 4096  # samples


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


def resampling_matrix(source_rate: int, target_rate: int) -> np.ndarray:
    """Returns the linear map of `codax.audio.resample` from three blocks of samples to those of the middle block.

    Returns:
      float32 [3 * block, block * target_rate / source_rate], with blocks of one or more periods of the two rates.

    Raises:
      TeacherError: the rates have no short common period.
    """
    divisor = math.gcd(source_rate, target_rate)
    up, down = target_rate // divisor, source_rate // divisor
    periods = -(-_REACH // min(up, down))
    if max(up, down) * periods > _LARGEST_BLOCK:
        raise TeacherError(f"audio at {source_rate} Hz cannot be resampled to {target_rate} Hz for a loss")
    block, outputs = down * periods, up * periods
    # Responses to impulses in the middle block, among silence; output blocks before, in and after it have the taps.
    impulses = np.zeros((5 * block, block), np.float32)
    impulses[2 * block : 3 * block] = np.eye(block, dtype=np.float32)
    responses = resample(impulses, source_rate, target_rate).reshape(5, outputs, block)
    return np.concatenate([responses[3].T, responses[2].T, responses[1].T])


def resample_blocks(matrix: jax.Array, audio: jax.Array, length: int) -> jax.Array:
    """Resamples float [batch, time] to [batch, length] with a matrix from `resampling_matrix`."""
    block = matrix.shape[0] // 3
    count = -(-audio.shape[1] // block)
    padded = jnp.pad(audio, ((0, 0), (block, (count + 1) * block - audio.shape[1])))
    blocks = padded.reshape(len(audio), count + 2, block)
    around = jnp.concatenate([blocks[:, :-2], blocks[:, 1:-1], blocks[:, 2:]], axis=-1)
    return (around @ matrix).reshape(len(audio), -1)[:, :length]


def at_rate(teacher: Differentiable, sample_rate: int) -> Differentiable:
    """Returns a differentiable teacher for audio at another sample rate, in Hz. Raises TeacherError."""
    ours = teacher.sample_rate
    if sample_rate == ours:
        return teacher

    def features(weights: tuple, audio: jax.Array) -> Any:
        theirs, matrix = weights
        length = resampled_length(audio.shape[1], sample_rate, ours)
        return teacher.features(theirs, resample_blocks(matrix, audio, length))

    return Differentiable(sample_rate, (teacher.weights, resampling_matrix(sample_rate, ours)), features)

"""Resampling of complete signals and of streams, with soxr."""

from __future__ import annotations

import numpy as np
import soxr

from codax.audio.arrays import as_floats
from codax.audio.decoders import AudioError


def resampled_length(length: int, source_rate: int, target_rate: int) -> int:
    """Length at `target_rate` Hz of a signal of `length` samples at `source_rate` Hz; 0 only for an empty one."""
    return max(min(1, length), round(length * target_rate / source_rate))


def resample(audio: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Resamples float [time, channels] (or [time]) from `source_rate` to `target_rate` Hz with soxr's HQ filter.

    The output is float32 with `resampled_length` frames, the same layout and no delay.

    Raises:
      AudioError: a rate is not positive.
    """
    if source_rate <= 0 or target_rate <= 0:
        raise AudioError(f"cannot resample from {source_rate} to {target_rate} Hz")
    audio = as_floats(audio)
    if source_rate == target_rate or len(audio) == 0:
        return audio
    length = resampled_length(len(audio), source_rate, target_rate)
    out = np.asarray(soxr.resample(audio, source_rate, target_rate, quality="HQ"), np.float32)
    if len(out) < length:  # soxr's rounding can differ by one frame
        out = np.concatenate([out, np.zeros((length - len(out), *out.shape[1:]), np.float32)])
    return np.ascontiguousarray(out[:length])


class StreamResampler:
    """Resamples a signal that arrives in blocks: call it with each block, and with `last=True` for the last one.

    The total length is that of `resample` on the whole signal.
    """

    def __init__(self, source_rate: int, target_rate: int, channels: int):
        if source_rate <= 0 or target_rate <= 0:
            raise AudioError(f"cannot resample from {source_rate} to {target_rate} Hz")
        self._stream = (
            None
            if source_rate == target_rate
            else soxr.ResampleStream(source_rate, target_rate, channels, dtype="float32", quality="HQ")
        )
        self._rates = source_rate, target_rate
        self._channels = channels
        self._consumed = self._produced = 0

    def __call__(self, block: np.ndarray, *, last: bool = False) -> np.ndarray:
        """Takes float32 [time, channels] (0 frames allowed); returns the output that is available so far."""
        block = np.ascontiguousarray(as_floats(block))
        if self._stream is None:
            return block
        out = np.asarray(self._stream.resample_chunk(block, last=last), np.float32).reshape(-1, self._channels)
        self._consumed += len(block)
        if last:
            missing = resampled_length(self._consumed, *self._rates) - self._produced - len(out)
            out = np.pad(out, ((0, missing), (0, 0))) if missing >= 0 else out[:missing]
        self._produced += len(out)
        return out

"""Conversion between float and 16-bit PCM; a sample is exactly integer / 32768."""

from __future__ import annotations

import numpy as np

from codax.audio.arrays import as_floats


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Rounds float samples in [-1, 1), or other integers, to int16, with clipping; int16 passes through."""
    if audio.dtype == np.int16:
        return audio
    return np.clip(np.rint(as_floats(audio, np.float64) * 32768.0), -32768, 32767).astype(np.int16)


def from_int16(samples: np.ndarray) -> np.ndarray:
    """Converts int16 samples to float32, exactly integer / 32768."""
    return as_floats(samples)

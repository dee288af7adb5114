"""Conversion between float and 16-bit PCM; a sample is exactly integer / 32768."""

from __future__ import annotations

import numpy as np


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Rounds float samples in [-1, 1) to int16, with clipping; int16 passes through."""
    if audio.dtype == np.int16:
        return audio
    return np.clip(np.rint(np.asarray(audio, np.float64) * 32768.0), -32768, 32767).astype(np.int16)


def from_int16(samples: np.ndarray) -> np.ndarray:
    """Converts int16 samples to float32, exactly integer / 32768."""
    return samples.astype(np.float32) * np.float32(1.0 / 32768.0)

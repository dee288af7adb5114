"""Synthetic signals for tests: the same on every machine, other ones for every seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def noise(*shape: int, level: float = 0.3, seed: int = 0) -> np.ndarray:
    """Gaussian noise of standard deviation `level`, float32 of any shape."""
    return np.random.default_rng(seed).normal(0, level, shape).astype(np.float32)


def uniform_noise(seconds: float, rate: int = 16_000, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Noise between -0.4 and 0.4, which never clips: float32 [time, channels]."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.4, 0.4, (round(seconds * rate), channels)).astype(np.float32)


def swelling_noise(samples: int) -> np.ndarray:
    """Noise under a slow envelope, float32 [1, samples, 1]."""
    envelope = 0.1 * (1 + np.sin(np.arange(samples) / 4000))
    return (envelope * np.random.default_rng(0).standard_normal(samples))[None, :, None].astype(np.float32)


def syllables(seconds: float, rate: int = 16_000, *, gain: float = 0.1, seed: int = 0) -> np.ndarray:
    """Noise in syllables of 0.25 s, loud enough for ViSQOL's activity detector: float64 [time]."""
    time = np.arange(round(seconds * rate)) / rate
    return gain * np.random.default_rng(seed).standard_normal(len(time)) * (0.3 + np.abs(np.sin(4 * np.pi * time)))


def tones(seconds: float, rate: int, hertz: Sequence[float], *, level: float = 0.3) -> np.ndarray:
    """A sine of amplitude `level` per channel, float32 [time, channels]."""
    time = np.arange(round(seconds * rate))[:, None] / rate
    return (level * np.sin(2 * np.pi * np.asarray(hertz) * time)).astype(np.float32)

"""Audio for tests that differs from seed to seed."""

from __future__ import annotations

import numpy as np


def noise_like_speech(seconds: float, rate: int = 16_000, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Different audio for every seed, float32 [time, channels]."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.4, 0.4, (round(seconds * rate), channels)).astype(np.float32)

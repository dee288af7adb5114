"""Preservation of intonation: compares the fundamental frequency of original and decoded speech, frame by frame.

Both are tracked by pYIN (Mauch and Dixon, 2014; librosa) from 60 to 500 Hz at 16 kHz, in windows of 64 ms every 16 ms.
"""

from __future__ import annotations

import math

import numpy as np

from codax.dsp.distances import rms
from codax.metrics.signals import mono, pair

SAMPLE_RATE = 16_000  # Hz
_LOWEST, _HIGHEST = 60.0, 500.0  # Hz
RANGE_CENTS = 1200 * math.log2(_HIGHEST / _LOWEST)  # the largest possible difference
_WINDOW, _HOP = 1024, 256  # samples
_FEWEST = 10  # smallest number of frames voiced in both signals


def track(signal: np.ndarray) -> np.ndarray:
    """Fundamental frequency in Hz of a signal [time] at 16 kHz, float64 [frames]; NaN in unvoiced frames."""
    import librosa

    frequency, _, _ = librosa.pyin(
        signal, fmin=_LOWEST, fmax=_HIGHEST, sr=SAMPLE_RATE, frame_length=_WINDOW, hop_length=_HOP
    )
    return frequency


def f0(reference: np.ndarray, degraded: np.ndarray) -> dict[str, float]:
    """Agreement of two fundamental frequency contours.

    Args:
      reference: [time] or [time, channels] at 16 kHz; channels are averaged.
      degraded: the same shape.

    Returns:
      "f0_correlation": Pearson correlation of the frequencies in Hz over frames voiced in both; "f0_rmse": root mean
      square difference in cents; "voicing_error": percentage of frames voiced in only one of them. With fewer than ten
      frames that are voiced in both, the first two are NaN; so is the correlation with a constant frequency.
    """
    ref, deg = (track(mono(x)) for x in pair(reference, degraded))
    both = np.isfinite(ref) & np.isfinite(deg)
    a, b = ref[both], deg[both]
    is_enough = len(a) >= _FEWEST
    varies = is_enough and a.std() > 0 and b.std() > 0
    return {
        "f0_correlation": float(np.corrcoef(a, b)[0, 1]) if varies else math.nan,
        "f0_rmse": float(rms(1200 * np.log2(b / a))) if is_enough else math.nan,
        "voicing_error": 100 * float(np.mean(np.isfinite(ref) != np.isfinite(deg))),
    }

"""How well the melody of speech is kept: fundamental frequency of original and decoded signal, frame by frame.

Both are tracked by pYIN (Mauch and Dixon, 2014; librosa) from 60 to 500 Hz at 16 kHz, in windows of 64 ms every 16 ms.
"""

from __future__ import annotations

import numpy as np

from codax.dsp.distances import rms
from codax.metrics.signals import MetricError, mono, pair

SAMPLE_RATE = 16_000  # Hz
_LOWEST, _HIGHEST = 60.0, 500.0  # Hz
_WINDOW, _HOP = 1024, 256  # samples
_FEWEST = 10  # frames voiced in both signals


def track(signal: np.ndarray) -> np.ndarray:
    """Fundamental frequency in Hz of a signal [time] at 16 kHz, float64 [frames]; NaN where nothing is voiced."""
    import librosa

    frequency, _, _ = librosa.pyin(
        signal, fmin=_LOWEST, fmax=_HIGHEST, sr=SAMPLE_RATE, frame_length=_WINDOW, hop_length=_HOP
    )
    return frequency


def f0(reference: np.ndarray, degraded: np.ndarray) -> dict[str, float]:
    """Agreement of two fundamental frequencies.

    Args:
      reference: [time] or [time, channels] at 16 kHz; channels are averaged.
      degraded: the same shape.

    Returns:
      "f0_correlation", Pearson's, of the frequencies in Hz over the frames that are voiced in both; "f0_rmse" of their
      difference, cents; "voicing_error", per cent of the frames that are voiced in one of them only.

    Raises:
      MetricError: fewer than ten frames are voiced in both, or the frequency of one does not change.
    """
    ref, deg = (track(mono(x)) for x in pair(reference, degraded))
    both = np.isfinite(ref) & np.isfinite(deg)
    if both.sum() < _FEWEST:
        raise MetricError(f"F0: {both.sum()} frames are voiced in both signals, {_FEWEST} are needed")
    a, b = ref[both], deg[both]
    if a.std() == 0 or b.std() == 0:
        raise MetricError("F0: the frequency does not change, so it correlates with nothing")
    cents = 1200 * np.log2(b / a)
    return {
        "f0_correlation": float(np.corrcoef(a, b)[0, 1]),
        "f0_rmse": float(rms(cents)),
        "voicing_error": 100 * float(np.mean(np.isfinite(ref) != np.isfinite(deg))),
    }

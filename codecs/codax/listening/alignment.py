"""Estimates how much later than the reference a signal is: late signals reveal themselves when listeners switch."""

from __future__ import annotations

import numpy as np

from codax.metrics.distances import magnitudes

HOP = 0.005  # seconds
MOST = 0.5  # seconds of delay that are considered
_EXCERPT = 12.0  # seconds that are compared, so that memory is bounded
_RANGE = 1e-3  # of magnitudes, 60 dB below the largest
_CLEAR = 0.35  # smallest correlation that identifies a delay
_MARGIN = 0.9  # of the largest correlation; a periodic signal may have as much without a delay
_SHORTEST = 0.2  # seconds


def delay(reference: np.ndarray, signal: np.ndarray, rate: int) -> float:
    """Returns the delay of a signal in seconds, in steps of 5 ms, negative if it is early.

    The delay maximises the correlation over time of the logarithmic spectra, which also holds for codecs that keep no
    waveform; it is 0 if no delay is clear.

    Args:
      reference: [time, channels].
      signal: the same shape.
      rate: Hz.
    """
    if len(reference) < _SHORTEST * rate:
        return 0.0
    first, second = (_spectra(x[: round(_EXCERPT * rate)], rate) for x in (reference, signal))
    size = 2 * len(first)
    spectrum = np.fft.rfft(first, size, axis=0).conj() * np.fft.rfft(second, size, axis=0)
    correlation = np.fft.irfft(spectrum.sum(axis=1), size)
    correlation /= max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-9)
    lags = np.arange(-min(round(MOST / HOP), len(first) - 1), min(round(MOST / HOP), len(first) - 1) + 1)
    best = int(lags[np.argmax(correlation[lags])])
    is_clear = correlation[best] >= _CLEAR and correlation[0] < _MARGIN * correlation[best]
    return best * HOP if is_clear else 0.0


def _spectra(audio: np.ndarray, rate: int) -> np.ndarray:
    """Logarithmic magnitudes around their median over time, [frames, bins], limited so that silences count little."""
    spectra = magnitudes(audio.mean(axis=1, keepdims=True), 4 * round(HOP * rate))[0]
    levels = np.log(np.maximum(spectra, max(_RANGE * float(spectra.max()), 1e-9)))
    levels = np.clip(levels - np.median(levels, axis=0), -1, 1)
    return levels - levels.mean(axis=0)

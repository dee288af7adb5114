"""Where the degraded signal lies in time against the reference: envelopes and their cross-correlation."""

from __future__ import annotations

import numpy as np


def envelope(signal: np.ndarray) -> np.ndarray:
    """ViSQOL's "upper envelope" of `signal` [time]; same shape.

    ViSQOL builds an analytic spectrum and then takes a *real* inverse transform of it, which loses the imaginary part.
    What is left is a full-wave rectification, |2 (s - mean)| + mean, but for how the transform treats its first and
    last bin. A true Hilbert envelope would change scores by up to 0.03, so this one is kept.
    """
    count = len(signal)
    size = _transform_length(count)
    mean = signal.mean()
    centred = signal - mean
    # Bin 0 is counted once where the others count twice; the last bin, where samples alternate in sign, is left out,
    # or counted once if there was no padding.
    first_bin = centred.sum() / size
    last_bin = (centred[::2].sum() - centred[1::2].sum()) / size * (2 if count < size else 1)
    alternating = np.full(count, last_bin)
    alternating[1::2] = -last_bin
    return np.abs(2 * centred - first_bin - alternating) + mean


def best_lag(reference: np.ndarray, degraded: np.ndarray) -> int:
    """Samples by which `degraded` [time] must be delayed to match `reference` [time] best; negative: it is late."""
    longest = max(len(reference), len(degraded))
    size = _transform_length(2 * longest - 1)
    spectrum = np.fft.rfft(reference, n=size) * np.fft.rfft(degraded, n=size).conj()
    correlation = np.fft.irfft(spectrum, n=size)
    # From lag -(longest - 1) to longest - 1; of equal maxima the first counts.
    ordered = np.concatenate([correlation[size - (longest - 1) :], correlation[:longest]])
    return int(np.argmax(ordered)) - (longest - 1)


def align(reference: np.ndarray, degraded: np.ndarray) -> tuple[np.ndarray, int]:
    """Shift `degraded` [time] onto `reference` [time].

    Returns:
        The shifted signal (late: its beginning cut off; early: zeros put in front) and the lag in samples. A lag above
        half the reference's length is taken for a mistake: the signal is then returned unchanged with lag 0.
    """
    lag = best_lag(envelope(reference), envelope(degraded))
    if abs(lag) > len(reference) / 2:
        lag = 0
    if lag < 0:
        return degraded[-lag:], lag
    return np.concatenate([np.zeros(lag, degraded.dtype), degraded]) if lag else degraded, lag


def cut(signal: np.ndarray, start: float, end: float, sample_rate: int) -> np.ndarray:
    """The samples from `start` to `end` (seconds).

    A cut that runs past the end of the signal is filled up with zeros in FRONT, not behind, as ViSQOL does it.
    """
    first = max(0, int(start * sample_rate))
    last = min(len(signal) - 1, int(end * sample_rate))
    piece = signal[first:last]
    missing = end * sample_rate - len(signal)
    if missing > 0:
        piece = np.concatenate([np.zeros(int(missing), signal.dtype), piece])
    if start < 0:
        piece = np.concatenate([np.zeros(int(-start * sample_rate), signal.dtype), piece])
    return piece


def align_cuts(reference: np.ndarray, degraded: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Align two short cuts and make them equally long. Returns reference, degraded [time] and the lag in seconds."""
    shifted, lag = align(reference, degraded)
    seconds = lag / sample_rate
    if len(shifted) < len(reference):
        return reference[: len(shifted)], shifted, seconds
    if len(shifted) > len(reference):
        # Through seconds and back: the product can come out just below the whole number, and ViSQOL truncates it.
        skip = int(seconds * sample_rate)
        return reference[skip:], shifted[skip : len(reference)], seconds
    return reference, shifted, seconds


def _transform_length(count: int) -> int:
    """Smallest power of two that holds `count` samples, at least 32."""
    return max(32, 1 << (count - 1).bit_length())

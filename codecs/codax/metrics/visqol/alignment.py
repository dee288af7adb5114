"""Alignment in time of the degraded signal with the reference, by cross-correlation of their envelopes."""

from __future__ import annotations

import numpy as np


def envelope(signal: np.ndarray) -> np.ndarray:
    """ViSQOL's "upper envelope" of `signal` [time]; same shape.

    ViSQOL builds an analytic spectrum and then takes a *real* inverse transform of it, which loses the imaginary part.
    The result is a full-wave rectification, |2 (s - mean)| + mean, except for the treatment of the first and last bin.
    A true Hilbert envelope would change scores by up to 0.03, so this one is kept.
    """
    count = len(signal)
    size = _transform_length(count)
    mean = signal.mean()
    centred = signal - mean
    # Bin 0 counts once, the others twice; the last bin, where samples alternate in sign, is omitted, or counts once if
    # there was no padding.
    first_bin = centred.sum() / size
    last_bin = (centred[::2].sum() - centred[1::2].sum()) / size * (2 if count < size else 1)
    alternating = np.full(count, last_bin)
    alternating[1::2] = -last_bin
    return np.abs(2 * centred - first_bin - alternating) + mean


def best_lag(reference: np.ndarray, degraded: np.ndarray) -> int:
    """Delay in samples of `degraded` [time] that best matches `reference` [time]; negative if it is late."""
    longest = max(len(reference), len(degraded))
    size = _transform_length(2 * longest - 1)
    spectrum = np.fft.rfft(reference, n=size) * np.fft.rfft(degraded, n=size).conj()
    correlation = np.fft.irfft(spectrum, n=size)
    # From lag -(longest - 1) to longest - 1; the first of equal maxima counts.
    ordered = np.concatenate([correlation[size - (longest - 1) :], correlation[:longest]])
    return int(np.argmax(ordered)) - (longest - 1)


def align(reference: np.ndarray, degraded: np.ndarray) -> tuple[np.ndarray, int]:
    """Shifts `degraded` [time] onto `reference` [time].

    Returns:
        The shifted signal (if late, its beginning is removed; if early, it is preceded by zeros) and the lag in
        samples. A lag above half the reference's length is considered an error: the signal is returned unchanged with
        lag 0.
    """
    lag = best_lag(envelope(reference), envelope(degraded))
    if abs(lag) > len(reference) / 2:
        lag = 0
    if lag < 0:
        return degraded[-lag:], lag
    return np.concatenate([np.zeros(lag, degraded.dtype), degraded]) if lag else degraded, lag


def cut(signal: np.ndarray, start: float, end: float, sample_rate: int) -> np.ndarray:
    """The samples from `start` to `end` (seconds).

    A cut that exceeds the end of the signal is padded with zeros in FRONT, not at the end, as in ViSQOL.
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
    """Aligns two short cuts and makes them equally long. Returns reference, degraded [time] and the lag in seconds."""
    shifted, lag = align(reference, degraded)
    seconds = lag / sample_rate
    if len(shifted) < len(reference):
        return reference[: len(shifted)], shifted, seconds
    if len(shifted) > len(reference):
        # The conversion to seconds and back can end just below the integer, and ViSQOL truncates it.
        skip = int(seconds * sample_rate)
        return reference[skip:], shifted[skip : len(reference)], seconds
    return reference, shifted, seconds


def _transform_length(count: int) -> int:
    """Smallest power of two >= `count`, at least 32."""
    return max(32, 1 << (count - 1).bit_length())

"""Distances between two waveforms: SI-SDR, SNR, multi-resolution STFT distance and mel distance.

Codec papers use these names for different formulas, so each docstring states windows, bins, log base and floor. The two
spectral distances follow the evaluation script of the Descript Audio Codec (arXiv 2306.06546, Table 3) and the formulas
of descript-audiotools; results of other toolkits under the same names are not comparable. All functions need aligned
signals, without the codec's delay.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from codax.dsp import distances
from codax.metrics.signals import MetricError, pair

LIMIT_DB = 100.0  # ratios are limited to +-100 dB, so that a lossless system has a finite mean
STFT_WINDOWS = (2048, 512)  # samples
MEL_BINS = (150, 80)  # for the windows above
CLAMP = 1e-5  # floor of a magnitude before its logarithm


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (`codax.dsp.distances.si_sdr`), mean over channels, +-100 dB.

    Args:
      reference: [time] or [time, channels].
      estimate: the same shape.

    Raises:
      MetricError: the reference is silent or the shapes differ.
    """
    ref, est = pair(reference, estimate)
    if (np.ptp(ref, axis=0) == 0).any():
        raise MetricError("SI-SDR is not defined: a channel of the reference is silent")
    return _mean_over_channels(distances.si_sdr, ref, est)


def snr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Signal-to-noise ratio in dB: 10 log10(|reference|^2 / |reference - estimate|^2), mean over channels, +-100 dB.

    Args:
      reference: [time] or [time, channels].
      estimate: the same shape.

    Raises:
      MetricError: the reference is silent or the shapes differ.
    """
    ref, est = pair(reference, estimate)
    if not ref.any(axis=0).all():
        raise MetricError("SNR is not defined: a channel of the reference is silent")
    return _mean_over_channels(distances.snr, ref, est)


def level_difference(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Level of the estimate above that of the reference in dB: ratio of root mean squares over all samples, +-100 dB.

    Args:
      reference: [time] or [time, channels].
      estimate: the same shape.

    Raises:
      MetricError: the reference is silent or the shapes differ.
    """
    ref, est = (float(distances.rms(x, None)) for x in pair(reference, estimate))
    if ref == 0:
        raise MetricError("level difference is not defined: the reference is silent")
    return float(np.clip(20 * math.log10(est / ref), -LIMIT_DB, LIMIT_DB)) if est > 0 else -LIMIT_DB


def stft_distance(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Multi-resolution STFT distance.

    It is the sum over Hann windows of 2048 and 512 samples (hop a quarter, reflected edges) of
    mean |log10 max(|X|, 1e-5)^2 - log10 max(|Y|, 1e-5)^2| + mean ||X| - |Y||.

    Args:
      reference: [time] or [time, channels].
      estimate: the same shape.

    Raises:
      MetricError: the shapes differ or the signal is shorter than half a window.
    """
    ref, est = pair(reference, estimate)
    pairs = ((magnitudes(ref, window), magnitudes(est, window)) for window in STFT_WINDOWS)
    return float(sum(distances.log_and_linear_distance(x, y, floor=CLAMP) for x, y in pairs))


def mel_distance(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Multi-resolution mel distance.

    It is `stft_distance` of mel magnitudes, with 150 bins for the window of 2048 samples and 80 for 512, Slaney's scale
    and area normalisation, 0 Hz to half the sample rate.

    Args:
      reference: [time] or [time, channels].
      estimate: the same shape.
      sample_rate: Hz.

    Raises:
      MetricError: the shapes differ or the signal is shorter than half a window.
    """
    ref, est = pair(reference, estimate)
    total = 0.0
    for window, bins in zip(STFT_WINDOWS, MEL_BINS, strict=True):
        filters = _mel_filters(sample_rate, window, bins)
        x, y = (magnitudes(signal, window) @ filters for signal in (ref, est))
        total += float(distances.log_and_linear_distance(x, y, floor=CLAMP))
    return total


def magnitudes(audio: np.ndarray, window: int) -> np.ndarray:
    """STFT magnitudes of [time, channels] as [channels, frames, window / 2 + 1]: Hann, hop window / 4, centred frames.

    Raises:
      MetricError: the signal is too short for the reflection at its edges.
    """
    if audio.shape[0] <= window // 2:
        raise MetricError(f"too short for a spectral distance: {audio.shape[0]} samples, window {window}")
    import librosa

    # Padded here, since librosa warns about signals that are shorter than the window.
    padded = np.pad(audio.T, ((0, 0), (window // 2, window // 2)), mode="reflect")
    return np.abs(librosa.stft(padded, n_fft=window, center=False)).swapaxes(-1, -2)


def _mean_over_channels(ratio: Callable[..., np.ndarray], reference: np.ndarray, estimate: np.ndarray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = ratio(reference, estimate, axis=0)
    # SI-SDR is 0 / 0 for a silent estimate, which contains nothing of the reference.
    decibels = np.where(np.isnan(decibels), -LIMIT_DB, decibels)
    return float(np.mean(np.clip(decibels, -LIMIT_DB, LIMIT_DB)))


@functools.lru_cache(maxsize=8)
def _mel_filters(sample_rate: int, window: int, bins: int) -> np.ndarray:
    import librosa

    return librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=bins, dtype=np.float64).T

"""The comb in pauses: tones at multiples of the frame rate, from a decoder that repeats a pattern in every frame.

A network that makes all samples of a frame from one latent vector adds the same pattern to every frame of a pause,
where the latent hardly changes. The pattern is periodic, so its spectrum is a comb of lines at the multiples of the
frame rate, where the original has noise. Metrics that compare louder passages do not show it.
"""

from __future__ import annotations

import functools

import numpy as np

from codax.metrics.signals import MetricError, mono, pair

LIMIT_DB = 60.0  # the measure is limited to +-60 dB
LOUD_PERCENTILE = 95.0  # of the levels of frames of 10 ms: the level of loud speech
PAUSE_DB = 40.0  # a pause is this much softer than loud speech
SILENCE_DB = -90.0  # dB of full scale; what is softer is digital silence, not the noise of a room
EDGE_SECONDS = 0.02  # omitted at both ends of a pause: the codec smears the speech beside it
WINDOW_SECONDS = 0.16
LEAST_PERIODS = 4  # in a window: the Hann window then separates a line from the middle between two lines
_STEP_SECONDS = 0.01  # frames of the search for pauses
_ROUNDING = 2.0**-30 / 12  # variance of the rounding to 16 bits


def pauses(signal: np.ndarray, sample_rate: int) -> list[tuple[int, int]]:
    """Pauses of a signal [time] as (start, end) in samples, without their edges.

    They are the longest runs of frames of 10 ms with a level (root mean square) above -90 dB of full scale and more
    than 40 dB below the 95th percentile of the levels of all frames.
    """
    step = max(1, round(_STEP_SECONDS * sample_rate))
    frames = signal[: len(signal) // step * step].reshape(-1, step)
    if not len(frames):
        return []
    levels = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-20)
    quiet = (levels > SILENCE_DB) & (levels < np.percentile(levels, LOUD_PERCENTILE) - PAUSE_DB)
    edges = np.flatnonzero(np.diff(quiet, prepend=False, append=False)).reshape(-1, 2) * step
    margin = round(EDGE_SECONDS * sample_rate)
    return [(int(start) + margin, int(end) - margin) for start, end in edges if end - start > 2 * margin]


def line_level(power: np.ndarray, periods: int) -> float:
    """Mean level of the lines over that between them in dB: mean over m of 10 log10(P[mK] / median P[mK + d]).

    Args:
      power: P, of the bins of a spectrum [bins] whose window holds `periods` periods.
      periods: K, so that the lines are bins K, 2K, ...; d is between a quarter and three quarters of K on both sides.
    """
    near = np.arange(max(2, -(-periods // 4)), min(3 * periods // 4, periods - 2) + 1)
    lines = np.arange(periods, len(power) - near[-1], periods)
    between = np.median(power[lines[:, None] + np.concatenate([-near, near])], axis=1)
    return float(np.mean(10 * np.log10(power[lines] / between)))


def comb(reference: np.ndarray, degraded: np.ndarray, sample_rate: int, frame_rate: float) -> float:
    """Level of the comb in the original's pauses: `line_level` of the decoded signal minus that of the original, dB.

    P is the sum of the squared magnitudes of the spectra of all Hann windows within the pauses, half a window apart,
    and of the rounding to 16 bits. A window has the whole number of periods K of the frame rate that is nearest to
    160 ms, at least 4. Added noise gives about 0 dB, and a comb with R times the power of the noise of the pause
    10 log10(1 + R K / 1.5), as the window spreads a line over 1.5 bins: 10.7 dB for R = 1 and 100 frames per second.

    Args:
      reference: [time] or [time, channels]; channels are averaged. Pauses are those of this signal only.
      degraded: the same shape.
      sample_rate: Hz.
      frame_rate: Hz.

    Raises:
      MetricError: the reference has no pause as long as a window, or the sample rate is too low for the frame rate.
    """
    ref, deg = (mono(x) for x in pair(reference, degraded))
    periods = max(LEAST_PERIODS, round(WINDOW_SECONDS * frame_rate))
    size = round(periods * sample_rate / frame_rate)
    if 2 * periods > size // 2:
        raise MetricError(f"comb is not defined: frames at {frame_rate:g} Hz at a sample rate of {sample_rate} Hz")
    starts = [s for start, end in pauses(ref, sample_rate) for s in range(start, end - size + 1, size // 2)]
    if not starts:
        raise MetricError(f"comb is not defined: the original has no pause of {size / sample_rate:.2g} s")
    levels = [line_level(_power(signal, starts, size), periods) for signal in (deg, ref)]
    return float(np.clip(levels[0] - levels[1], -LIMIT_DB, LIMIT_DB))


def _power(signal: np.ndarray, starts: list[int], size: int) -> np.ndarray:
    """Sum of the power spectra of the windows of a signal [time] that begin at `starts`, [size // 2 + 1]."""
    window = _hann(size)
    total = np.full(size // 2 + 1, len(starts) * _ROUNDING * np.sum(window**2))
    for start in starts:
        total += np.abs(np.fft.rfft(signal[start : start + size] * window)) ** 2
    return total


@functools.lru_cache(maxsize=8)
def _hann(size: int) -> np.ndarray:
    """The periodic Hann window [size], for which a line is 0 two bins from its own and beyond."""
    return np.hanning(size + 1)[:-1]

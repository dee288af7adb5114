"""Preservation of attacks: a log-mel distance over the onsets of sounds, and over everything else.

Codecs smear abrupt sounds, and averages over a whole file hide it because attacks are rare. Onsets are peaks of the
spectral flux of the reference (Bello et al., "A tutorial on onset detection in music signals", 2005; librosa's flux of
mel bands in dB and its peak picking, after Boeck et al., 2012), moved back to the preceding minimum of the flux.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from codax.dsp.distances import rms
from codax.metrics.distances import magnitudes
from codax.metrics.signals import MetricError, mono, pair

BANDS = 40  # mel, Slaney's, 0 Hz to half the sample rate
HOP_SECONDS = 0.005  # the window is four hops long
RANGE_DB = 60.0  # dynamic range below the reference's loudest band; softer bands are raised to its lower end
BEFORE_SECONDS, AFTER_SECONDS = 0.01, 0.05  # extent of an attack around its onset; pre-echo is before it
_FLUX_WINDOW_SECONDS = 0.032
_LEAST_DB = 0.1  # smallest flux of a peak: in a stationary signal rounding causes peaks


@dataclasses.dataclass(frozen=True)
class Onsets:
    """Onsets of a signal: times in seconds, and strengths, the flux at the peak in dB per band; both [onsets]."""

    seconds: np.ndarray
    strength: np.ndarray


def find(signal: np.ndarray, sample_rate: int) -> Onsets:
    """Onsets of a signal [time]."""
    import librosa

    hop = round(HOP_SECONDS * sample_rate)
    window = round(_FLUX_WINDOW_SECONDS * sample_rate)
    flux = librosa.onset.onset_strength(
        y=signal, sr=sample_rate, hop_length=hop, n_fft=window, n_mels=BANDS, pad_mode="reflect"
    )
    peaks = librosa.onset.onset_detect(onset_envelope=flux, sr=sample_rate, hop_length=hop)
    peaks = peaks[flux[peaks] > _LEAST_DB]
    starts = librosa.onset.onset_backtrack(peaks, flux) if len(peaks) else peaks
    return Onsets(starts * hop / sample_rate, flux[peaks])


def weights(onsets: Onsets, seconds: np.ndarray) -> np.ndarray:
    """Weights of frames at the given times [frames]: the strength of the frame's onset, 0 outside of attacks.

    Where attacks overlap, the stronger onset counts.
    """
    since = seconds[:, None] - onsets.seconds[None]
    # Half a sample of tolerance, so that rounding does not exclude frames at the edge of an attack.
    inside = (since >= -BEFORE_SECONDS - 1e-5) & (since <= AFTER_SECONDS + 1e-5)
    return np.max(np.where(inside, onsets.strength[None], 0.0), axis=1, initial=0.0)


def frame_distances(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> np.ndarray:
    """Root mean square difference of the mel bands of two signals [time] in dB, [frames], every 5 ms."""
    import librosa

    window = 4 * round(HOP_SECONDS * sample_rate)
    filters = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=BANDS, dtype=np.float64).T
    filters = filters[:, filters.max(axis=0) > 0]  # the window is too short for the lowest bands
    a, b = (magnitudes(x[:, None], window)[0] @ filters for x in (reference, estimate))
    floor = a.max() * 10 ** (-RANGE_DB / 20)
    return rms(20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor)))


def onset_distance(reference: np.ndarray, degraded: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Log-mel distances over attacks and over the rest.

    Args:
      reference: [time] or [time, channels]; channels are averaged. Onsets are detected in it only.
      degraded: the same shape.
      sample_rate: Hz.

    Returns:
      "onset_distance", dB, the mean of `frame_distances` over the frames from 10 ms before to 50 ms after an onset,
      weighted by its strength; "steady_distance", dB, their plain mean over all other frames.

    Raises:
      MetricError: the reference is silent or has no onset, or attacks cover all of it.
    """
    ref, deg = (mono(x) for x in pair(reference, degraded))
    if not ref.any():
        raise MetricError("onset distance is not defined: the reference is silent")
    distances = frame_distances(ref, deg, sample_rate)
    hop = round(HOP_SECONDS * sample_rate)
    weight = weights(find(ref, sample_rate), np.arange(len(distances)) * hop / sample_rate)
    if not weight.any() or weight.all():
        raise MetricError(f"onset distance is not defined: {'all' if weight.any() else 'none'} of it is an attack")
    return {
        "onset_distance": float(np.average(distances, weights=weight)),
        "steady_distance": float(np.mean(distances[weight == 0])),
    }

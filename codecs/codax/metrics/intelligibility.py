"""STOI, ESTOI, PESQ and DNSMOS of mono speech at 16 kHz, computed by the packages pystoi, pesq and speechmos.

PESQ is computed by the ITU's reference code; its wide-band (P.862.2) and narrow-band scores (P.862.1) are on different
scales and not comparable.
"""

from __future__ import annotations

import warnings

import numpy as np

from codax.metrics.signals import MetricError, mono, optional, pair

SAMPLE_RATE = 16_000  # Hz, for all functions here


def stoi(reference: np.ndarray, degraded: np.ndarray, *, extended: bool = False) -> float:
    """Short-time objective intelligibility, about 0 to 1 (Taal et al., 2011).

    Args:
      reference: [time] or [time, channels] at 16 kHz; channels are averaged.
      degraded: the same shape.
      extended: ESTOI (Jensen and Taal, 2016), which is also sensitive to modulated noise.

    Raises:
      MetricError: less than 0.4 s remain after removing silent frames, or pystoi is missing.
    """
    module = optional("pystoi", "metrics")
    ref, deg = pair(reference, degraded)
    with warnings.catch_warnings():
        # pystoi returns 1e-5 with a warning if there is too little speech; as a score it would distort every mean.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            value = float(module.stoi(mono(ref), mono(deg), SAMPLE_RATE, extended=extended))
        except (RuntimeWarning, ValueError, IndexError) as error:
            raise MetricError("STOI needs at least 0.4 s of speech that is not silent") from error
    return value


def pesq(reference: np.ndarray, degraded: np.ndarray, *, wide_band: bool = True) -> float:
    """PESQ, mean opinion score 1.0 to about 4.6.

    Args:
      reference: [time] or [time, channels] at 16 kHz; channels are averaged.
      degraded: the same shape.
      wide_band: P.862.2 (50 to 7000 Hz); otherwise P.862 with the mapping of P.862.1.

    Raises:
      MetricError: no speech is detected, the signal is too short, or the pesq package is missing.
    """
    module = optional("pesq", "metrics")
    ref, deg = pair(reference, degraded)
    ref, deg = mono(ref).astype(np.float32), mono(deg).astype(np.float32)
    if not ref.any() or not deg.any():  # the C code divides by the peak of the two
        raise MetricError("PESQ is not defined: a signal is silent")
    try:
        return float(module.pesq(SAMPLE_RATE, ref, deg, "wb" if wide_band else "nb"))
    except (module.PesqError, ValueError) as error:
        reason = error.args[0] if error.args else type(error).__name__
        reason = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise MetricError(f"PESQ: {reason}") from error


def dnsmos(degraded: np.ndarray) -> dict[str, float]:
    """DNSMOS: predicted opinion scores of a signal without reference, 1 to 5.

    DNSMOS P.835 (Reddy et al., 2022: overall, speech and background) and P.808 (2021), averaged over windows of 9 s
    with a step of 1 s. Shorter signals are repeated to fill one window.

    Args:
      degraded: [time] or [time, channels] at 16 kHz; channels are averaged, samples beyond full scale are clipped.

    Returns:
      Values by key: "dnsmos", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808".

    Raises:
      MetricError: the signal is silent, or the speechmos package is missing.
    """
    module = optional("speechmos.dnsmos", "metrics")
    _, signal = pair(degraded, degraded)
    signal = np.clip(mono(signal), -1, 1).astype(np.float32)
    if not signal.any():
        raise MetricError("DNSMOS is not defined: the signal is silent")
    scores = module.run(signal, SAMPLE_RATE)
    names = {"dnsmos": "ovrl_mos", "dnsmos_sig": "sig_mos", "dnsmos_bak": "bak_mos", "dnsmos_p808": "p808_mos"}
    return {key: float(scores[name]) for key, name in names.items()}

"""The two mandatory anchors of Recommendation ITU-R BS.1534-3: the reference, low-passed at 3.5 kHz and at 7 kHz.

The mask of the 3.5 kHz filter: ripple within +-0.1 dB up to 3.5 kHz, at least 25 dB down at 4 kHz and 50 dB at 4.5 kHz.
The 7 kHz filter has the same widths: 25 dB at 7.5 kHz and 50 dB at 8 kHz. A symmetric FIR meets it with room to spare;
its delay of half its length is taken out, so that an anchor is aligned with the reference to the sample.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from codax.errors import CodaxError

EDGES = {"anchor35": 3500.0, "anchor70": 7000.0}  # Hz: end of the pass band
_WIDTH = 500.0  # Hz, to the stop band
_ATTENUATION = 70.0  # dB; a window design's ripple is then below 0.003 dB


def lowest_rate(name: str) -> float:
    """Hz that the sample rate has to exceed for this anchor."""
    return 2 * (EDGES[name] + _WIDTH)


def anchor_filter(name: str, rate: int) -> np.ndarray:
    """Taps [odd length] of the linear-phase low-pass: Kaiser window, half of the gain between pass and stop band.

    Args:
      name: "anchor35" or "anchor70".
      rate: Hz.

    Raises:
      CodaxError: the rate is too low to hold the filter's stop band.
    """
    if rate <= lowest_rate(name):
        raise CodaxError(
            f"{rate} Hz is too low for the {EDGES[name] / 1000:g} kHz anchor, which needs more than "
            f"{lowest_rate(name):g} Hz"
        )
    taps, beta = signal.kaiserord(_ATTENUATION, _WIDTH / (rate / 2))
    window = ("kaiser", beta)
    designed = signal.firwin(taps | 1, EDGES[name] + _WIDTH / 2, window=window, fs=rate)  # pyright: ignore[reportArgumentType]
    return np.asarray(designed)


def anchor(name: str, audio: np.ndarray, rate: int) -> np.ndarray:
    """The anchor of a reference [time, channels] at `rate` Hz: float32, of the same shape and without delay."""
    taps = anchor_filter(name, rate)
    # "full" and cut by hand: "same" takes the middle of the longer input, which for short signals is the filter.
    filtered = signal.fftconvolve(np.asarray(audio, np.float64), taps[:, None], mode="full", axes=0)
    start = len(taps) // 2
    return filtered[start : start + len(audio)].astype(np.float32)

"""The two mandatory anchors of Recommendation ITU-R BS.1534-3: the reference, low-passed at 3.5 kHz and at 7 kHz.

Specification of the 3.5 kHz filter: ripple within +-0.1 dB up to 3.5 kHz, attenuation of at least 25 dB at 4 kHz and
50 dB at 4.5 kHz. The 7 kHz filter has the same transition widths: 25 dB at 7.5 kHz and 50 dB at 8 kHz. A symmetric FIR
filter satisfies it easily; its delay of half its length is removed, so that an anchor is sample-aligned with the
reference.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from codax.audio.arrays import as_floats
from codax.errors import CodaxError

EDGES = {"anchor35": 3500.0, "anchor70": 7000.0}  # Hz: end of the pass band
_WIDTH = 500.0  # Hz, from pass band to stop band
_ATTENUATION = 70.0  # dB; the ripple of the window design is then below 0.003 dB


def lowest_rate(name: str) -> float:
    """Sample rate in Hz that must be exceeded for this anchor."""
    return 2 * (EDGES[name] + _WIDTH)


def anchor_filter(name: str, rate: int) -> np.ndarray:
    """Taps [odd length] of the linear-phase low-pass filter: Kaiser window, -6 dB midway between the two bands.

    Args:
      name: "anchor35" or "anchor70".
      rate: Hz.

    Raises:
      CodaxError: the rate is too low for the filter's stop band.
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
    # "full" is cropped here, because "same" keeps the centre of the longer input, which can be the filter.
    filtered = signal.fftconvolve(as_floats(audio, np.float64), taps[:, None], mode="full", axes=0)
    start = len(taps) // 2
    return filtered[start : start + len(audio)].astype(np.float32)

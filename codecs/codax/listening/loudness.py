"""Integrated loudness of Recommendation ITU-R BS.1770-4: K-weighting, 400 ms blocks, absolute and relative gate.

The Recommendation tabulates the two filters for 48 kHz only. Their analogue prototypes, recovered from those tables,
are transformed again for other rates; from 16 kHz on the weighting at 1 kHz is the same within 0.05 dB.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import signal

BLOCK = 0.4  # s
STEP = 0.1  # s: blocks overlap by 75 %
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU below the loudness of what passes the absolute gate
_OFFSET = -0.691  # dB: makes up for the K-weighting's gain at 997 Hz

# The shelf that stands for the head, and the high-pass (RLB): frequency in Hz, quality.
_SHELF_HZ, _SHELF_Q, _SHELF_DB = 1681.974450955533, 0.7071752369554196, 3.999843853973347
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
# How the shelf's gain is shared between its middle and top; 0.5 would be the usual second-order shelf.
_SHELF_MIDDLE = 0.4996667741545416


def k_weighting(rate: float) -> np.ndarray:
    """Second-order sections [2, 6] of the K-weighting at `rate` Hz: shelf, then high-pass (tables 1 and 2)."""
    k = math.tan(math.pi * _SHELF_HZ / rate)
    top = 10 ** (_SHELF_DB / 20)
    middle = top**_SHELF_MIDDLE
    a0 = 1 + k / _SHELF_Q + k * k
    shelf = [
        (top + middle * k / _SHELF_Q + k * k) / a0,
        2 * (k * k - top) / a0,
        (top - middle * k / _SHELF_Q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / _SHELF_Q + k * k) / a0,
    ]
    k = math.tan(math.pi * _HIGH_PASS_HZ / rate)
    a0 = 1 + k / _HIGH_PASS_Q + k * k
    # The table's numerator, (1, -2, 1), has a gain of 1.005 in the pass band. It belongs to the standard at every rate.
    k48 = math.tan(math.pi * _HIGH_PASS_HZ / 48_000)
    gain = (1 + k48 / _HIGH_PASS_Q + k48 * k48) / a0
    high_pass = [gain, -2 * gain, gain, 1.0, 2 * (k * k - 1) / a0, (1 - k / _HIGH_PASS_Q + k * k) / a0]
    return np.array([shelf, high_pass])


def block_powers(audio: np.ndarray, rate: int) -> np.ndarray:
    """Mean squares of the K-weighted signal, added over channels, in blocks of 400 ms every 100 ms.

    Args:
      audio: [time, channels], mono or stereo (both have weight 1).
      rate: Hz.

    Returns:
      [blocks]; a signal of less than 400 ms has none.
    """
    weighted = np.asarray(signal.sosfilt(k_weighting(rate), np.asarray(audio, np.float64), axis=0))
    energy = np.concatenate([[0.0], np.cumsum((weighted**2).sum(axis=1))])
    size = round(BLOCK * rate)
    count = 1 + int((len(weighted) - size) / (STEP * rate)) if len(weighted) >= size else 0
    starts = np.round(np.arange(count) * STEP * rate).astype(int)
    return (energy[starts + size] - energy[starts]) / size


def integrated_loudness(audio: np.ndarray, rate: int) -> float:
    """Gated loudness in LUFS of [time, channels] at `rate` Hz; -inf for silence and for less than 400 ms."""
    powers = block_powers(audio, rate)
    powers = powers[powers > _power(ABSOLUTE_GATE)]
    if len(powers) == 0:
        return -math.inf
    powers = powers[powers > _power(_lufs(powers.mean()) + RELATIVE_GATE)]
    return _lufs(powers.mean())


def _lufs(power: float) -> float:
    return _OFFSET + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return 10 ** ((lufs - _OFFSET) / 10)

"""Integrated loudness of Recommendation ITU-R BS.1770-4: K-weighting, 400 ms blocks, absolute and relative gate."""

from __future__ import annotations

import math

import numpy as np

BLOCK = 0.4  # s
STEP = 0.1  # s: blocks overlap by 75 %


def integrated_loudness(audio: np.ndarray, rate: int) -> float:
    """Gated loudness in LUFS, by pyloudnorm; -inf for silence and for less than 400 ms.

    The Recommendation tabulates its filters for 48 kHz only. Those of other rates come from the same analogue
    prototypes (De Man, "Evaluation of implementations of the EBU R128 loudness measurement", 2018); from 16 kHz on the
    weighting at 1 kHz is the same within 0.05 dB.

    Args:
      audio: [time, channels], mono or stereo (both have weight 1).
      rate: Hz.
    """
    import pyloudnorm

    if len(audio) < BLOCK * rate:
        return -math.inf
    # An incomplete last block does not count, but pyloudnorm rounds the number of blocks.
    steps = int((len(audio) - BLOCK * rate) / (STEP * rate) + 1e-9)
    whole = np.asarray(audio[: round((BLOCK + steps * STEP) * rate)], np.float64)
    meter = pyloudnorm.Meter(rate, filter_class="DeMan", block_size=BLOCK, overlap=1 - STEP / BLOCK)
    return float(meter.integrated_loudness(whole))

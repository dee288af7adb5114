"""Mel filter banks."""

from __future__ import annotations

import functools
import warnings

import numpy as np


@functools.lru_cache(maxsize=64)
def mel_matrix(
    sample_rate: int,
    window: int,
    mels: int,
    *,
    min_hz: float = 0.0,
    htk: bool = False,
    keep_empty: bool = False,
    equal_area: bool = False,
) -> np.ndarray:
    """Returns triangular mel filters from `min_hz` to half of the sample rate, float32 [window // 2 + 1, filters].

    Each filter has peak 1, or area 1 with `equal_area`. Short windows cannot resolve the lowest filters: those without
    a bin are omitted, so that `filters <= mels`, or kept as columns of zeros with `keep_empty`. The mel scale is
    Slaney's, or HTK's with `htk`.
    """
    import librosa

    norm = "slaney" if equal_area else None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # librosa warns of empty filters
        bank = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=mels, fmin=min_hz, htk=htk, norm=norm)
    return np.ascontiguousarray((bank if keep_empty else bank[bank.max(axis=1) > 0]).T.astype(np.float32))

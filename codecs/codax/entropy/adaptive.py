"""Frequencies of codes that adapt to what was coded, for models without a language model.

Each column (a quantizer of a stream) has a count of each code. It starts from how often training used the code, which
the codebook's running counts tell, and grows with each code that is seen. Integers decide everything after the start.
"""

from __future__ import annotations

import numpy as np

from codax.entropy import rans
from codax.entropy.coding import state_intervals
from codax.storage.digests import sha256

_LARGEST = 4096  # initial weight of the code that training used most
_GAIN = 64  # weight of a code that was seen
_REFRESH = 16  # frames from one update of the frequencies to the next


class AdaptiveModel:
    """The model of `codax.entropy.coding`.

    Args:
      counts: float [levels, symbols] >= 0, how often training used each code.
      streams: coded side by side.
    """

    def __init__(self, counts: np.ndarray, streams: int) -> None:
        # Single divisions, products and floors are the same on every machine; sums of floats would not be.
        counts = np.asarray(counts, np.float64)
        largest = np.maximum(counts.max(axis=1, keepdims=True), 1e-30)
        weights = np.maximum(np.floor(counts / largest * _LARGEST), 1).astype(np.int64)
        self._weights = np.tile(weights, (streams, 1))  # [columns, symbols]
        self.digest = sha256(weights.astype("<i8")).digest()[:8]

    @property
    def columns(self) -> int:
        """Codes of a frame: streams times levels."""
        return len(self._weights)

    def start(self, lanes: int) -> AdaptiveState:
        """The state at the beginning of so many blocks."""
        return AdaptiveState(np.repeat(self._weights[None], lanes, axis=0))

    def intervals(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each code of whole blocks lies; see `coding.Model`."""
        return state_intervals(self.start(len(codes)), codes)


class AdaptiveState:
    """Weights [lanes, columns, symbols] of blocks that are coded side by side."""

    def __init__(self, weights: np.ndarray) -> None:
        self._weights = weights
        self._frames = 0
        self._cumulated = np.zeros(0, np.int64)

    def cumulated(self) -> np.ndarray:
        """Cumulated frequencies of the next frame's codes: int64 [lanes, columns, symbols + 1]."""
        if self._frames % _REFRESH == 0:
            self._cumulated = rans.cumulate(rans.quantize(self._weights))
        return self._cumulated

    def push(self, codes: np.ndarray) -> None:
        """Takes a frame of codes, integers [lanes, columns]."""
        lanes, columns = np.indices(codes.shape)
        self._weights[lanes, columns, codes] += _GAIN
        self._frames += 1

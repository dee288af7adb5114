"""Adaptive code frequencies, for models without a language model.

Each column (a quantizer of a stream) has a weight for each code. The weights start from the code usage in training
(the codebook's EMA counts) and grow with each coded frame. After the initialisation all arithmetic is integer.
"""

from __future__ import annotations

import numpy as np

from codax.entropy import rans
from codax.entropy.coding import state_intervals
from codax.storage.digests import sha256

_LARGEST = 4096  # initial weight of the most frequent code
_GAIN = 64  # weight added for a coded symbol
_REFRESH = 16  # frames between updates of the frequencies


class AdaptiveModel:
    """Adaptive implementation of `codax.entropy.coding.Model`.

    Args:
      counts: float [levels, symbols] >= 0, the usage of each code in training.
      streams: number of streams in a frame.
    """

    def __init__(self, counts: np.ndarray, streams: int) -> None:
        # Single divisions, products and floors give the same result on every machine; float sums may not.
        counts = np.asarray(counts, np.float64)
        largest = np.maximum(counts.max(axis=1, keepdims=True), 1e-30)
        weights = np.maximum(np.floor(counts / largest * _LARGEST), 1).astype(np.int64)
        self._weights = np.tile(weights, (streams, 1))  # [columns, symbols]
        self.digest = sha256(weights.astype("<i8")).digest()[:8]

    @property
    def columns(self) -> int:
        """Codes per frame: streams times levels."""
        return len(self._weights)

    def start(self, lanes: int) -> AdaptiveState:
        """The initial state of `lanes` blocks."""
        return AdaptiveState(np.repeat(self._weights[None], lanes, axis=0))

    def intervals(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The interval of each code of whole blocks; see `coding.Model`."""
        return state_intervals(self.start(len(codes)), codes)


class AdaptiveState:
    """Weights [lanes, columns, symbols] of blocks that are coded in parallel."""

    def __init__(self, weights: np.ndarray) -> None:
        self._weights = weights
        self._frames = 0
        self._cumulated = np.zeros(0, np.int64)

    def cumulated(self) -> np.ndarray:
        """Cumulative frequencies of the next frame's codes: int64 [lanes, columns, symbols + 1]."""
        if self._frames % _REFRESH == 0:
            self._cumulated = rans.cumulate(rans.quantize(self._weights))
        return self._cumulated

    def push(self, codes: np.ndarray) -> None:
        """Updates the weights with a frame of codes, integers [lanes, columns]."""
        lanes, columns = np.indices(codes.shape)
        self._weights[lanes, columns, codes] += _GAIN
        self._frames += 1

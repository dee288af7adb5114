"""Speaker similarity by WavLM: cosine of the x-vectors of two signals (`codax.teachers.xvector`)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from codax.errors import CodaxError
from codax.metrics.signals import MetricError, mono

if TYPE_CHECKING:
    from codax.teachers.xvector import XVectors

SAMPLE_RATE = 16_000  # Hz
MODEL, VARIABLE = "microsoft/wavlm-base-plus-sv", "CODAX_WAVLM_SV"


@functools.cache
def network() -> XVectors:
    """The network. Raises MetricError: its weights are not on this machine, or damaged."""
    from codax.teachers.folders import local_folder
    from codax.teachers.xvector import XVectors

    try:
        return XVectors(local_folder(MODEL, VARIABLE))
    except CodaxError as error:
        raise MetricError(f"speaker similarity by WavLM: {error}") from error


class Similarity:
    """Cosine of the embeddings of two signals float [time, channels] at 16 kHz: -1 to 1.

    The embedding of the latest original is kept, because every system is compared with it.
    """

    def __init__(self) -> None:
        self._original: np.ndarray | None = None
        self._embedding = np.zeros(0)

    def __call__(self, original: np.ndarray, degraded: np.ndarray) -> float:
        if original is not self._original:
            self._embedding, self._original = _direction(original), original
        return float(self._embedding @ _direction(degraded))


def _direction(audio: np.ndarray) -> np.ndarray:
    if not audio.any():
        raise MetricError("silence has no speaker")
    embedding = network()(mono(audio))
    return embedding / np.linalg.norm(embedding)

"""The cases to time, in terms that every side understands."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Model:
    """Shape of a codec's signals, and its number of quantizers in these measurements."""

    sample_rate: int
    channels: int
    hop: int
    levels: int


# EnCodec: the usual rates for speech and music (6 kbps at 24 kHz, 12 at 48 kHz); the others: their default.
MODELS = {
    "encodec_24khz": Model(24_000, 1, 320, 8),
    "encodec_48khz": Model(48_000, 2, 320, 8),
    "mimi_24khz": Model(24_000, 1, 1920, 8),
    "speechtokenizer_16khz": Model(16_000, 1, 320, 8),
    "dac_44khz": Model(44_100, 1, 512, 9),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One case: `task` is "encode", "decode", "stream" (encode and decode a frame) or "train" (a complete step)."""

    model: str
    task: str
    seconds: float
    batch: int = 1
    levels: int | None = None  # quantizers; None = those in `MODELS`
    dtype: str = "float32"  # of a training step's networks; "bfloat16" = mixed precision
    pieces: int = 1  # microbatches of a training step in codax (memory.accumulate)

    @property
    def shape(self) -> Model:
        """Shape of the model's signals."""
        return MODELS[self.model]

    @property
    def used(self) -> int:
        """Number of quantizers."""
        return self.levels or self.shape.levels

    @property
    def name(self) -> str:
        """Name in tables and files."""
        levels = f", {self.levels} levels" if self.levels else ""
        mixed = "" if self.dtype == "float32" else f", {self.dtype}"
        pieces = "" if self.pieces == 1 else f", {self.pieces} pieces"
        return f"{self.model} {self.task} {self.batch} x {self.seconds:g} s{levels}{mixed}{pieces}"

    def audio(self) -> np.ndarray:
        """Noise with a slow envelope, float32 [batch, time, channels]: whole hops, the same on every side."""
        samples = max(1, round(self.seconds * self.shape.sample_rate / self.shape.hop)) * self.shape.hop
        noise = np.random.default_rng(0).standard_normal((self.batch, samples, self.shape.channels), np.float32)
        return 0.1 * noise * (1 + np.sin(np.arange(samples, dtype=np.float32) / 4000))[None, :, None]

    def codes(self, entries: int = 1024) -> np.ndarray:
        """Codes int32 [batch, frames, levels] to decode."""
        frames = self.audio().shape[1] // self.shape.hop
        return np.random.default_rng(1).integers(0, entries, (self.batch, frames, self.used)).astype(np.int32)


def folder_of(weights: Path, model: str, side: str) -> Path:
    """Folder of a model's weights in the format of a side."""
    return weights / model / side

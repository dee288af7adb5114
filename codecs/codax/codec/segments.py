"""Coding segment by segment; for models without segments the whole signal is a single one."""

from __future__ import annotations

import numpy as np

from codax.audio.segments import Cutter, OverlapAdder, bounds
from codax.codec.checks import checked_denoise, checked_levels, checked_next, checked_piece
from codax.codec.engine import Engine
from codax.dsp.distances import rms_scale
from codax.errors import CodaxError


class SegmentEncoder:
    """Encodes segment by segment; see `codax.codec.coder.Coder`.

    Attributes:
      scales: float32 [batch, segments so far], by which each was divided; None if the model does not normalise.
    """

    def __init__(
        self, engine: Engine, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> None:
        self._engine, self._batch = engine, batch
        self._denoise = checked_denoise(engine.config, denoise)
        self._levels = checked_levels(engine.config, num_quantizers)
        self._cutter = Cutter(*engine.config.segment)
        self.scales = np.zeros((batch, 0), np.float32) if engine.config.model.normalize else None

    def push(self, audio: np.ndarray) -> np.ndarray:
        """Takes audio float32 [batch, time, channels]; codes complete segments to int32 [batch, frames, quantizers]."""
        return self._codes(self._cutter.push(checked_piece(self._engine.config, audio, self._batch)))

    def finish(self, audio: np.ndarray | None = None) -> np.ndarray:
        """Returns the codes of the audio held back and of an optional last piece."""
        done = [] if audio is None else [self.push(audio)]
        return np.concatenate([*done, self._codes(self._cutter.finish())], axis=1)

    def _codes(self, segments: list[np.ndarray]) -> np.ndarray:
        parts = [np.zeros((self._batch, 0, self._levels), np.int32)]
        for segment in segments:
            if self.scales is None:
                normalized = segment
            else:
                scale = rms_scale(segment)
                self.scales = np.concatenate([self.scales, scale[:, None]], axis=1)
                normalized = segment / scale[:, None, None]
            parts.append(self._engine.encode_piece(normalized, self._denoise, self._levels))
        return np.concatenate(parts, axis=1)


class SegmentDecoder:
    """Decodes segment by segment; see `codax.codec.coder.Coder`."""

    def __init__(
        self,
        engine: Engine,
        *,
        length: int,
        frames: int,
        scales: np.ndarray | None = None,
        batch: int = 1,
        denoise: bool = False,
    ) -> None:
        """Checks that the arguments match before anything is decoded.

        Args:
          length: samples of each signal at the model's rate.
          frames: number of frames of all segments together.
          scales: as in `codax.Tokens`.

        Raises:
          CodaxError: a signal of this length has another number of frames or scales.
        """
        checked_denoise(engine.config, denoise)
        segment, stride = engine.config.segment
        # Reject an impossible length of a damaged file before the list of its segments fills the memory.
        if segment and length > frames * engine.config.hop:
            raise CodaxError(f"{frames} frames of codes: too few for {length} samples")
        hop = engine.config.hop
        parts = [-(-(stop - start) // hop) for start, stop in bounds(length, segment, stride)] if segment else [frames]
        if sum(parts) != frames:
            raise CodaxError(f"{frames} frames of codes: {length} samples have {sum(parts)}")
        shape = None if scales is None else scales.shape
        if shape != ((batch, len(parts)) if engine.config.model.normalize else None):
            expected = f"[{batch}, {len(parts)}]" if engine.config.model.normalize else "None"
            raise CodaxError(f"scales must be {expected}, got {shape}")
        if scales is not None and not np.isfinite(scales).all():
            raise CodaxError("scales must be finite")
        self._engine, self._denoise, self.scales = engine, denoise, scales
        self._parts, self._next = parts, 0
        self._adder = OverlapAdder(stride) if segment else None
        self._held: list[np.ndarray] = []
        self._empty = np.zeros((batch, 0, engine.config.model.audio_channels), np.float32)

    def push(self, codes: np.ndarray) -> np.ndarray:
        """Takes codes int32 [batch, frames, quantizers]; returns new final audio, float32 [batch, time, channels]."""
        held = self._held[0] if self._held else None
        codes = checked_next(self._engine.config, codes, len(self._empty), held)
        if not codes.shape[1]:
            return self._empty
        self._held.append(codes)
        done = [self._empty]
        if self._next == len(self._parts) or sum(p.shape[1] for p in self._held) < self._parts[self._next]:
            return self._empty
        held = np.concatenate(self._held, axis=1)
        while self._next < len(self._parts) and held.shape[1] >= (count := self._parts[self._next]):
            audio = self._engine.decode_piece(held[:, :count], self._denoise)
            if self.scales is not None:
                audio = audio * self.scales[:, self._next, None, None]
            done.append(self._adder.push(audio) if self._adder else audio)
            held, self._next = held[:, count:], self._next + 1
        self._held = [held] if held.shape[1] else []
        return np.concatenate(done, axis=1)

    def finish(self, codes: np.ndarray | None = None) -> np.ndarray:
        """Returns the remaining audio, also of an optional last piece of codes: whole frames, not cut to length."""
        done = [self._empty if codes is None else self.push(codes)]
        if self._adder and self._next:
            done.append(self._adder.finish())
        return np.concatenate(done, axis=1)

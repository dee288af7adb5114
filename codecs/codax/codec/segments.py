"""Coding segment by segment, for models that work in segments; for others the whole signal is a single segment."""

from __future__ import annotations

import numpy as np

from codax.audio.segments import Cutter, OverlapAdder, bounds
from codax.codec.checks import checked_codes, checked_denoise, checked_levels
from codax.codec.engine import Engine
from codax.dsp.distances import rms_scale
from codax.errors import CodaxError


class SegmentEncoder:
    """Encodes segment by segment; see `codax.codec.coder.Coder`.

    Attributes:
      scales: float32 [batch, segments so far], what each was divided by, of a model that normalises; else None.
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
        """Audio float32 [batch, time, channels] -> int32 [batch, frames, quantizers] of the segments now complete."""
        return self._codes(self._cutter.push(audio))

    def finish(self, audio: np.ndarray | None = None) -> np.ndarray:
        """Codes of the audio still held back and of a last piece of audio."""
        segments = self._cutter.push(audio) if audio is not None else []
        return self._codes(segments + self._cutter.finish())

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
        """Checks that everything fits together before anything is decoded.

        Args:
          length: of the signal, samples at the model's rate.
          frames: of all segments together.
          scales: as in `codax.Tokens`.

        Raises:
          CodaxError: the frames or the scales are not those of a signal of that length.
        """
        checked_denoise(engine.config, denoise)
        segment, stride = engine.config.segment
        # Fewer segments than frames, so a length from a damaged file cannot fill the memory here.
        if segment and length > frames * engine.config.hop:
            raise CodaxError(f"{frames} frames of codes: too few for {length} samples")
        hop = engine.config.hop
        parts = [-(-(stop - start) // hop) for start, stop in bounds(length, segment, stride)] if segment else [frames]
        if sum(parts) != frames:
            raise CodaxError(f"{frames} frames of codes: {length} samples have {sum(parts)}")
        found = None if scales is None else scales.shape
        if found != ((batch, len(parts)) if engine.config.model.normalize else None):
            wanted = f"[{batch}, {len(parts)}]" if engine.config.model.normalize else "None"
            raise CodaxError(f"scales must be {wanted}, got {found}")
        self._engine, self._denoise, self.scales = engine, denoise, scales
        self._parts, self._next = parts, 0
        self._adder = OverlapAdder(stride) if segment else None
        self._held: list[np.ndarray] = []
        self._nothing = np.zeros((batch, 0, engine.config.model.audio_channels), np.float32)

    def push(self, codes: np.ndarray) -> np.ndarray:
        """Codes int32 [batch, frames, quantizers] -> float32 [batch, time, channels], as much as is certain now."""
        self._held.append(checked_codes(self._engine.config, codes, len(self._nothing)))
        done = [self._nothing]
        while self._next < len(self._parts) and sum(p.shape[1] for p in self._held) >= self._parts[self._next]:
            held, count = np.concatenate(self._held, axis=1), self._parts[self._next]
            audio = self._engine.decode_piece(held[:, :count], self._denoise)
            if self.scales is not None:
                audio = audio * self.scales[:, self._next, None, None]
            done.append(self._adder.push(audio) if self._adder else audio)
            self._held, self._next = [held[:, count:]], self._next + 1
        return np.concatenate(done, axis=1)

    def finish(self, codes: np.ndarray | None = None) -> np.ndarray:
        """The rest of the audio, also of a last piece of codes; whole frames, so a little more than the length."""
        done = [self._nothing if codes is None else self.push(codes)]
        if self._adder and self._next:
            done.append(self._adder.finish())
        return np.concatenate(done, axis=1)

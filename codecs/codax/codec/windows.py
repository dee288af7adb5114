"""Coding window by window with models whose receptive field is limited on both sides of a frame.

A frame depends on at most `Engine.context_frames` frames on each side. A window with this context on both sides of its
result gives the same result as the whole signal: long signals are coded in little memory, and on a CPU the
intermediate arrays stay in its cache.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codax.codec.checks import checked_denoise, checked_levels, checked_next, checked_piece
from codax.codec.engine import Engine
from codax.errors import CodaxError
from codax.runtime.platforms import platform

_PIECE_SAMPLES = 1 << 21  # per window on accelerators, of all signals together
_CPU_PIECE_SAMPLES = 24_000  # per window on a CPU, where intermediate arrays then stay in its cache
_CONTEXTS = 8  # a window's result is at least this many times as long as the context on one side


class _Windows:
    """Runs a function over the windows of a signal [batch, time, channels] that arrives in pieces.

    All windows have the same length, so that only one is compiled, unless the signal is shorter. The first window
    begins where the signal does, and the last one ends where it ends.

    Args:
      engine: the model's engine.
      check: returns a valid piece, or raises CodaxError.
      run: maps a window to its result [batch, time in other units, channels].
      length_in: length of a frame in the signal.
      length_out: length of a frame in the result.
      empty: a result of length 0.
    """

    scales = None  # models that are run in windows do not normalise

    def __init__(
        self,
        engine: Engine,
        check: Callable[[np.ndarray], np.ndarray],
        run: Callable[[np.ndarray], np.ndarray],
        length_in: int,
        length_out: int,
        empty: np.ndarray,
    ) -> None:
        if engine.context_frames is None:
            raise CodaxError(f"model {engine.config.name} cannot be run in windows: each frame depends on all others")
        self._check, self._run = check, run
        self._length_in, self._length_out, self._empty = length_in, length_out, empty
        self._context = engine.context_frames
        at_once = _CPU_PIECE_SAMPLES if platform() == "cpu" else _PIECE_SAMPLES
        self._size = max(_CONTEXTS * self._context, at_once // (engine.config.hop * len(empty)), 1)
        self._held: np.ndarray | None = None  # the part of the signal that is still needed
        self._start = 0  # first frame of `_held`
        self._done = 0  # frames whose result has been returned

    def push(self, piece: np.ndarray) -> np.ndarray:
        """Returns the result of the frames whose context this piece completes."""
        piece = self._check(piece)
        if not piece.shape[1]:
            return self._empty
        held = self._held = piece if self._held is None else np.concatenate([self._held, piece], axis=1)
        parts, window = [self._empty], self._size + 2 * self._context
        whole = self._start + held.shape[1] // self._length_in
        while (begin := max(0, self._done - self._context)) + window <= whole:
            parts.append(self._result(begin, begin + window, begin + window - self._context))
        # Keep enough for the last window, which may begin as early as the one before.
        start = max(self._start, self._done - self._context - self._size)
        self._held, self._start = held[:, (start - self._start) * self._length_in :], start
        return np.concatenate(parts, axis=1)

    def finish(self, piece: np.ndarray | None = None) -> np.ndarray:
        """Returns the result of the frames held back and of an optional last piece, whose last frame may be partial."""
        parts = [self._empty if piece is None else self.push(piece)]
        end = self._start - (0 if self._held is None else -self._held.shape[1] // self._length_in)
        if end > self._done:
            parts.append(self._result(max(0, end - self._size - 2 * self._context), end, end))
        return np.concatenate(parts, axis=1)

    def _result(self, begin: int, end: int, stop: int) -> np.ndarray:
        """Runs the window of frames `begin` to `end`; returns the new part of its result up to frame `stop`."""
        assert self._held is not None
        window = self._held[:, (begin - self._start) * self._length_in : (end - self._start) * self._length_in]
        result = self._run(window)[:, (self._done - begin) * self._length_out : (stop - begin) * self._length_out]
        self._done = stop
        return result


class WindowEncoder(_Windows):
    """Encodes window by window; see `codax.codec.coder.Coder`."""

    def __init__(
        self, engine: Engine, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> None:
        checked_denoise(engine.config, denoise)
        levels = checked_levels(engine.config, num_quantizers)

        def check(audio: np.ndarray) -> np.ndarray:
            return checked_piece(engine.config, audio, batch)

        def run(audio: np.ndarray) -> np.ndarray:
            return engine.encode_piece(audio, denoise, levels)

        super().__init__(engine, check, run, engine.config.hop, 1, np.zeros((batch, 0, levels), np.int32))


class WindowDecoder(_Windows):
    """Decodes window by window; see `codax.codec.coder.Coder`."""

    def __init__(self, engine: Engine, *, batch: int = 1, denoise: bool = False) -> None:
        checked_denoise(engine.config, denoise)

        def check(codes: np.ndarray) -> np.ndarray:
            return checked_next(engine.config, codes, batch, self._held)

        def run(codes: np.ndarray) -> np.ndarray:
            return engine.decode_piece(codes, denoise)

        empty = np.zeros((batch, 0, engine.config.model.audio_channels), np.float32)
        super().__init__(engine, check, run, 1, engine.config.hop, empty)

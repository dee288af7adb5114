"""Coding a signal window by window with a model that hears a limited time around each frame, before and after it.

Convolutions that are not causal reach a known number of frames to both sides (`nets.facts.Facts.context_frames`). A
window that begins and ends so many frames beyond what is taken from it gives what the whole signal would: long signals
are coded in little memory, and on a CPU the intermediate arrays stay in its cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from codax.errors import CodaxError
from codax.nets.families import facts
from codax.runtime.platforms import platform

if TYPE_CHECKING:
    from codax.codec.codec import Codec

_PIECE_SAMPLES = 1 << 21  # of all signals together, run at once on accelerators
_CPU_PIECE_SAMPLES = 24_000  # and on a CPU, where intermediate arrays then stay in its cache
_CONTEXTS = 8  # a window gives at least so many times the context of one side


class _Windows:
    """Runs a function over the windows of a signal [batch, time, channels] that arrives in pieces.

    All windows have the same length, unless the signal is shorter, so that one is compiled: the first one begins where
    the signal does, and the last one ends where it ends.

    Args:
      codec: whose frames they are.
      run: from a window to its result [batch, time in other units, channels].
      taken: length of a frame in the signal.
      given: length of a frame in the result.
      nothing: the result of no time.
    """

    def __init__(
        self, codec: Codec, run: Callable[[np.ndarray], np.ndarray], taken: int, given: int, nothing: np.ndarray
    ) -> None:
        context = facts(codec.config.model).context_frames
        if context is None:
            raise CodaxError(f"model {codec.model_id} cannot be run in windows: each frame depends on all others")
        self._run, self._taken, self._given, self._nothing = run, taken, given, nothing
        self._context = context
        at_once = _CPU_PIECE_SAMPLES if platform() == "cpu" else _PIECE_SAMPLES
        self._size = max(_CONTEXTS * self._context, at_once // (codec.config.hop * len(nothing)), 1)
        self._held: np.ndarray | None = None  # of the signal
        self._start = 0  # frame with which that begins
        self._done = 0  # frames whose result has been given

    def push(self, piece: np.ndarray) -> np.ndarray:
        """The result of the frames whose context is complete with this piece."""
        held = self._held = piece if self._held is None else np.concatenate([self._held, piece], axis=1)
        parts, window = [self._nothing], self._size + 2 * self._context
        whole = self._start + held.shape[1] // self._taken
        while (begin := max(0, self._done - self._context)) + window <= whole:
            parts.append(self._result(begin, begin + window, begin + window - self._context))
        # The last window may begin as early as the one before.
        start = max(self._start, self._done - self._context - self._size)
        self._held, self._start = held[:, (start - self._start) * self._taken :], start
        return np.concatenate(parts, axis=1)

    def finish(self, piece: np.ndarray | None = None) -> np.ndarray:
        """The result of all that is left and of a last piece, whose last frame need not be whole."""
        parts = [self._nothing if piece is None else self.push(piece)]
        end = self._start - (0 if self._held is None else -self._held.shape[1] // self._taken)
        if end > self._done:
            parts.append(self._result(max(0, end - self._size - 2 * self._context), end, end))
        return np.concatenate(parts, axis=1)

    def _result(self, begin: int, end: int, stop: int) -> np.ndarray:
        """Runs the window of frames from `begin` to `end`; gives its result up to frame `stop`."""
        assert self._held is not None
        window = self._held[:, (begin - self._start) * self._taken : (end - self._start) * self._taken]
        result = self._run(window)[:, (self._done - begin) * self._given : (stop - begin) * self._given]
        self._done = stop
        return result


class WindowEncoder(_Windows):
    """Encodes window by window; `push` and `finish` as in `codax.codec.streaming.EncoderSession`."""

    scales = None  # such models do not normalise

    def __init__(
        self, codec: Codec, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> None:
        codec.check_denoise(denoise)
        levels = codec.checked_levels(num_quantizers or codec.config.quantizer.num_quantizers)

        def run(audio: np.ndarray) -> np.ndarray:
            return codec.encode_piece(audio, denoise, levels)

        super().__init__(codec, run, codec.config.hop, 1, np.zeros((batch, 0, levels), np.int32))


class WindowDecoder(_Windows):
    """Decodes window by window; `push` and `finish` as in `codax.codec.streaming.DecoderSession`."""

    def __init__(self, codec: Codec, *, batch: int = 1, denoise: bool = False) -> None:
        codec.check_denoise(denoise)

        def run(codes: np.ndarray) -> np.ndarray:
            return codec.decode_piece(codec.checked_codes(codes, batch), denoise)

        nothing = np.zeros((batch, 0, codec.config.model.audio_channels), np.float32)
        super().__init__(codec, run, 1, codec.config.hop, nothing)

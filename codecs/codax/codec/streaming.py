"""Stream encoders and decoders: they take chunks of any length and give the same result as offline coding.

The causal layers keep their left context in the `stream` collection (see `nets/conv.py`), which a stream carries from
call to call. A chunk is run in pieces of power-of-two numbers of frames, so that few shapes are compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from codax.codec.checks import checked_denoise, checked_levels, checked_next, checked_piece
from codax.codec.engine import Engine
from codax.errors import CodaxError
from codax.runtime.platforms import platform

LARGEST_PIECE = 256  # frames
# Pieces on a CPU are small enough for intermediate arrays to stay in its cache, and large enough to amortise reading
# the weights.
_CPU_PIECE_SAMPLES = 48_000  # at most, of all signals together
_CPU_PIECE_FRAMES = 32  # at least


class _Stream:
    """A compiled causal function with its streaming state."""

    def __init__(
        self, engine: Engine, side: str, example: jax.ShapeDtypeStruct, denoise: bool, levels: int | None = None
    ) -> None:
        config = engine.config
        if not config.model.causal:
            raise CodaxError(f"model {config.name} is not causal and cannot stream")
        self._engine, key = engine, (side, checked_denoise(config, denoise), levels)
        self._step, self._state = engine.stream_step(*key), engine.stream_state(*key, example)
        # The first piece must have `start_frames` frames.
        shortest = max(_CPU_PIECE_FRAMES, 1 << (engine.start_frames - 1).bit_length())
        at_once = _CPU_PIECE_SAMPLES // (config.hop * example.shape[0]) if platform() == "cpu" else LARGEST_PIECE
        self._largest = 1 << (max(shortest, min(at_once, LARGEST_PIECE)).bit_length() - 1)
        self._started = False
        self._finished = False
        self._sizes: set[int] = set()  # compiled numbers of frames
        self._prepared: tuple[int, ...] = ()  # the only allowed sizes, if the stream was prepared

    def _run(self, x: np.ndarray | jax.Array, valid: np.ndarray | None = None) -> np.ndarray:
        y, updated = self._step(self._engine.folded, self._state, x, valid)
        self._state = updated["stream"]
        self._started = True
        return np.asarray(y)

    def _last_size(self, frames: int) -> int:
        """Returns the size to pad a last piece to: a compiled one if possible, since padding changes nothing."""
        return min((n for n in self._sizes if n >= frames), default=1 << (frames - 1).bit_length())

    def _ready(self, frames: int) -> int:
        """Returns how many of these whole frames can be run: 0 before `start_frames` have arrived."""
        return frames if self._started or frames >= self._engine.start_frames else 0

    def _prepare(self, sizes: Iterable[int], run: Callable[[int], object]) -> None:
        """Compiles each number of frames by a run on zeros, and restricts later pieces to these."""
        if self._started:
            raise CodaxError("a stream must be prepared before it starts")
        start = self._engine.start_frames
        self._prepared = tuple(sorted({1, start, *sizes}))
        initial = jax.device_get(self._state)
        for size in (start, *self._prepared):
            run(size)
        self._state, self._started = initial, False

    def _pieces(self, frames: int) -> Iterator[tuple[int, int]]:
        """Splits a number of frames into pieces (start, stop), the longest first.

        Their lengths are powers of two, or the prepared ones.
        """
        start = 0
        while start < frames:
            left = frames - start
            if not self._prepared:
                size = min(self._largest, 1 << (left.bit_length() - 1))
            elif self._started:
                size = max(n for n in self._prepared if n <= left)
            else:
                size = self._engine.start_frames  # the only size compiled for an empty state
            yield start, start + size
            start += size

    def _check_open(self) -> None:
        if self._finished:
            raise CodaxError("this stream is finished")


class StreamEncoder(_Stream):
    """Stream encoder: `push` takes audio at the model's rate and returns the codes of all new whole frames."""

    scales = None  # models that stream do not normalise

    def __init__(
        self, engine: Engine, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> None:
        config = engine.config
        self.levels = checked_levels(config, num_quantizers)
        shape = (batch, config.hop, config.model.audio_channels)
        super().__init__(engine, "encode", jax.ShapeDtypeStruct(shape, jnp.float32), denoise, self.levels)
        self._rest = np.zeros((batch, 0, shape[2]), np.float32)

    def prepare(self, sizes: Iterable[int]) -> None:
        """Compiles these numbers of frames and uses no others, so that a live stream never waits for the compiler."""
        hop = self._engine.config.hop

        def run(frames: int) -> None:
            silence = np.zeros((len(self._rest), frames * hop, self._rest.shape[2]), np.float32)
            self._codes(silence, frames)
            self._codes(silence[:, 1:], frames)  # the last piece may be shorter

        self._prepare(sizes, run)

    def push(self, audio: np.ndarray) -> np.ndarray:
        """Takes audio float32 [batch, time, channels] of any length; returns int32 [batch, frames, quantizers].

        Audio that is rejected (see `codax.audio.arrays`) leaves the stream as it was.
        """
        hop = self._engine.config.hop
        audio = self._with_rest(audio)
        frames = self._ready(audio.shape[1] // hop)
        self._rest = audio[:, frames * hop :]
        return self._joined([self._codes(audio[:, a * hop : b * hop], b - a) for a, b in self._pieces(frames)])

    def finish(self, audio: np.ndarray | None = None) -> np.ndarray:
        """Ends the stream and returns the codes of the audio held back and of an optional last chunk.

        The last frame is padded.
        """
        hop = self._engine.config.hop
        audio = self._rest if audio is None else self._with_rest(audio)
        self._check_open()
        self._finished = True
        parts = []
        while audio.shape[1] > self._largest * hop:
            parts.append(self._codes(audio[:, : self._largest * hop], self._largest))
            audio = audio[:, self._largest * hop :]
        frames = -(-audio.shape[1] // hop)
        if frames and (not self._engine.pads_inside or self._ready(frames)):
            parts.append(self._codes(audio, self._last_size(frames))[:, :frames])
        elif frames:
            # The whole signal is too short to be reflected: it is run unpadded.
            parts.append(self._run(audio))
        return self._joined(parts)

    def _with_rest(self, audio: np.ndarray) -> np.ndarray:
        self._check_open()
        audio = checked_piece(self._engine.config, audio, len(self._rest))
        return np.concatenate([self._rest, audio], axis=1)

    def _codes(self, audio: np.ndarray, frames: int) -> np.ndarray:
        """Runs audio, padded to `frames`."""
        length = audio.shape[1]
        audio = np.pad(audio, ((0, 0), (0, frames * self._engine.config.hop - length), (0, 0)))
        self._sizes.add(frames)
        # The layers get the signal's length only if it ends here, since using it takes time.
        ends = self._engine.pads_inside and length < audio.shape[1]
        return self._run(audio, np.asarray(length, np.int32) if ends else None)

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros((self._rest.shape[0], 0, self.levels), np.int32), *parts], axis=1)


class StreamDecoder(_Stream):
    """Stream decoder: `push` takes codes and returns the audio of their frames."""

    scales = None  # models that stream do not normalise

    def __init__(self, engine: Engine, *, batch: int = 1, denoise: bool = False) -> None:
        example = jax.ShapeDtypeStruct((batch, 1, engine.config.model.dimension), jnp.float32)
        super().__init__(engine, "decode", example, denoise)
        self._batch = batch
        self._rest: np.ndarray | None = None

    def prepare(self, sizes: Iterable[int], num_quantizers: int) -> None:
        """Compiles as `StreamEncoder.prepare`, for codes of this many quantizers."""
        levels = checked_levels(self._engine.config, num_quantizers)
        self._prepare(sizes, lambda n: self._audio(np.zeros((self._batch, n, levels), np.int32), n))

    def push(self, codes: np.ndarray) -> np.ndarray:
        """Takes codes int32 [batch, frames, quantizers]; returns audio float32 [batch, frames * hop, channels].

        Models that reflect the signal's start return 0 samples until `Engine.start_frames` frames have arrived.
        """
        codes = self._with_rest(codes)
        frames = self._ready(codes.shape[1])
        self._rest = None if frames or not codes.shape[1] else codes
        return self._joined([self._audio(codes[:, a:b], b - a) for a, b in self._pieces(frames)])

    def finish(self, codes: np.ndarray | None = None) -> np.ndarray:
        """Ends the stream and returns the audio of the frames held back and of an optional last chunk."""
        codes = self._rest if codes is None else self._with_rest(codes)
        self._check_open()
        self._finished = True
        parts = []
        while codes is not None and codes.shape[1]:
            piece, codes = codes[:, : self._largest], codes[:, self._largest :]
            frames = piece.shape[1]
            # A signal that is too short to be reflected is run unpadded.
            size = self._last_size(frames) if self._ready(frames) else frames
            parts.append(self._audio(piece, size)[:, : frames * self._engine.config.hop])
        return self._joined(parts)

    def _with_rest(self, codes: np.ndarray) -> np.ndarray:
        self._check_open()
        codes = checked_next(self._engine.config, codes, self._batch, self._rest)
        return codes if self._rest is None else np.concatenate([self._rest, codes], axis=1)

    def _audio(self, codes: np.ndarray, frames: int) -> np.ndarray:
        """Runs codes, padded to `frames`."""
        self._sizes.add(frames)
        codes = np.pad(codes, ((0, 0), (0, frames - codes.shape[1]), (0, 0)))
        return self._engine.amplified(self._run(self._engine.dequantize(codes)), codes.shape[-1])

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        empty = np.zeros((self._batch, 0, self._engine.config.model.audio_channels), np.float32)
        return np.concatenate([empty, *parts], axis=1)

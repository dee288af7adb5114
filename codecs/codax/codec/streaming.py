"""Encoder and decoder sessions: audio or codes in pieces of any length, with the same result as all at once.

The causal layers keep their left context in the `stream` collection (see `nets/conv.py`); a session carries it from one
call to the next. Pieces are run in power-of-two numbers of frames, so that any chunking compiles a handful of shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.codec.module import CodecModel
from codax.errors import CodaxError
from codax.nets.families import facts
from codax.runtime.platforms import platform

if TYPE_CHECKING:
    from codax.codec.codec import Codec

LARGEST_PIECE = 256  # frames run at once
# Run at once on a CPU: few enough for intermediate arrays to stay in its cache, and enough frames for the weights that
# are read for them.
_CPU_PIECE_SAMPLES = 48_000  # of all signals together
_CPU_PIECE_FRAMES = 32


class _Session:
    """A jitted causal function with its streaming state."""

    def __init__(
        self, codec: Codec, method: Any, example: jax.ShapeDtypeStruct, denoise: bool, levels: int | None = None
    ) -> None:
        if not codec.config.model.causal:
            raise CodaxError(f"model {codec.model_id} is not causal and cannot stream")
        codec.check_denoise(denoise)
        self.codec = codec
        model = codec.model

        # Each piece comes with a state.
        shortest = max(_CPU_PIECE_FRAMES, 1 << (facts(codec.config.model).start_frames - 1).bit_length())
        at_once = _CPU_PIECE_SAMPLES // (codec.config.hop * example.shape[0]) if platform() == "cpu" else LARGEST_PIECE
        self._largest = 1 << (max(shortest, min(at_once, LARGEST_PIECE)).bit_length() - 1)
        encodes = method is CodecModel.encode

        def step(variables, stream, x, valid=None):
            frames = -(-x.shape[1] // codec.config.hop) if encodes else x.shape[1]
            condition = codec.condition(x.shape[0], frames, denoise)
            extra = (levels, condition, valid) if encodes else (condition,)
            return model.apply({**variables, "stream": stream}, x, *extra, method=method, mutable=["stream"])

        # Both are kept with the codec: a step is compiled once, and tracing it for its state takes long besides coding.
        cache = codec.__dict__.setdefault("_stream_steps", {})
        key = (method.__name__, denoise, levels)
        self._stream = {}
        if facts(codec.config.model).start_frames == 1:
            # The layers start from zeros when they find no state; its shapes come from tracing one call.
            if (*key, example.shape) not in cache:
                _, shapes = jax.eval_shape(lambda v, x: step(v, {}, x), codec.folded, example)
                cache[*key, example.shape] = shapes["stream"]
            self._stream = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), cache[*key, example.shape])
        # The state is donated: its memory serves the next state, so rings of keys and values are not copied.
        self._step = cache.setdefault(key, jax.jit(step, donate_argnums=1))
        self._started = False
        self._finished = False
        self._sizes: set[int] = set()  # numbers of frames that are compiled
        self._prepared: tuple[int, ...] = ()  # those that may be used, in a session that must not compile any more

    def _run(self, x: np.ndarray | jax.Array, valid: np.ndarray | None = None) -> np.ndarray:
        y, updated = self._step(self.codec.folded, self._stream, x, valid)
        self._stream = updated["stream"]
        self._started = True
        return np.asarray(y)

    def _last_size(self, frames: int) -> int:
        """Frames to run a last piece with: what is behind it changes nothing, and a size known already is quicker."""
        return min((n for n in self._sizes if n >= frames), default=1 << (frames - 1).bit_length())

    def _ready(self, frames: int) -> int:
        """Of so many whole frames at hand, those that can be run: none before there are enough to start with."""
        return frames if self._started or frames >= facts(self.codec.config.model).start_frames else 0

    def _prepare(self, sizes: Iterable[int], run: Callable[[int], object]) -> None:
        """Runs each number of frames once on nothing, which compiles it, and uses no other from then on."""
        if self._started:
            raise CodaxError("a session is prepared before it starts")
        start = facts(self.codec.config.model).start_frames
        self._prepared = tuple(sorted({1, start, *sizes}))
        initial = jax.device_get(self._stream)
        for size in (start, *self._prepared):
            run(size)
        self._stream, self._started = initial, False

    def _pieces(self, frames: int) -> Iterator[tuple[int, int]]:
        """Splits a number of frames into (start, stop) of lengths that are run at once, the longest first.

        They are powers of two, or those that were prepared.
        """
        start = 0
        while start < frames:
            left = frames - start
            if not self._prepared:
                size = min(self._largest, 1 << (left.bit_length() - 1))
            elif self._started:
                size = max(n for n in self._prepared if n <= left)
            else:
                size = facts(self.codec.config.model).start_frames  # the one that is compiled for an empty state
            yield start, start + size
            start += size

    def _check_open(self) -> None:
        if self._finished:
            raise CodaxError("this session is finished")


class EncoderSession(_Session):
    """Streaming encoder: `push` audio at the model's rate, get the codes of all whole frames so far."""

    scales = None  # such models do not normalise

    def __init__(
        self, codec: Codec, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> None:
        config = codec.config
        self.levels = codec.checked_levels(num_quantizers or config.quantizer.num_quantizers)
        shape = (batch, config.hop, config.model.audio_channels)
        super().__init__(codec, CodecModel.encode, jax.ShapeDtypeStruct(shape, jnp.float32), denoise, self.levels)
        self._rest = np.zeros((batch, 0, shape[2]), np.float32)
        self._pads_inside = facts(config.model).pads_inside

    def prepare(self, sizes: Iterable[int]) -> None:
        """Compiles for these numbers of frames at a time, and will use only them: nothing that is live waits later."""
        hop = self.codec.config.hop

        def run(frames: int) -> None:
            silence = np.zeros((len(self._rest), frames * hop, self._rest.shape[2]), np.float32)
            self._codes(silence, frames)
            self._codes(silence[:, 1:], frames)  # as the last piece may be

        self._prepare(sizes, run)

    def push(self, audio: np.ndarray) -> np.ndarray:
        """Audio float32 [batch, time, channels] of any length -> int32 [batch, 0 or more frames, quantizers]."""
        hop = self.codec.config.hop
        audio = self._with_rest(audio)
        frames = self._ready(audio.shape[1] // hop)
        self._rest = audio[:, frames * hop :]
        return self._joined([self._codes(audio[:, a * hop : b * hop], b - a) for a, b in self._pieces(frames)])

    def finish(self, audio: np.ndarray | None = None) -> np.ndarray:
        """Codes of what is left and of a last piece of audio; padding makes the last frame whole.

        Like `push`; the session takes no more audio.
        """
        hop = self.codec.config.hop
        audio = self._rest if audio is None else self._with_rest(audio)
        self._check_open()
        self._finished = True
        parts = []
        while audio.shape[1] > self._largest * hop:
            parts.append(self._codes(audio[:, : self._largest * hop], self._largest))
            audio = audio[:, self._largest * hop :]
        frames = -(-audio.shape[1] // hop)
        if frames and (not self._pads_inside or self._ready(frames)):
            parts.append(self._codes(audio, self._last_size(frames))[:, :frames])
        elif frames:
            # All of the signal, and too short to be reflected: the layers see it as it is.
            parts.append(self._run(audio))
        return self._joined(parts)

    def _with_rest(self, audio: np.ndarray) -> np.ndarray:
        self._check_open()
        audio = np.asarray(audio, np.float32)
        if audio.ndim != 3 or (audio.shape[0], audio.shape[2]) != (self._rest.shape[0], self._rest.shape[2]):
            raise CodaxError(f"audio must be [{self._rest.shape[0]}, time, {self._rest.shape[2]}], got {audio.shape}")
        return np.concatenate([self._rest, audio], axis=1)

    def _codes(self, audio: np.ndarray, frames: int) -> np.ndarray:
        """Runs audio, padded to so many frames."""
        length = audio.shape[1]
        audio = np.pad(audio, ((0, 0), (0, frames * self.codec.config.hop - length), (0, 0)))
        self._sizes.add(frames)
        # Where the signal ends is known to the layers only if it ends here: looking for it takes time.
        ends = self._pads_inside and length < audio.shape[1]
        return self._run(audio, np.asarray(length, np.int32) if ends else None)

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros((self._rest.shape[0], 0, self.levels), np.int32), *parts], axis=1)


class DecoderSession(_Session):
    """Streaming decoder: `push` codes, get the audio of their frames."""

    def __init__(self, codec: Codec, *, batch: int = 1, denoise: bool = False) -> None:
        config = codec.config
        example = jax.ShapeDtypeStruct((batch, 1, config.model.dimension), jnp.float32)
        super().__init__(codec, CodecModel.decode_latent, example, denoise)
        self._batch = batch
        self._rest: np.ndarray | None = None

    def prepare(self, sizes: Iterable[int], num_quantizers: int) -> None:
        """As `EncoderSession.prepare`, for codes of so many quantizers."""
        levels = self.codec.checked_levels(num_quantizers)
        self._prepare(sizes, lambda n: self._audio(np.zeros((self._batch, n, levels), np.int32), n))

    def push(self, codes: np.ndarray) -> np.ndarray:
        """Codes int32 [batch, frames, quantizers] -> float32 [batch, frames * hop, channels] at the model's rate.

        Models that reflect the signal's start give nothing until there are `nets.facts.Facts.start_frames` frames.
        """
        codes = self._with_rest(codes)
        frames = self._ready(codes.shape[1])
        self._rest = None if frames else codes
        return self._joined([self._audio(codes[:, a:b], b - a) for a, b in self._pieces(frames)])

    def finish(self, codes: np.ndarray | None = None) -> np.ndarray:
        """Audio of the frames still held back and of a last piece of codes; the session takes no more."""
        codes = self._rest if codes is None else self._with_rest(codes)
        self._check_open()
        self._finished = True
        parts = []
        while codes is not None and codes.shape[1]:
            piece, codes = codes[:, : self._largest], codes[:, self._largest :]
            frames = piece.shape[1]
            # A signal that is too short to be reflected is run as it is.
            size = self._last_size(frames) if self._ready(frames) else frames
            parts.append(self._audio(piece, size)[:, : frames * self.codec.config.hop])
        return self._joined(parts)

    def _with_rest(self, codes: np.ndarray) -> np.ndarray:
        self._check_open()
        codes = self.codec.checked_codes(codes, self._batch)
        return codes if self._rest is None else np.concatenate([self._rest, codes], axis=1)

    def _audio(self, codes: np.ndarray, frames: int) -> np.ndarray:
        """Runs codes, padded to so many frames."""
        codec = self.codec
        self._sizes.add(frames)
        codes = np.pad(codes, ((0, 0), (0, frames - codes.shape[1]), (0, 0)))
        return self._run(codec.dequantize(codes))

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        nothing = np.zeros((self._batch, 0, self.codec.config.model.audio_channels), np.float32)
        return np.concatenate([nothing, *parts], axis=1)

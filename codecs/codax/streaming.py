"""Encoder and decoder sessions: audio or codes in pieces of any length, with the same result as all at once.

The causal layers keep their left context in the `stream` collection (see `nets/conv.py`); a session carries it from one
call to the next. Pieces are run in power-of-two numbers of frames, so that any chunking compiles a handful of shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.errors import CodaxError
from codax.model import CodecModel

if TYPE_CHECKING:
    from codax.codec import Codec

LARGEST_PIECE = 256  # frames run at once


class _Session:
    """A jitted causal function with its streaming state."""

    def __init__(self, codec: Codec, method: Any, example: jax.ShapeDtypeStruct, denoise: bool) -> None:
        if not codec.config.model.causal:
            raise CodaxError(f"model {codec.model_id} is not causal and cannot stream")
        codec.check_denoise(denoise)
        self.codec = codec
        model = codec.model

        def step(variables, stream, x):
            frames = x.shape[1] // codec.config.hop if method is CodecModel.encode else x.shape[1]
            condition = codec._condition(x.shape[0], frames, denoise)
            extra = (None, condition) if method is CodecModel.encode else (condition,)
            return model.apply({**variables, "stream": stream}, x, *extra, method=method, mutable=["stream"])

        # The layers start from zeros when they find no state; its shapes come from tracing one call.
        _, shapes = jax.eval_shape(lambda v, x: step(v, {}, x), codec.variables, example)
        self._stream = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes["stream"])
        cache = codec.__dict__.setdefault("_stream_steps", {})
        self._step = cache.setdefault((method.__name__, denoise), jax.jit(step))

    def _run(self, x: np.ndarray) -> np.ndarray:
        y, updated = self._step(self.codec.variables, self._stream, x)
        self._stream = updated["stream"]
        return np.asarray(y)


def _pieces(frames: int) -> Iterator[tuple[int, int]]:
    """Splits a number of frames into (start, stop) of power-of-two lengths, the longest first."""
    start = 0
    while start < frames:
        size = min(LARGEST_PIECE, 1 << ((frames - start).bit_length() - 1))
        yield start, start + size
        start += size


class EncoderSession(_Session):
    """Streaming encoder: `push` audio at the model's rate, get the codes of all whole frames so far."""

    def __init__(
        self, codec: Codec, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> None:
        config = codec.config
        self.levels = codec.checked_levels(num_quantizers or config.quantizer.num_quantizers)
        shape = (batch, config.hop, config.model.audio_channels)
        super().__init__(codec, CodecModel.encode, jax.ShapeDtypeStruct(shape, jnp.float32), denoise)
        self._rest = np.zeros((batch, 0, shape[2]), np.float32)
        self._finished = False

    def push(self, audio: np.ndarray) -> np.ndarray:
        """Audio float32 [batch, time, channels] of any length -> int32 [batch, 0 or more frames, quantizers]."""
        audio = np.asarray(audio, np.float32)
        if self._finished:
            raise CodaxError("this encoder session is finished")
        if audio.ndim != 3 or (audio.shape[0], audio.shape[2]) != (self._rest.shape[0], self._rest.shape[2]):
            raise CodaxError(f"audio must be [{self._rest.shape[0]}, time, {self._rest.shape[2]}], got {audio.shape}")
        hop = self.codec.config.hop
        audio = np.concatenate([self._rest, audio], axis=1)
        frames = audio.shape[1] // hop
        self._rest = audio[:, frames * hop :]
        parts = [self._run(audio[:, a * hop : b * hop])[..., : self.levels] for a, b in _pieces(frames)]
        return np.concatenate(parts, axis=1) if parts else np.zeros((audio.shape[0], 0, self.levels), np.int32)

    def finish(self) -> np.ndarray:
        """Codes of the last, partly filled frame (zeros make it whole); the session takes no more audio."""
        missing = -self._rest.shape[1] % self.codec.config.hop
        codes = self.push(np.zeros((self._rest.shape[0], missing, self._rest.shape[2]), np.float32))
        self._finished = True
        return codes


class DecoderSession(_Session):
    """Streaming decoder: `push` codes, get the audio of their frames."""

    def __init__(self, codec: Codec, *, batch: int = 1, denoise: bool = False) -> None:
        config = codec.config
        example = jax.ShapeDtypeStruct((batch, 1, config.model.dimension), jnp.float32)
        super().__init__(codec, CodecModel.decode_latent, example, denoise)
        self._batch = batch

    def push(self, codes: np.ndarray) -> np.ndarray:
        """Codes int32 [batch, frames, quantizers] -> float32 [batch, frames * hop, channels] at the model's rate."""
        codes = self.codec.checked_codes(codes, self._batch)
        parts = []
        for a, b in _pieces(codes.shape[1]):
            parts.append(self._run(self.codec._dequantize(self.codec.variables, codes[:, a:b])))
        shape = (self._batch, 0, self.codec.config.model.audio_channels)
        return np.concatenate(parts, axis=1) if parts else np.zeros(shape, np.float32)

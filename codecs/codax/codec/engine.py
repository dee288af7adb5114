"""The weights of a codec and its compiled functions, on signals and codes at the model's rate.

Streams, windows, segments and sessions take an `Engine`; `Codec` is the interface for users.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from codax.codec.folder import weights_hash
from codax.codec.module import CodecModel
from codax.config import Config
from codax.nets.families import facts
from codax.nets.weightnorm import fold
from codax.quantizers.registry import make_quantizer
from codax.runtime.allocator import give_back
from codax.runtime.compilation import padded_size


class Engine:
    """Encoder, codebooks and decoder with their weights.

    Attributes:
      config: the model's config.
      module: the Linen module; it holds no arrays.
      params, codebook: the arrays as trained, on the device.
      context_frames: maximum number of frames on either side that a frame depends on; None = the whole signal.
      pads_inside: whether the layers pad the end of a signal, and so need its length.
      start_frames: frames that a stream collects before its first step, a power of two.
      streams: whether the model can code a live signal: it is causal and has no segments.
    """

    def __init__(self, config: Config, params: Any, codebook: Any) -> None:
        self.config = config.validate()
        self.module = CodecModel(config)
        self.params, self.codebook = jax.device_put((params, codebook))
        network = facts(config.model)
        self.context_frames, self.pads_inside = network.context_frames, network.pads_inside
        self.start_frames = network.start_frames
        self.streams = config.model.causal and not config.segment[0]
        self._stream_steps: dict[Any, Callable[..., Any]] = {}
        self._stream_shapes: dict[Any, Any] = {}

    @functools.cached_property
    def hash(self) -> bytes:
        """First 8 bytes of a SHA-256 of the names, shapes and values of everything that decides the codes."""
        return weights_hash(self.config.name, self.flat())

    def flat(self) -> dict[str, np.ndarray]:
        """Returns every array by its name in the weights file, such as "params.encoder.stem.kernel"."""
        flat = flatten_dict(jax.device_get({"params": self.params, "codebook": self.codebook}), sep=".")
        return {name: np.asarray(value) for name, value in flat.items()}

    def usage(self) -> np.ndarray:
        """Returns the codebooks' running counts of the codes in training, float32 [levels, entries]."""
        return np.asarray(self.codebook["quantizer"]["count"])

    @functools.cached_property
    def folded(self) -> Any:
        """The variables that coding uses, on the device: weight normalisation folded into kernels, no codebook sums.

        Arrays that folding does not change are shared with `params` and `codebook`.
        """
        unused = make_quantizer(self.config).describe().training_only
        books = {name: value for name, value in self.codebook["quantizer"].items() if name not in unused}
        with jax.ensure_compile_time_eval():  # the first access may be within a trace; the cache must hold no tracers
            folded = jax.block_until_ready({"params": fold(self.params), "codebook": {"quantizer": books}})
        give_back()  # memory freed by loading and by compiling the folding
        return folded

    def encode_piece(self, signals: np.ndarray, denoise: bool, levels: int | None = None) -> np.ndarray:
        """Encodes signals [batch, time, channels] at the model's rate to codes int32 [batch, frames, levels].

        `levels` None means all. The signals are neither cut into segments nor normalised.
        """
        frames = -(-signals.shape[1] // self.config.hop)
        return np.asarray(self._encode(self.folded, *self._fit(signals, frames), levels, denoise))[:, :frames]

    def decode_piece(self, codes: np.ndarray, denoise: bool) -> np.ndarray:
        """Inverts `encode_piece`: returns audio float32 [batch, frames * hop, channels] at the model's rate."""
        decoded = self._decode(self.folded, self._padded_latent(codes), denoise)
        return self.amplified(np.asarray(decoded)[:, : codes.shape[1] * self.config.hop], codes.shape[-1])

    def amplified(self, audio: np.ndarray, levels: int) -> np.ndarray:
        """Applies `model.gains_db` to the decoder's output for codes of this many quantizers."""
        gains = self.config.model.gains
        return audio * np.float32(gains[levels - 1]) if gains else audio

    def dequantize(self, codes: np.ndarray) -> jax.Array:
        """Returns the latent float32 [batch, frames, dimension] of codes; compiles once for each shape."""
        return self._dequantize(self.folded, codes)

    def vectors(self, codes: np.ndarray) -> np.ndarray:
        """Returns the latent float32 [batch, frames, dimension] of codes; compiles a few lengths."""
        return np.asarray(self._padded_latent(codes))[:, : codes.shape[1]]

    def semantic(self, codes: np.ndarray) -> np.ndarray:
        """Maps the first quantizer's codes to features, float32 [batch, frames, semantic_dimension]."""
        return np.asarray(self.module.apply(self.folded, codes, method=CodecModel.semantic))

    def condition(self, batch: int, frames: int, denoise: bool) -> jax.Array | None:
        """Returns the module's denoising input, float32 [batch, frames]; None for a model without FiLM."""
        return jnp.full((batch, frames), float(denoise)) if self.config.model.film != "none" else None

    def stream_step(self, side: str, denoise: bool, levels: int | None) -> Callable[..., Any]:
        """Returns a stream's compiled step: (variables, state, input, valid) -> (output, {"stream": next state}).

        The state is donated: the next state reuses its memory, so rings of keys and values are not copied.

        Args:
          side: "encode" or "decode".
          denoise: whether to remove noise.
          levels: number of quantizers to encode with; None = all.

        `valid` is the length of a signal that ends in this input, else None.
        """
        key = side, denoise, levels
        if key not in self._stream_steps:
            self._stream_steps[key] = jax.jit(self._step(*key), donate_argnums=1)
        return self._stream_steps[key]

    def stream_state(self, side: str, denoise: bool, levels: int | None, example: jax.ShapeDtypeStruct) -> Any:
        """Returns the initial state of a stream; `example` has the shape of its input.

        It is zeros, whose shapes come from tracing one call. It is empty for a stream that must collect frames first.
        """
        if self.start_frames > 1:
            return {}
        key = side, denoise, levels, example.shape
        if key not in self._stream_shapes:
            step = self._step(side, denoise, levels)
            _, after = jax.eval_shape(lambda variables, x: step(variables, {}, x), self.folded, example)
            self._stream_shapes[key] = after["stream"]
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), self._stream_shapes[key])

    def _step(self, side: str, denoise: bool, levels: int | None) -> Callable[..., Any]:
        encodes = side == "encode"
        method = CodecModel.encode if encodes else CodecModel.decode_latent

        def step(variables, stream, x, valid=None):
            frames = -(-x.shape[1] // self.config.hop) if encodes else x.shape[1]
            condition = self.condition(x.shape[0], frames, denoise)
            extra = (levels, condition, valid) if encodes else (condition,)
            return self.module.apply({**variables, "stream": stream}, x, *extra, method=method, mutable=["stream"])

        return step

    def _fit(self, signals: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Pads signals to one of few lengths, each compiled once; also returns their length if the network needs it.

        SEANet pads inside its layers by rules of its own, so it needs the length.
        """
        if self.pads_inside and (not self.config.model.causal or frames < self.start_frames):
            return signals, None  # unpadded: too short to reflect, or frames before the end depend on samples behind it
        length = signals.shape[1]
        padded = np.pad(signals, ((0, 0), (0, self._bucket(frames) * self.config.hop - length), (0, 0)))
        return padded, np.asarray(length, np.int32) if self.pads_inside else None

    def _bucket(self, frames: int) -> int:
        """Returns the frames to pad to, so that few lengths are compiled; padding cannot change causal output."""
        if not self.config.model.causal or frames < self.start_frames:
            return frames
        return padded_size(frames, 16)

    def _padded_latent(self, codes: np.ndarray) -> jax.Array:
        """Returns the latent of codes that are padded to a bucket, so that few lengths are compiled."""
        frames = codes.shape[1]
        return self.dequantize(np.pad(codes, ((0, 0), (0, self._bucket(frames) - frames), (0, 0))))

    @functools.cached_property
    def _encode(self):
        def encode(variables, audio, valid, levels, denoise):
            condition = self.condition(audio.shape[0], audio.shape[1] // self.config.hop, denoise)
            return self.module.apply(variables, audio, levels, condition, valid, method=CodecModel.encode)

        return jax.jit(encode, static_argnums=(3, 4))

    @functools.cached_property
    def _dequantize(self):
        return jax.jit(
            lambda variables, codes: self.module.apply(variables, codes, method=lambda m, c: m.quantizer.decode(c))
        )

    @functools.cached_property
    def _decode(self):
        def decode(variables, latent, denoise):
            condition = self.condition(latent.shape[0], latent.shape[1], denoise)
            return self.module.apply(variables, latent, condition, method=CodecModel.decode_latent)

        return jax.jit(decode, static_argnums=2)

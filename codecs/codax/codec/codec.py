"""The trained codec as a user holds it: encode, decode, stream, save.

codec = codax.load("runs/quickstart/export")
tokens = codec.encode(audio, sample_rate=44_100, kbps=6)   # audio [batch, time, channels]
audio = codec.decode(tokens)                               # the same shape, at the same rate
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from codax.audio import resample, resampled_length
from codax.codec.module import CodecModel, init_variables
from codax.codec.segments import SegmentDecoder, SegmentEncoder
from codax.config import Config
from codax.errors import CodaxError
from codax.nets.families import facts
from codax.nets.weightnorm import fold
from codax.quantizers.registry import make_quantizer
from codax.runtime.allocator import give_back
from codax.runtime.platforms import platform
from codax.storage.digests import sha256
from codax.storage.tensors import ModelError, safetensors_bytes, write_folder

if TYPE_CHECKING:
    from codax.codec.streaming import DecoderSession, EncoderSession
    from codax.codec.windows import WindowDecoder, WindowEncoder

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
HASH_BYTES = 8


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Codes of a batch of signals, with what decoding needs to give back the original shape.

    Attributes:
      codes: int32 [batch, frames, quantizers]. A model of one channel codes every channel of the input as a signal
        of its own: the batch is then [batch * channels], channels of one signal side by side.
      length: samples per channel of the original.
      sample_rate: of the original, Hz.
      channels: of the original.
      denoise: whether denoising was asked for; models that condition their decoder need it there too.
      scales: float32 [batch, segments], what each segment was divided by, of models that normalise; the segments'
        frames then follow each other in `codes`.
    """

    codes: np.ndarray
    length: int
    sample_rate: int
    channels: int = 1
    denoise: bool = False
    scales: np.ndarray | None = None


class Codec:
    """Encoder, codebooks and decoder with their weights."""

    def __init__(
        self,
        config: Config,
        params: Any,
        codebook: Any,
        *,
        path: Path | None = None,
        again: Callable[[], Codec] | None = None,
    ) -> None:
        """Args: `again` loads the whole codec anew, so that what coding does not need is let go before it begins."""
        self.config = config.validate()
        self.model = CodecModel(config)
        self._variables = jax.device_put({"params": params, "codebook": codebook})
        self._again = again
        self.path = path

    @staticmethod
    def init_random(config: Config, seed: int = 0) -> Codec:
        """A codec with random weights and codebooks, for tests and benchmarks."""
        # Drawn with NumPy from the shapes alone: compiling the real initialisation takes many seconds.
        shapes = jax.eval_shape(lambda: init_variables(config))
        rng = np.random.default_rng(seed)

        def draw(shape: jax.ShapeDtypeStruct) -> np.ndarray:
            scale = 0.1 if len(shape.shape) < 2 else float(np.prod(shape.shape[:-1])) ** -0.5
            return (scale * rng.standard_normal(shape.shape)).astype(np.float32)

        params = jax.tree.map(draw, shapes["params"])
        books = make_quantizer(config).random_state(rng)
        return Codec(config, params, {"quantizer": books})

    @property
    def model_id(self) -> str:
        """Name of the recipe."""
        return self.config.name

    @functools.cached_property
    def hash(self) -> bytes:
        """First eight bytes of a SHA-256 over names, shapes and values of everything that decides the codes."""
        named = ((f"{name}{value.shape}{value.dtype}", value) for name, value in sorted(self.flat().items()))
        return sha256(self.config.name, *itertools.chain.from_iterable(named)).digest()[:HASH_BYTES]

    @property
    def variables(self) -> Any:
        """All arrays as they are trained, on the device: read again once coding has begun, where they came from a file.

        Raises:
          ModelError: they are no longer in that file.
        """
        if self._variables is not None or self._again is None:
            return self._variables
        again = self._again()
        if again.hash != self.hash:
            raise ModelError(f"{self.path}: has changed since the codec was loaded from there")
        return again.variables

    def flat(self) -> dict[str, np.ndarray]:
        """Every array by its name in the weights file, as in "params.encoder.stem.kernel"."""
        flat = flatten_dict(jax.device_get(self.variables), sep=".")
        return {name: np.asarray(value) for name, value in flat.items()}

    def usage(self) -> np.ndarray:
        """How often training used each code, as the codebooks' running counts tell: float32 [levels, entries]."""
        return np.asarray(self.folded["codebook"]["quantizer"]["count"])

    def save(self, folder: str | Path, *, half: bool = False) -> None:
        """Writes config.json and model.safetensors into `folder`; each file is replaced as a whole.

        Args:
          half: round to 16-bit floats, for files of half the size. What is loaded from there computes with 32 bits as
            ever, but is another model: with another hash, and other codes now and then.

        Raises:
          ModelError: the files cannot be written, or a value is too large for 16 bits.
        """
        arrays = self.flat()
        if half:
            arrays = {name: _half(folder, name, value) for name, value in arrays.items()}
        weights = safetensors_bytes(arrays, format="codax", model=self.model_id)
        write_folder(folder, {WEIGHTS_FILE: weights, CONFIG_FILE: self.config.to_json()})

    def encode(
        self,
        audio: np.ndarray | jax.Array,
        *,
        sample_rate: int | None = None,
        kbps: float | None = None,
        num_quantizers: int | None = None,
        denoise: bool = False,
    ) -> Tokens:
        """Encodes audio.

        Args:
          audio: float [batch, time, channels], full scale 1.
          sample_rate: of the audio, Hz; None = the model's. Other rates are resampled.
          kbps: bit rate per coded signal, kilobits per second; None = the model's highest.
          num_quantizers: the rate as a number of quantizers, instead of `kbps`.
          denoise: ask a model with FiLM to leave the noise out.

        Raises:
          CodaxError: a rate that the model does not have, or audio of the wrong shape.
        """
        config = self.config
        audio = np.asarray(audio, np.float32)
        if audio.ndim != 3 or 0 in audio.shape:
            raise CodaxError(f"audio must be [batch, time, channels] and not empty, got shape {audio.shape}")
        if not np.isfinite(audio).all():
            raise CodaxError("audio holds values that are not finite")
        self.check_denoise(denoise)
        levels = self.checked_levels(num_quantizers if num_quantizers is not None else config.quantizers_for(kbps))
        _, length, channels = audio.shape
        rate = sample_rate or config.model.sample_rate
        signals = self.to_signals(audio)
        if rate != config.model.sample_rate:
            signals = np.stack([resample(s, rate, config.model.sample_rate) for s in signals])
        make = self.block_encoder if self._in_blocks else functools.partial(SegmentEncoder, self)
        encoder = make(num_quantizers=levels, batch=len(signals), denoise=denoise)
        codes = encoder.finish(signals)
        return Tokens(codes, length, rate, channels, denoise, encoder.scales)

    def encode_piece(self, signals: np.ndarray, denoise: bool, levels: int | None = None) -> np.ndarray:
        """Codes int32 [batch, frames, levels], None = all, of signals [batch, time, channels] at the model's rate.

        Neither cut into segments nor normalised.
        """
        frames = -(-signals.shape[1] // self.config.hop)
        return np.asarray(self._encode(self.folded, *self._fit(signals, frames), levels, denoise))[:, :frames]

    def decode(self, tokens: Tokens) -> np.ndarray:
        """Decodes tokens to float32 [batch, time, channels] of the original length, rate and channels."""
        config = self.config
        codes = self.checked_codes(tokens.codes)
        make = self.block_decoder if self._in_blocks else functools.partial(SegmentDecoder, self)
        decoder = make(
            length=resampled_length(tokens.length, tokens.sample_rate, config.model.sample_rate),
            frames=codes.shape[1],
            scales=tokens.scales,
            batch=len(codes),
            denoise=tokens.denoise,
        )
        signals = decoder.finish(codes)
        if tokens.sample_rate != config.model.sample_rate:
            signals = np.stack([resample(s, config.model.sample_rate, tokens.sample_rate) for s in signals])
        missing = max(0, tokens.length - signals.shape[1])
        signals = np.pad(signals, ((0, 0), (0, missing), (0, 0)))[:, : tokens.length]
        return self.from_signals(signals, tokens.channels)

    def decode_piece(self, codes: np.ndarray, denoise: bool) -> np.ndarray:
        """Audio float32 [batch, frames * hop, channels] at the model's rate: the inverse of `encode_piece`."""
        decoded = self._decode(self.folded, self._padded_latent(codes), denoise)
        return np.asarray(decoded)[:, : codes.shape[1] * self.config.hop]

    def vectors(self, codes: np.ndarray) -> np.ndarray:
        """Sum of the codebooks' entries, float32 [batch, frames, dimension], of codes [batch, frames, quantizers]."""
        codes = self.checked_codes(codes)
        return np.asarray(self._padded_latent(codes))[:, : codes.shape[1]]

    def semantic(self, tokens: Tokens) -> np.ndarray:
        """Features float32 [batch, frames, semantic_dimension] that the first quantizer's codes stand for.

        Raises:
          CodaxError: the model has no head for them.
        """
        if not self.config.model.semantic_dimension:
            raise CodaxError(f"model {self.model_id} was not distilled: it has no semantic features")
        codes = self.checked_codes(tokens.codes)
        return np.asarray(self.model.apply(self.folded, codes, method=CodecModel.semantic))

    def check_denoise(self, denoise: bool) -> None:
        """Refuses denoising where the model has no switch for it. Raises CodaxError."""
        if denoise and self.config.model.film == "none":
            raise CodaxError(f"model {self.model_id} was not trained to denoise")

    def checked_levels(self, levels: int) -> int:
        """The number of quantizers, if the model has so many. Raises CodaxError."""
        if not 1 <= levels <= self.config.quantizer.num_quantizers:
            raise CodaxError(f"{levels} quantizers: the model has 1 to {self.config.quantizer.num_quantizers}")
        return levels

    def checked_codes(self, codes: np.ndarray, batch: int | None = None) -> np.ndarray:
        """Codes as int32 [batch, frames, quantizers], if the model can decode them. Raises CodaxError."""
        quantizer = self.config.quantizer
        codes = np.asarray(codes, np.int32)
        has_shape = codes.ndim == 3 and 1 <= codes.shape[2] <= quantizer.num_quantizers
        if not has_shape or (batch is not None and codes.shape[0] != batch):
            wanted = f"[{'batch' if batch is None else batch}, frames, 1 to {quantizer.num_quantizers}]"
            raise CodaxError(f"codes must be {wanted}, got {codes.shape}")
        if codes.size and not (codes.min() >= 0 and codes.max() < quantizer.codebook_size):
            raise CodaxError(f"codes must lie in 0 to {quantizer.codebook_size - 1}")
        return codes

    def to_signals(self, audio: np.ndarray) -> np.ndarray:
        """Audio [batch, time, channels] -> [batch, time, model channels], or [batch * channels, time, 1] if mono.

        Raises:
          CodaxError: a model of several channels with another number of channels.
        """
        wanted, channels = self.config.model.audio_channels, audio.shape[2]
        if channels == wanted:
            return audio
        if wanted == 1:
            return np.moveaxis(audio, 2, 1).reshape(-1, audio.shape[1], 1)
        raise CodaxError(f"model {self.model_id} codes {wanted} channels, the audio has {channels}")

    def from_signals(self, signals: np.ndarray, channels: int) -> np.ndarray:
        """The inverse of `to_signals`."""
        if signals.shape[2] == channels:
            return signals
        return np.moveaxis(signals.reshape(-1, channels, signals.shape[1]), 1, 2)

    def stream_encoder(
        self, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> EncoderSession:
        """An encoder that takes audio piece by piece; see `codax.codec.streaming`."""
        from codax.codec.streaming import EncoderSession

        return EncoderSession(self, num_quantizers=num_quantizers, batch=batch, denoise=denoise)

    def stream_decoder(self, *, batch: int = 1, denoise: bool = False) -> DecoderSession:
        """A decoder that takes codes piece by piece; see `codax.codec.streaming`."""
        from codax.codec.streaming import DecoderSession

        return DecoderSession(self, batch=batch, denoise=denoise)

    def stream(
        self, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> tuple[EncoderSession, DecoderSession]:
        """Both of the above."""
        encoder = self.stream_encoder(num_quantizers=num_quantizers, batch=batch, denoise=denoise)
        return encoder, self.stream_decoder(batch=batch, denoise=denoise)

    def block_encoder(
        self, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> EncoderSession | WindowEncoder | SegmentEncoder:
        """An encoder of long signals: `push` blocks of audio, `finish`; see `codax.codec.segments`."""
        from codax.codec.windows import WindowEncoder

        if self.streams:
            return self.stream_encoder(num_quantizers=num_quantizers, batch=batch, denoise=denoise)
        make = WindowEncoder if facts(self.config.model).context_frames is not None else SegmentEncoder
        return make(self, num_quantizers=num_quantizers, batch=batch, denoise=denoise)

    def block_decoder(
        self,
        *,
        length: int,
        frames: int,
        scales: np.ndarray | None = None,
        batch: int = 1,
        denoise: bool = False,
    ) -> DecoderSession | WindowDecoder | SegmentDecoder:
        """The decoder for a `block_encoder`'s codes; see `codax.codec.segments.SegmentDecoder` for the arguments."""
        from codax.codec.windows import WindowDecoder

        if self.streams:
            return self.stream_decoder(batch=batch, denoise=denoise)
        if facts(self.config.model).context_frames is not None:
            return WindowDecoder(self, batch=batch, denoise=denoise)
        return SegmentDecoder(self, length=length, frames=frames, scales=scales, batch=batch, denoise=denoise)

    @property
    def streams(self) -> bool:
        """Does the model work on a signal as it comes, without segments?"""
        return self.config.model.causal and not self.config.segment[0]

    @property
    def _in_blocks(self) -> bool:
        """Is a whole signal coded in blocks? On a CPU their intermediate arrays stay in its cache."""
        return (self.streams or facts(self.config.model).context_frames is not None) and platform() == "cpu"

    def _fit(self, signals: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Signals padded to a length that is compiled once for many, and where they end if the network wants to know.

        SEANet pads inside its layers, by their own rule, so it must be told where the signal ends.
        """
        config = self.config
        if facts(config.model).pads_inside and (not config.model.causal or frames < facts(config.model).start_frames):
            return signals, None  # as it is: too short to reflect, or what is behind the end would be heard before it
        length = signals.shape[1]
        padded = np.pad(signals, ((0, 0), (0, self._bucket(frames) * config.hop - length), (0, 0)))
        return padded, np.asarray(length, np.int32) if facts(config.model).pads_inside else None

    @functools.cached_property
    def folded(self) -> Any:
        """What coding needs, on the device: weight normalisation folded into the kernels, no sums of the codebooks."""
        books = self.variables["codebook"]["quantizer"]
        unused = make_quantizer(self.config).describe().training_only
        books = {name: value for name, value in books.items() if name not in unused}
        folded = {"params": fold(self.variables["params"]), "codebook": {"quantizer": books}}
        if self._again is not None:
            _ = self.hash, jax.block_until_ready(folded)  # of the arrays that are let go
            self._variables = None
            give_back()
        return folded

    def _bucket(self, frames: int) -> int:
        """Frames to pad to, so that few lengths are compiled: padding after the end cannot change causal output."""
        if not self.config.model.causal or frames < facts(self.config.model).start_frames:
            return frames
        step = max(16, 2 ** (max(frames - 1, 1).bit_length() - 3))
        return -(-frames // step) * step

    def dequantize(self, codes: np.ndarray) -> jax.Array:
        """Latent float32 [batch, frames, dimension] of codes, compiled for their shape."""
        return self._dequantize(self.folded, codes)

    def _padded_latent(self, codes: np.ndarray) -> jax.Array:
        """Latent of codes, followed by what fills the bucket up, so that few lengths need be compiled."""
        frames = codes.shape[1]
        return self.dequantize(np.pad(codes, ((0, 0), (0, self._bucket(frames) - frames), (0, 0))))

    def condition(self, batch: int, frames: int, denoise: bool) -> jax.Array | None:
        """The denoising switch as the model takes it, [batch, frames]; None where it has none."""
        return jnp.full((batch, frames), float(denoise)) if self.config.model.film != "none" else None

    @functools.cached_property
    def _encode(self):
        def encode(variables, audio, valid, levels, denoise):
            condition = self.condition(audio.shape[0], audio.shape[1] // self.config.hop, denoise)
            return self.model.apply(variables, audio, levels, condition, valid, method=CodecModel.encode)

        return jax.jit(encode, static_argnums=(3, 4))

    @functools.cached_property
    def _dequantize(self):
        return jax.jit(
            lambda variables, codes: self.model.apply(variables, codes, method=lambda m, c: m.quantizer.decode(c))
        )

    @functools.cached_property
    def _decode(self):
        def decode(variables, latent, denoise):
            condition = self.condition(latent.shape[0], latent.shape[1], denoise)
            return self.model.apply(variables, latent, condition, method=CodecModel.decode_latent)

        return jax.jit(decode, static_argnums=2)


def _half(folder: str | Path, name: str, value: np.ndarray) -> np.ndarray:
    if value.dtype != np.float32:
        return value
    largest = float(np.abs(value).max(initial=0.0))
    if largest > float(np.finfo(np.float16).max):
        raise ModelError(f"{folder}: {name} has a value of {largest:g}, too large for 16-bit floats")
    return value.astype(np.float16)

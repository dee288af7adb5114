"""The trained codec: encode, decode, stream, save.

codec = codax.load("runs/quickstart/export")
tokens = codec.encode(audio, sample_rate=44_100, kbps=6)   # audio [time], [time, channels] or [batch, time, channels]
audio = codec.decode(tokens)                               # the same shape, at the same rate
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from codax.audio.arrays import padded
from codax.audio.channels import Mode, channel_map
from codax.codec import checks, coder
from codax.codec.engine import Engine
from codax.codec.folder import write_model
from codax.codec.pushing import push
from codax.codec.random_weights import random_variables
from codax.codec.sessions import Sessions
from codax.codec.streaming import StreamDecoder, StreamEncoder
from codax.codec.tokens import Tokens, from_clips, from_signals, to_signals
from codax.config import Config


class Codec:
    """Encoder, codebooks and decoder with their weights.

    Attributes:
      config: the model's config.
      model_id: its name.
      path: its folder, if it was loaded from one.
      module: the Linen module, for `module.apply({"params": params, "codebook": codebook}, ...)`.
      params: all trained arrays but the codebooks, on the device. To use others, make another `Codec`.
      codebook: arrays of the codebooks.
      streams: whether the model can code a live signal.
      engine: compiled functions on signals and codes at the model's rate.
    """

    def __init__(self, config: Config, params: Any, codebook: Any, *, path: Path | None = None) -> None:
        self.engine = Engine(config, params, codebook)
        self.config, self.model_id, self.path = config, config.name, path
        self.module, self.streams = self.engine.module, self.engine.streams
        self.params, self.codebook = self.engine.params, self.engine.codebook

    def __repr__(self) -> str:
        rates = ", ".join(f"{rate:g}" for rate in self.kbps)
        return (
            f"Codec({self.model_id!r}, {self.sample_rate} Hz, {self.frame_rate:g} frames/s, {self.codebooks} codebooks "
            f"of {self.config.quantizer.codebook_size}, {rates} kbps)"
        )

    @property
    def sample_rate(self) -> int:
        """Hz of the signals that the model codes; `encode` resamples others."""
        return self.config.model.sample_rate

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.config.frame_rate

    @property
    def codebooks(self) -> int:
        """Number of codebooks, the most quantizers of `encode`."""
        return self.config.quantizer.num_quantizers

    @property
    def kbps(self) -> tuple[float, ...]:
        """The rates of a signal that the config names, or else its highest; `encode` takes those of any number."""
        return tuple(self.config.quantizer.kbps) or (self.config.kbps(self.codebooks),)

    @property
    def hash(self) -> bytes:
        """8 bytes that identify everything that decides the codes."""
        return self.engine.hash

    def flat(self) -> dict[str, np.ndarray]:
        """Returns every array by its name in the weights file, such as "params.encoder.stem.kernel"."""
        return self.engine.flat()

    def usage(self) -> np.ndarray:
        """Returns the codebooks' running counts of the codes in training, float32 [levels, entries]."""
        return self.engine.usage()

    @staticmethod
    def init_random(config: Config, seed: int = 0) -> Codec:
        """Returns a codec with random weights and codebooks, for tests and benchmarks."""
        return Codec(config, **random_variables(config, seed))

    def save(self, folder: str | Path, *, half: bool = False) -> None:
        """Writes config.json and model.safetensors into `folder`; each file is replaced atomically.

        Args:
          half: round to 16-bit floats, which halves the size, and changes the hash and occasionally the codes.

        Raises:
          ModelError: the files cannot be written, or a value is too large for 16 bits.
        """
        write_model(folder, self.config, self.engine.flat(), half=half)

    def push_to_hub(self, name: str, **options: Any) -> str:
        """Uploads the model with a card to the hub as "user/name", and returns the address of its page.

        Args:
          options: private, message, license, results, half; see `codax.codec.pushing.push`.

        Raises:
          CodaxError: naming the model and the reason.
        """
        return push(name, self.config, self.engine.flat(), folder=self.path, **options)

    def encode(
        self,
        audio: ArrayLike,
        *,
        sample_rate: int | None = None,
        kbps: float | None = None,
        num_quantizers: int | None = None,
        denoise: bool = False,
        lengths: ArrayLike | None = None,
        channels: Mode = "each",
    ) -> Tokens:
        """Encodes audio.

        Args:
          audio: [batch, time, channels], or [time] or [time, channels] for one signal, or a list of such signals of
            unequal lengths: of NumPy, JAX, PyTorch or another library with `__array__` or DLPack. Floats of full scale
            1, or int16, int32 or uint8, which are scaled by their type.
          sample_rate: rate of the audio, Hz; None = the model's. Audio of other rates is resampled.
          kbps, num_quantizers: rate per coded signal, kilobits per second, or as quantizers; None = the highest.
          denoise: remove noise; the model must have FiLM.
          lengths: int [batch], samples of each signal of a padded batch. Each has the codes that it has alone.
          channels: code "each" channel, also equal ones, their "mix", which stays one channel, or "mid-side".

        Raises:
          CodaxError: the model does not have this bit rate, or audio, rate or lengths are invalid.
        """
        clips, model = checks.checked_clips(audio, lengths), self.config.model
        rate = checks.checked_rate(self.config, sample_rate)
        levels = checks.chosen_levels(self.config, kbps, num_quantizers)
        mapped = channel_map(channels, clips[0].shape[2], model.audio_channels)
        coded = coder.encode(self.engine, [to_signals(clip, rate, model, mapped) for clip in clips], levels, denoise)
        return from_clips(coded, clips, rate, denoise, mapped)

    def decode(self, tokens: Tokens | ArrayLike) -> np.ndarray:
        """Decodes tokens to float32 [batch, time, channels] of the original length, rate and channels.

        Zeros follow the shorter clips of unequal lengths. An array of codes gives whole frames at the model's rate.
        """
        parts = checks.checked_parts(self.config, tokens)
        signals = coder.decode(self.engine, parts)
        return padded([from_signals(x, part, self.config.model) for x, part in zip(signals, parts, strict=True)])

    def stream_encoder(
        self, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> StreamEncoder:
        """Returns an encoder for a live signal; the model must be causal. See `codax.codec.streaming`."""
        return StreamEncoder(self.engine, num_quantizers=num_quantizers, batch=batch, denoise=denoise)

    def stream_decoder(self, *, batch: int = 1, denoise: bool = False) -> StreamDecoder:
        """Returns a decoder for a live signal's codes."""
        return StreamDecoder(self.engine, batch=batch, denoise=denoise)

    def stream(
        self, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False
    ) -> tuple[StreamEncoder, StreamDecoder]:
        """Returns `stream_encoder` and `stream_decoder`."""
        encoder = self.stream_encoder(num_quantizers=num_quantizers, batch=batch, denoise=denoise)
        return encoder, self.stream_decoder(batch=batch, denoise=denoise)

    def sessions(self, slots: int, *, num_quantizers: int | None = None) -> Sessions:
        """Returns slots for many simultaneous live signals; see `codax.codec.sessions`."""
        return Sessions(self.engine, slots, num_quantizers=num_quantizers)

    def block_encoder(self, *, num_quantizers: int | None = None, batch: int = 1, denoise: bool = False) -> coder.Coder:
        """Returns an encoder that takes a long signal in blocks; it works with any model."""
        return coder.encoder(self.engine, num_quantizers=num_quantizers, batch=batch, denoise=denoise)

    def block_decoder(self, *, length: int, frames: int, **options: Any) -> coder.Coder:
        """Returns the decoder for `block_encoder`'s codes; `options` are those of `codax.codec.coder.decoder`."""
        return coder.decoder(self.engine, length=length, frames=frames, **options)

    def vectors(self, codes: np.ndarray) -> np.ndarray:
        """Sums the entries of codes [batch, frames, quantizers]: float32 [batch, frames, dimension]."""
        return self.engine.vectors(checks.checked_codes(self.config, codes))

    def semantic(self, tokens: Tokens) -> np.ndarray:
        """Maps the first codes to features [batch, frames, semantic_dimension]. Raises CodaxError without a head."""
        return self.engine.semantic(checks.checked_semantic(self.config, tokens.codes))

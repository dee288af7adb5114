"""A codec without a network, for the tests of the files around it: a frame is the mean of its hop, in 8-bit digits."""

from __future__ import annotations

import numpy as np
from codax.config import Config, EMAQuantizerConfig, SoundStreamConfig


class FakeCodec:
    """Looks like `codax.Codec` to the command line; 8 kHz, hop 4, three codebooks of 256 entries."""

    def __init__(self, *, channels: int = 1, film: str = "none", digest: bytes = b"fakehash", path: str | None = None):
        self.config = Config(
            name="fake",
            model=SoundStreamConfig(sample_rate=8000, audio_channels=channels, strides=(2, 2), film=film),
            quantizer=EMAQuantizerConfig(num_quantizers=3, codebook_size=256, kbps=(16.0,)),
        )
        self.model_id = self.config.name
        self.hash = digest
        self.path = path
        self.denoised = False  # whether the decoder was told to remove noise

    def usage(self) -> np.ndarray:
        return np.ones((3, 256), np.float32)

    def block_encoder(self, *, num_quantizers: int, batch: int, denoise: bool = False):
        return _Encoder(self, num_quantizers, batch)

    def block_decoder(self, *, length: int, frames: int, scales=None, batch: int, denoise: bool = False):
        self.denoised = denoise
        return _Decoder(self, batch)


class _Encoder:
    scales = None

    def __init__(self, codec: FakeCodec, num_quantizers: int, batch: int):
        self._codec, self._n = codec, num_quantizers
        self._rest = np.zeros((batch, 0, codec.config.model.audio_channels), np.float32)

    def push(self, audio: np.ndarray) -> np.ndarray:
        hop = self._codec.config.hop
        audio = np.concatenate([self._rest, audio], axis=1)
        frames = audio.shape[1] // hop
        self._rest = audio[:, frames * hop :]
        mean = audio[:, : frames * hop].reshape(len(audio), frames, hop * audio.shape[2]).mean(axis=2, dtype=np.float64)
        left = np.clip((mean + 1) / 2, 0, 1 - 2**-25)
        codes = np.zeros((len(audio), frames, self._n), np.int32)
        for level in range(self._n):
            codes[..., level] = left * 256
            left = left * 256 - codes[..., level]
        return codes

    def finish(self, audio: np.ndarray | None = None) -> np.ndarray:
        audio = self._rest[:, :0] if audio is None else audio
        missing = -(self._rest.shape[1] + audio.shape[1]) % self._codec.config.hop
        return self.push(np.pad(audio, ((0, 0), (0, missing), (0, 0))))


class _Decoder:
    def __init__(self, codec: FakeCodec, batch: int):
        self._config, self._batch = codec.config, batch

    def push(self, codes: np.ndarray) -> np.ndarray:
        mean = sum((codes[..., k] + 0.5) / 256 ** (k + 1) for k in range(codes.shape[2]))
        audio = np.repeat(2 * mean - 1, self._config.hop, axis=1).astype(np.float32)
        return np.repeat(audio[..., None], self._config.model.audio_channels, axis=2)

    def finish(self, codes: np.ndarray | None = None) -> np.ndarray:
        return self.push(np.zeros((self._batch, 0, 1), np.int32) if codes is None else codes)

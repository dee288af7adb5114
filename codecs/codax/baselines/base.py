"""What a classical codec is to an evaluation: audio in, decoded audio and the size of the file out."""

from __future__ import annotations

import abc
import dataclasses

import numpy as np

from codax.audio import resample, to_int16
from codax.errors import CodaxError


class BaselineError(CodaxError):
    """A baseline that is unknown, not available here, or that failed on a signal."""


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A complete file in memory.

    Attributes:
      data: the bytes of the file, container included.
      payload_bytes: bytes of the coded packets alone.
    """

    data: bytes
    payload_bytes: int


@dataclasses.dataclass(frozen=True)
class Coded:
    """A signal after the codec: `audio` float32, of the shape and rate of the original, and the size of the file."""

    audio: np.ndarray
    file_bytes: int
    payload_bytes: int


class Baseline(abc.ABC):
    """A codec at one rate.

    Attributes:
      name: of the codec, as in `opus:6`.
      kbps: what it is asked for; what it delivers is measured.
      description: settings, for reports.
      rates: sample rates in Hz that the encoder takes, ascending.
      mono: whether channels are coded one by one, each in a file of its own.
      delay: samples at the coding rate by which decoded audio is late although the container is honoured.
    """

    name: str
    kbps: float
    description: str
    rates: tuple[int, ...]
    mono: bool = False
    delay: int = 0

    @abc.abstractmethod
    def encode(self, samples: np.ndarray, sample_rate: int) -> Encoded:
        """int16 [time, channels] at one of `rates` to a file."""

    @abc.abstractmethod
    def decode(self, data: bytes) -> tuple[np.ndarray, int]:
        """A file to float32 [time, channels] and its sample rate in Hz."""

    def file_bytes(self, encoded: Encoded) -> int:
        """Bytes that a file takes."""
        return len(encoded.data)

    def code(self, audio: np.ndarray, sample_rate: int) -> Coded:
        """Encodes to a file in memory and decodes that.

        The signal is resampled to the lowest rate of the encoder that keeps its bandwidth, and back; the codec's delay
        is removed and the length restored.

        Args:
          audio: float [time, channels], full scale 1.
          sample_rate: Hz.

        Raises:
          BaselineError: the encoder or decoder failed.
        """
        if audio.ndim != 2 or not audio.size:
            raise BaselineError(f"{self.name}: expected audio [time, channels], got shape {audio.shape}")
        rate = next((r for r in self.rates if r >= sample_rate), self.rates[-1])
        samples = to_int16(resample(audio, sample_rate, rate))
        parts = np.split(samples, samples.shape[1], axis=1) if self.mono else [samples]
        decoded, file_bytes, payload_bytes = [], 0, 0
        for part in parts:
            encoded = self.encode(part, rate)
            out, out_rate = self.decode(encoded.data)
            if out.shape[1] != part.shape[1]:
                raise BaselineError(f"{self.name}: {part.shape[1]} channels went in, {out.shape[1]} came out")
            out = out[self.delay * out_rate // rate :]
            decoded.append(_fit(resample(out, out_rate, sample_rate), len(audio)))
            file_bytes += self.file_bytes(encoded)
            payload_bytes += encoded.payload_bytes
        return Coded(np.concatenate(decoded, axis=1), file_bytes, payload_bytes)


def _fit(audio: np.ndarray, length: int) -> np.ndarray:
    """Cuts or pads [time, channels] with zeros to `length`."""
    audio = np.asarray(audio[:length], np.float32)
    return np.pad(audio, ((0, length - len(audio)), (0, 0)))

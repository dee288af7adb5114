"""The interface of classical codecs in an evaluation: takes audio, returns decoded audio and file size."""

from __future__ import annotations

import abc
import dataclasses

import numpy as np

from codax.audio import resample, to_int16
from codax.audio.channels import channel_map
from codax.errors import CodaxError


class BaselineError(CodaxError):
    """A baseline is unknown, not available on this machine, or failed on a signal."""


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A complete file in memory.

    Attributes:
      data: the bytes of the file, including its container.
      payload_bytes: bytes of the coded packets only.
    """

    data: bytes
    payload_bytes: int


@dataclasses.dataclass(frozen=True)
class Coded:
    """A coded signal: `audio` float32, with shape and rate of the original, and the size of its `files` together."""

    audio: np.ndarray
    file_bytes: int
    payload_bytes: int
    files: int = 1


class Baseline(abc.ABC):
    """A codec at one rate.

    Attributes:
      name: of the codec, as in `opus:6`.
      kbps: requested rate; the actual rate is measured.
      description: settings, for reports.
      rates: sample rates in Hz that the encoder supports, ascending.
      mono: whether channels are coded separately, each in its own file, and equal ones once.
      delay: delay of the decoded audio that the container does not compensate, in samples at the coding rate.
      frame_rate: frames per second; None if it depends on the sample rate, or is unknown.
    """

    name: str
    kbps: float
    description: str
    rates: tuple[int, ...]
    mono: bool = False
    delay: int = 0
    frame_rate: float | None = None

    @abc.abstractmethod
    def encode(self, samples: np.ndarray, sample_rate: int) -> Encoded:
        """Encodes int16 [time, channels] at one of `rates` as a file."""

    @abc.abstractmethod
    def decode(self, data: bytes) -> tuple[np.ndarray, int]:
        """Decodes a file to float32 [time, channels] and its sample rate in Hz."""

    def file_bytes(self, encoded: Encoded) -> int:
        """Size of a file in bytes."""
        return len(encoded.data)

    def code(self, audio: np.ndarray, sample_rate: int) -> Coded:
        """Encodes to a file in memory and decodes it.

        The signal is resampled to the lowest supported rate that keeps its bandwidth, and back afterwards; the codec's
        delay is removed and the length restored.

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
        mapped = channel_map("each", audio.shape[1], 1, [audio] if self.mono else ())
        samples = mapped.forward(samples)
        parts = np.split(samples, mapped.coded, axis=1) if self.mono else [samples]
        decoded, file_bytes, payload_bytes = [], 0, 0
        for part in parts:
            encoded = self.encode(part, rate)
            out, out_rate = self.decode(encoded.data)
            if out.shape[1] != part.shape[1]:
                raise BaselineError(f"{self.name}: decoding gave {out.shape[1]} channels instead of {part.shape[1]}")
            out = out[self.delay * out_rate // rate :]
            decoded.append(_fit(resample(out, out_rate, sample_rate), len(audio)))
            file_bytes += self.file_bytes(encoded)
            payload_bytes += encoded.payload_bytes
        return Coded(mapped.backward(np.concatenate(decoded, axis=1)), file_bytes, payload_bytes, len(parts))


def _fit(audio: np.ndarray, length: int) -> np.ndarray:
    """Truncates or zero-pads [time, channels] to `length`."""
    audio = np.asarray(audio[:length], np.float32)
    return np.pad(audio, ((0, length - len(audio)), (0, 0)))

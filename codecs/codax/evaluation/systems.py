"""The systems of a comparison: the original, the anchors of listening tests, a codec or a baseline at one rate.

Each maps a signal to its coded version and the size of the coded file.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Protocol

import numpy as np

from codax.audio.channels import channel_map
from codax.baselines import anchors
from codax.baselines.base import Baseline
from codax.codec.checks import checked_denoise
from codax.containers import container
from codax.containers.codax_coding import describe
from codax.errors import CodaxError


@dataclasses.dataclass(frozen=True)
class Output:
    """A signal coded by a system.

    Attributes:
      audio: float32 [time, channels], aligned with the original and of its shape.
      file_bytes: size of the complete file; None for the original and anchors.
      payload_bytes: bytes of codes in it; None for the original and anchors.
      codes: int32 [streams, frames, quantizers] of a codec.
      streams: number of signals that are coded at the system's nominal rate each.
    """

    audio: np.ndarray
    file_bytes: int | None = None
    payload_bytes: int | None = None
    codes: np.ndarray | None = None
    streams: int = 1


class System(Protocol):
    """One system of a comparison.

    Attributes:
      key: its name in files and folders.
      label: its name for display.
      series: systems of one series are connected by a line in plots.
      kind: "original", "anchor", "codec", "baseline" or "decoded" (`codax.evaluation.decoded`).
      kbps: nominal kilobits per second of one stream (channel, for mono codecs); None for the original.
      quantizers: codebooks in use; None if it has none.
      frame_rate: frames per second of one stream; None if it has no frames.
      description: settings.
    """

    @property
    def key(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def series(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def kbps(self) -> float | None: ...
    @property
    def quantizers(self) -> int | None: ...
    @property
    def frame_rate(self) -> float | None: ...
    @property
    def description(self) -> str: ...

    def __call__(self, audio: np.ndarray, sample_rate: int) -> Output:
        """Takes float32 [time, channels]."""
        ...


class Original:
    """The hidden reference, to which every other system is compared."""

    key, label, series, kind = "original", "original", "original", "original"
    kbps = quantizers = frame_rate = None
    description = "the signal itself"

    def __call__(self, audio: np.ndarray, sample_rate: int) -> Output:
        return Output(audio)


class Anchor:
    """The original, low-passed like an anchor of listening tests: a known degradation for comparison."""

    kind = "anchor"
    kbps = quantizers = frame_rate = None

    def __init__(self, name: str) -> None:
        """Args: a key of `codax.baselines.anchors.EDGES`."""
        self.key = self.series = name
        self._name = name
        self.label = f"low-pass {anchors.EDGES[name] / 1000:g} kHz"
        self.description = f"the signal itself, without frequencies above {anchors.EDGES[name]:g} Hz"

    def __call__(self, audio: np.ndarray, sample_rate: int) -> Output:
        return Output(anchors.anchor(self._name, audio, sample_rate))


class CodecSystem:
    """A trained codec at one rate; its file is the `.codax` container.

    Args:
      codec: a `codax.Codec` or anything with its `config`, `model_id`, `hash`, `encode` and `decode`.
      kbps: kilobits per second.
      name: in results; "" = the codec's own.
      channels: a mode of `codax.audio.channels`; equal channels are coded once, as in files.
      denoise: remove noise.

    Raises:
      ConfigError: the codec does not have that rate, or was not trained to denoise.
    """

    kind = "codec"

    def __init__(self, codec: Any, kbps: float, name: str = "", channels: str = "each", *, denoise: bool = False):
        config = codec.config
        self._channels, self._denoise = channels, checked_denoise(config, denoise)
        quantizers = config.quantizers_for(kbps)
        self._codec = codec
        self.kbps: float | None = config.kbps(quantizers)
        self.series = (name or codec.model_id) + (" denoised" if denoise else "")
        self.label = f"{self.series} {self.kbps:g} kbps"
        self.key = safe_name(f"{self.series}_{self.kbps:g}kbps")
        self.description = (
            f"{config.model.family}, {config.model.sample_rate} Hz, {quantizers} quantizers of "
            f"{config.quantizer.codebook_size} entries at {config.frame_rate:g} Hz"
            f"{'' if channels == 'each' else f', channels: {channels}'}"
        )
        self.quantizers: int | None = quantizers

    @property
    def frame_rate(self) -> float:
        """Code frames per second of one stream."""
        return self._codec.config.frame_rate

    @property
    def codebook_size(self) -> int:
        return self._codec.config.quantizer.codebook_size

    def first_vectors(self, codes: np.ndarray) -> np.ndarray:
        """Entries of the first codebook for codes, float32 [streams, frames, dimension]; other levels are ignored."""
        return self._codec.vectors(codes[..., :1])

    def __call__(self, audio: np.ndarray, sample_rate: int) -> Output:
        mapped = channel_map(self._channels, audio.shape[1], self._codec.config.model.audio_channels, [audio])
        options = {"denoise": True} if self._denoise else {}
        tokens = self._codec.encode(mapped.forward(audio)[None], sample_rate=sample_rate, kbps=self.kbps, **options)
        codes = np.asarray(tokens.codes)
        shape = {"sample_rate": sample_rate, "channels": mapped, "num_quantizers": codes.shape[2]}
        meta = describe(self._codec, **shape, denoise=self._denoise)
        file = container.pack(codes, dataclasses.replace(meta, num_samples=len(audio)), tokens.scales)
        decoded = mapped.backward(np.asarray(self._codec.decode(tokens), np.float32)[0])
        if decoded.shape != (len(audio), mapped.restored):
            raise CodaxError(f"{self.label}: gave audio of shape {decoded.shape} for {audio.shape}")
        decoded = np.repeat(decoded, audio.shape[1] // mapped.restored, axis=1)  # a mix plays in every channel
        payload = container.parse_header(file, len(file))[0].payload_bytes
        return Output(decoded, len(file), payload, codes, mapped.streams)


class BaselineSystem:
    """A classical codec at one rate."""

    kind = "baseline"
    quantizers = None

    def __init__(self, baseline: Baseline):
        self._baseline = baseline
        self.kbps: float | None = baseline.kbps
        self.frame_rate = baseline.frame_rate
        self.series = baseline.name
        self.label = f"{baseline.name} {baseline.kbps:g} kbps"
        self.key = safe_name(f"{baseline.name}_{baseline.kbps:g}kbps")
        self.description = baseline.description

    def __call__(self, audio: np.ndarray, sample_rate: int) -> Output:
        coded = self._baseline.code(audio, sample_rate)
        return Output(coded.audio, coded.file_bytes, coded.payload_bytes, streams=coded.files)


def safe_name(text: str) -> str:
    """Makes a name safe for all file systems: letters, digits, dot, dash and underscore."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")
    return name or "unnamed"

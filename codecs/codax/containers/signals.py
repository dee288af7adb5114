"""Audio files as blocks at a model's rate, split into streams, and the report of coding a file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from codax import audio
from codax.audio.channels import ChannelMap
from codax.audio.stream import equal_blocks
from codax.config import Config

_BLOCK_SECONDS = 8.0  # of audio per call of the model, over all streams

Progress = Callable[[float], None]  # called with the seconds of audio done so far


@dataclasses.dataclass(frozen=True)
class Report:
    """Result of coding a file: seconds of audio, bytes of the container, elapsed seconds without loading the model."""

    seconds: float
    file_bytes: int
    elapsed: float
    damage: str = ""  # the concealed damage
    rates: str = ""  # of encoding: the sum of the nominal rates of several channels

    @property
    def kbps(self) -> float:
        """Kilobits per second of the whole file, including its header."""
        return 8 * self.file_bytes / self.seconds / 1000 if self.seconds else 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio per second of work."""
        return self.seconds / max(self.elapsed, 1e-9)

    @property
    def summary(self) -> str:
        """The numbers in one line."""
        rates = f"{self.rates}, " if self.rates else ""
        return (
            f"{self.seconds:,.2f} s, {self.file_bytes:,} bytes, {self.kbps:.2f} kbps, {rates}"
            f"{self.real_time_factor:.1f}x real time"
        )

    @staticmethod
    def total(reports: Sequence[Report], elapsed: float) -> Report:
        """Sums the reports of files that were coded in `elapsed` seconds; their rates are kept if they are equal."""
        rates = {report.rates for report in reports}
        seconds, size = sum(report.seconds for report in reports), sum(report.file_bytes for report in reports)
        return Report(seconds, size, elapsed, rates=rates.pop() if len(rates) == 1 else "")


def split_streams(block: np.ndarray, group: int) -> np.ndarray:
    """Splits [time, channels] into [streams, time, group]; the last channel is repeated to fill the last stream."""
    missing = -block.shape[1] % group
    if missing:
        block = np.concatenate([block, np.repeat(block[:, -1:], missing, axis=1)], axis=1)
    return np.ascontiguousarray(block.reshape(len(block), -1, group).transpose(1, 0, 2), np.float32)


def join_streams(streams: np.ndarray, channels: int) -> np.ndarray:
    """Inverts `split_streams`: joins [streams, time, group] to [time, channels].

    For a single channel the copies are averaged; other copies are dropped.
    """
    block = streams.transpose(1, 0, 2).reshape(streams.shape[1], streams.shape[0] * streams.shape[2])
    return block.mean(axis=1, keepdims=True) if channels == 1 else block[:, :channels]


def block_samples(config: Config, streams: int) -> int:
    """Returns the samples per call of the model: a power-of-two number of frames, as streams run in one piece."""
    frames = max(1, round(_BLOCK_SECONDS / max(2, streams) * config.frame_rate))
    return config.hop << (frames.bit_length() - 1)


def model_blocks(
    source: str | os.PathLike[str],
    described: audio.AudioInfo,
    rate: int,
    size: int,
    count: Callable[[int], None] = lambda frames: None,
    mapped: ChannelMap | None = None,
) -> Iterator[np.ndarray]:
    """Yields an audio file at `rate` Hz in blocks float32 [size, coded channels]; the last one is shorter.

    `count` is called with the number of samples per channel, at the file's rate, of every part that is read. `mapped`
    has the coded channels; None = those of the file.
    """
    mapped = mapped or ChannelMap(described.channels)
    resample = audio.StreamResampler(described.rate, rate, mapped.coded)

    def pieces() -> Iterator[np.ndarray]:
        for block in audio.blocks(source, size / rate):
            count(len(block))
            coded = mapped.forward(block)
            if mapped.shared and not np.array_equal(mapped.backward(coded), block):
                raise audio.AudioError(f"{os.fspath(source)}: changed while it was read")
            yield resample(coded)
        yield resample(np.zeros((0, mapped.coded), np.float32), last=True)

    return equal_blocks(pieces(), size)

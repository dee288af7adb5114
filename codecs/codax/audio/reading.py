"""Reads audio files as float32 arrays [time, channels]; raises `AudioError` for every file that cannot be used.

Compressed audio is read to the end of its stream, whatever an estimate of its length says. Files are not trusted:
unreadable, empty and truncated files, absurd rates and channel counts, and non-finite samples are errors. 16-bit PCM
maps exactly to integer / 32768, so that reading and writing is lossless.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from codax.audio.decoders import open_stream
from codax.audio.resampling import StreamResampler, resample
from codax.audio.stream import AudioError, Stream
from codax.storage import files

# fmt: off
AUDIO_SUFFIXES = frozenset([
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm", ".mka", ".wma", ".aif", ".aiff",
    ".aifc", ".caf", ".au", ".snd", ".w64", ".rf64", ".sph", ".g722", ".amr", ".awb", ".wv", ".ape", ".ac3",
])
# fmt: on
_CHUNK = 1 << 16  # frames decoded at once


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """The properties a file states: sample rate in Hz, channels, and frames (samples per channel)."""

    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def read(path: str | os.PathLike[str], *, sample_rate: int | None = None) -> tuple[np.ndarray, int]:
    """Reads a whole file.

    Args:
      path: audio file.
      sample_rate: resample to this rate in Hz; None keeps the rate of the file.

    Returns:
      float32 [time, channels] and the rate in Hz.

    Raises:
      AudioError: missing, unreadable, empty or truncated file, or non-finite samples.
    """
    path = Path(path)
    with open_stream(path) as stream:
        parts = list(_checked(path, stream, _CHUNK))
        audio = parts[0] if len(parts) == 1 else np.concatenate(parts)
        rate = stream.rate
    if sample_rate is not None and sample_rate != rate:
        return resample(audio, rate, sample_rate), sample_rate
    return audio, rate


def blocks(
    path: str | os.PathLike[str], block_seconds: float, *, sample_rate: int | None = None
) -> Iterator[np.ndarray]:
    """Yields a file as float32 [time, channels] blocks of `block_seconds` (the last is shorter), in bounded memory.

    With `sample_rate` (Hz) the blocks are resampled as one continuous signal; their lengths then vary slightly.

    Raises:
      AudioError: as `read`; truncation is detected at the end of the file.
    """
    path = Path(path)
    with open_stream(path) as stream:
        size = max(1, round(block_seconds * stream.rate))
        if sample_rate is None or sample_rate == stream.rate:
            yield from _checked(path, stream, size)
            return
        resampler = StreamResampler(stream.rate, sample_rate, stream.channels)
        for block in _checked(path, stream, size):
            out = resampler(block)
            if len(out):
                yield out
        out = resampler(np.zeros((0, stream.channels), np.float32), last=True)
        if len(out):
            yield out


def excerpt(path: str | os.PathLike[str], start: int, frames: int | None = None) -> np.ndarray:
    """Reads at most `frames` frames (None = all) from frame `start` on, seeking if the format allows it.

    Returns:
      float32 [time, channels] at the rate of the file; shorter, or empty, if the file ends earlier.

    Raises:
      AudioError: missing, unreadable or damaged file, or non-finite samples.
    """
    path = Path(path)
    with open_stream(path, whole=False) as stream:
        skip, parts, remaining = start, [np.zeros((0, stream.channels), np.float32)], frames
        if stream.seek is not None:
            if stream.frames is not None and start >= stream.frames:
                return parts[0]
            stream.seek(start)
            skip = 0
        for chunk in stream.chunks(_CHUNK if remaining is None else min(_CHUNK, max(1, remaining + skip))):
            part = chunk[skip:] if remaining is None else chunk[skip : skip + remaining]
            skip = max(0, skip - len(chunk))
            parts.append(part)
            if remaining is not None:
                remaining -= len(part)
                if remaining <= 0:
                    break
        out = np.concatenate(parts)
    if not np.isfinite(out).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers")
    return out


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """Rate, channels and frames of a file; decodes it only if the length is not known, or does not hold.

    Raises:
      AudioError: missing, unreadable, empty or truncated file.
    """
    path = Path(path)
    with open_stream(path) as stream:
        rate, channels, frames = stream.rate, stream.channels, stream.frames
        whole = frames is not None and _reaches_end(stream, frames)
    if not whole:
        with open_stream(path) as stream:
            frames = sum(len(chunk) for chunk in _checked(path, stream, _CHUNK))
    if not frames:
        raise AudioError(f"{path}: holds no audio")
    return AudioInfo(rate, channels, frames)


def _reaches_end(stream: Stream, frames: int) -> bool:
    """Whether the last of the frames that a file promises can be read."""
    if stream.seek is None or not frames:
        return not frames
    try:
        stream.seek(frames - 1)
        return next(stream.chunks(1), None) is not None
    except AudioError:
        return False


def _checked(path: Path, stream: Stream, size: int) -> Iterator[np.ndarray]:
    """Yields blocks of `size` frames; raises `AudioError` if the stream is empty, truncated or not finite."""
    total = 0
    for chunk in stream.chunks(size):
        if not np.isfinite(chunk).all():
            raise AudioError(f"{path}: holds samples that are not finite numbers")
        total += len(chunk)
        yield chunk
    if total == 0:
        raise AudioError(f"{path}: holds no audio")
    if total < stream.at_least:
        raise AudioError(f"{path}: truncated: {total} of about {stream.at_least} frames can be read")


def files_below(folder: Path) -> list[Path]:
    """The audio files below a folder, at any depth, sorted by path; links are followed, hidden files are not audio."""
    return sorted(map(Path, files.files_below(folder, AUDIO_SUFFIXES)))

"""Audio files in and out: float32 arrays [time, channels], one clear `AudioError` for every file that cannot be used.

soundfile (libsndfile) reads what it can; PyAV (FFmpeg) reads the rest: m4a, webm, AMR, raw G.722 and others. Files are
not trusted: an unreadable, empty or truncated file and one with non-finite samples are errors. 16-bit PCM is exactly
integer / 32768 in both directions, so that reading and writing changes nothing. Output is written to a temporary file
beside the target and moved into place when it is complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
import soxr

from codax.decoders import LOSSY, AudioError, Stream, open_stream
from codax.files import Part

# fmt: off
AUDIO_SUFFIXES = frozenset([
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm", ".mka", ".wma", ".aif", ".aiff",
    ".aifc", ".caf", ".au", ".snd", ".w64", ".rf64", ".sph", ".g722", ".amr", ".awb", ".wv", ".ape", ".ac3",
])
# fmt: on
_CHUNK = 1 << 16  # frames decoded at a time
# extension: (libsndfile format, default subtype)
_WRITERS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".au": ("AU", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What a file says about itself: samples per second, channels, and frames (samples per channel)."""

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
      sample_rate: resample to this rate in Hz; None keeps the file's.

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
    """Yields the file as float32 [time, channels] blocks of `block_seconds` (the last is shorter), in bounded memory.

    With `sample_rate` (Hz) the blocks are resampled as one continuous signal, and then vary a little in length.

    Raises:
      AudioError: as `read`; a truncated file is noticed at its end.
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
    """Reads at most `frames` frames (None = all) from frame `start` on, without decoding what comes before if possible.

    Returns:
      float32 [time, channels] at the file's rate; shorter, or of no length, where the file ends earlier.

    Raises:
      AudioError: missing, unreadable or damaged file, or non-finite samples.
    """
    path = Path(path)
    with open_stream(path) as stream:
        skip, parts, left = start, [np.zeros((0, stream.channels), np.float32)], frames
        if stream.seek is not None:
            if stream.frames is not None and start >= stream.frames:
                return parts[0]
            try:
                skip = min(start, stream.preroll)
                stream.seek(start - skip)
            except (soundfile.LibsndfileError, RuntimeError):
                return parts[0]  # beyond the end of a file whose length is an estimate
        for chunk in stream.chunks(_CHUNK if left is None else min(_CHUNK, max(1, left + skip))):
            part = chunk[skip:] if left is None else chunk[skip : skip + left]
            skip = max(0, skip - len(chunk))
            parts.append(part)
            if left is not None:
                left -= len(part)
                if left <= 0:
                    break
        out = np.concatenate(parts)
    if not np.isfinite(out).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers")
    return out


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """Rate, channels and frames of a file; decodes only where the header does not tell the length.

    Raises:
      AudioError: missing, unreadable or empty file.
    """
    path = Path(path)
    with open_stream(path) as stream:
        frames = stream.frames
        if frames is None:
            frames = sum(len(chunk) for chunk in _checked(path, stream, _CHUNK))
        if frames <= 0:
            raise AudioError(f"{path}: holds no audio")
        return AudioInfo(stream.rate, stream.channels, frames)


def _checked(path: Path, stream: Stream, size: int) -> Iterator[np.ndarray]:
    """The stream in blocks of `size` frames; raises `AudioError` for what is empty, truncated or not finite."""
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


def write(path: str | os.PathLike[str], audio: np.ndarray, rate: int, *, subtype: str | None = None) -> None:
    """Writes audio [time, channels] (or [time]) at `rate` Hz; the format follows the extension.

    PCM formats get 16 bits unless `subtype` ("PCM_16", "PCM_24", "FLOAT") says otherwise. Values beyond full scale are
    clipped in integer formats.

    Raises:
      AudioError: unknown extension, samples that are not finite, missing folder, full disk. Nothing is left behind.
    """
    audio = np.asarray(audio)
    if audio.ndim == 1:
        audio = audio[:, None]
    if audio.ndim != 2:
        raise AudioError(f"{path}: audio to write has shape {audio.shape}, expected [time, channels]")
    with AudioWriter(path, rate, audio.shape[1], subtype=subtype) as writer:
        for start in range(0, len(audio), _CHUNK * 16):
            writer.write(audio[start : start + _CHUNK * 16])


class AudioWriter:
    """Writes a file block by block: `with AudioWriter(path, rate, channels) as w: w.write(block)`.

    The file appears under its name when the block ends normally; an exception leaves nothing behind, and an earlier
    file of that name as it was.
    """

    def __init__(self, path: str | os.PathLike[str], rate: int, channels: int, *, subtype: str | None = None):
        """Checks the target and opens a temporary file beside it.

        Raises:
          AudioError: unknown extension, unsupported rate or channel count, missing folder, not writable.
        """
        self.path = Path(path)
        self.rate, self.channels, self.frames = rate, channels, 0
        suffix = self.path.suffix.lower()
        if suffix not in _WRITERS:
            raise AudioError(
                f"{path}: cannot write '{suffix or self.path.name}' files; known: {', '.join(sorted(_WRITERS))}"
            )
        self._format, default = _WRITERS[suffix]
        self._subtype = subtype or default
        self._part = Part(self.path, AudioError)
        os.close(self._part.number)
        try:
            self._file = soundfile.SoundFile(
                str(self._part.temporary),
                "w",
                samplerate=rate,
                channels=channels,
                format=self._format,
                subtype=self._subtype,
            )
        except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
            self._discard()
            reason = getattr(error, "error_string", str(error)).rstrip(".")
            raise AudioError(f"{path}: cannot write {channels} channels at {rate} Hz ({reason})") from error

    def write(self, block: np.ndarray) -> None:
        """Appends float or int16 samples [time, channels] (or [time] for one channel)."""
        block = np.asarray(block)
        if block.ndim == 1:
            block = block[:, None]
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise AudioError(f"{self.path}: block of shape {block.shape} for a file of {self.channels} channels")
        if block.dtype != np.int16 and not np.isfinite(block).all():
            raise AudioError(f"{self.path}: audio to write holds samples that are not finite numbers")
        try:
            self._file.write(_samples_for(self._subtype, block))
        except (soundfile.LibsndfileError, RuntimeError, AssertionError, OSError) as error:
            raise AudioError(f"{self.path}: cannot be written ({_reason(error)})") from error
        self.frames += len(block)

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self._discard()
        else:
            self._finish()

    def _finish(self) -> None:
        try:
            self._file.close()
            with self._part.temporary.open("rb+") as file:
                os.fsync(file.fileno())  # a full disk may show only here
            # libsndfile does not report every failed write at close, so the result is looked at once.
            if self.frames and self._format not in LOSSY:
                found = soundfile.info(str(self._part.temporary)).frames
                if found != self.frames:
                    raise OSError(f"{found} of {self.frames} frames were stored; is the disk full?")
            self._part.publish()
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            self._discard()
            raise AudioError(f"{self.path}: cannot be written ({_reason(error)})") from error

    def _discard(self) -> None:
        if hasattr(self, "_file"):
            with contextlib.suppress(Exception):
                self._file.close()
        self._part.discard()


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or getattr(error, "error_string", None) or error).rstrip(".")
    if isinstance(error, AssertionError) or text == "System error":  # libsndfile's words for a failed write
        return "not everything could be stored; is the disk full?"
    return text


def _samples_for(subtype: str, block: np.ndarray) -> np.ndarray:
    """Samples as libsndfile should store them.

    libsndfile scales floats by 32767 when it writes and by 1/32768 when it reads; integers are passed to keep what was
    read exactly.
    """
    if subtype == "PCM_16":
        return to_int16(block)
    block = from_int16(block) if block.dtype == np.int16 else block
    if subtype == "PCM_24":
        return (np.clip(np.rint(block.astype(np.float64) * 2**23), -(2**23), 2**23 - 1)).astype(np.int32) << 8
    if subtype in ("FLOAT", "DOUBLE"):
        return np.asarray(block, np.float32)
    return np.clip(np.asarray(block, np.float32), -1.0, 1.0)


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Float samples in [-1, 1) to the nearest int16, clipped; int16 passes through."""
    if audio.dtype == np.int16:
        return audio
    return np.clip(np.rint(np.asarray(audio, np.float64) * 32768.0), -32768, 32767).astype(np.int16)


def from_int16(samples: np.ndarray) -> np.ndarray:
    """int16 samples to float32, exactly integer / 32768."""
    return samples.astype(np.float32) * np.float32(1.0 / 32768.0)


def files_below(folder: Path) -> list[Path]:
    """The audio files below a folder, at any depth, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())


def resampled_length(length: int, source_rate: int, target_rate: int) -> int:
    """Samples at `target_rate` Hz of a signal that has `length` at `source_rate` Hz; 0 only for an empty one."""
    return max(min(1, length), round(length * target_rate / source_rate))


def resample(audio: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Resamples float [time, channels] (or [time]) from `source_rate` to `target_rate` Hz with soxr's HQ filter.

    The output has `resampled_length` frames, the same float32 layout and no delay.

    Raises:
      AudioError: a rate that is not positive.
    """
    if source_rate <= 0 or target_rate <= 0:
        raise AudioError(f"cannot resample from {source_rate} to {target_rate} Hz")
    audio = np.asarray(audio, np.float32)
    if source_rate == target_rate or len(audio) == 0:
        return audio
    length = resampled_length(len(audio), source_rate, target_rate)
    out = np.asarray(soxr.resample(audio, source_rate, target_rate, quality="HQ"), np.float32)
    if len(out) < length:  # soxr's own rounding can differ by a frame
        out = np.concatenate([out, np.zeros((length - len(out), *out.shape[1:]), np.float32)])
    return np.ascontiguousarray(out[:length])


class StreamResampler:
    """Resamples a signal that arrives in blocks: call it with each block, and with `last=True` for the last one.

    All blocks together are as long as `resample` makes the whole signal.
    """

    def __init__(self, source_rate: int, target_rate: int, channels: int):
        if source_rate <= 0 or target_rate <= 0:
            raise AudioError(f"cannot resample from {source_rate} to {target_rate} Hz")
        self._stream = (
            None
            if source_rate == target_rate
            else soxr.ResampleStream(source_rate, target_rate, channels, dtype="float32", quality="HQ")
        )
        self._rates = source_rate, target_rate
        self._channels = channels
        self._taken = self._given = 0

    def __call__(self, block: np.ndarray, *, last: bool = False) -> np.ndarray:
        """Takes float32 [time, channels] (0 frames allowed), returns what can be told of the output so far."""
        block = np.ascontiguousarray(block, np.float32)
        if self._stream is None:
            return block
        out = np.asarray(self._stream.resample_chunk(block, last=last), np.float32).reshape(-1, self._channels)
        self._taken += len(block)
        if last:
            missing = resampled_length(self._taken, *self._rates) - self._given - len(out)
            out = np.pad(out, ((0, missing), (0, 0))) if missing >= 0 else out[:missing]
        self._given += len(out)
        return out

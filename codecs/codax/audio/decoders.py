"""Opens audio files of any format as streams of float32 blocks, with the checks that untrusted files need.

MPEG audio is read frame by frame; soundfile (libsndfile) reads most of the rest, and PyAV (FFmpeg) what it cannot.
"""

from __future__ import annotations

import contextlib
import functools
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from codax.audio.ffmpeg import RAW, open_ffmpeg
from codax.audio.mpeg import begins_with, open_mpeg
from codax.audio.stream import AudioError, Stream, check_range
from codax.storage.files import refuse_pointer, require_file

_UNKNOWN_LENGTH = 1 << 60  # libsndfile reports a huge number of frames if the header does not state it
# Ogg files of Vorbis and Opus have an order of channels of their own: its positions of the channels in WAV's order.
VORBIS_ORDER = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}
LOSSY = ("MP3", "MPEG", "OGG")  # formats that may hold a different number of frames than was written

# The start of a stream, by format: files of these formats may be joined.
_STARTS = {"OGG": b"OggS\0\2", "FLAC": b"fLaC\0\0\0\x22"}
_CHUNK = 1 << 16  # bytes or frames read at once
_LAST_PAGE = 10  # seconds
# libsndfile silently shortens files, but logs the stated and the actual size.
_SHORTENED = re.compile(r"(?:Data Size|riff|BODY) *: (\d+) \(should be (\d+)\)")
_SHORTENED_RF64 = re.compile(r"frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_STREAMED = 0x7FFFF000  # programs that stream do not know the length and write 0 or the largest values
_NIST_SAMPLES = re.compile(rb"\nsample_count -i (\d+)")


@contextlib.contextmanager
def open_stream(path: Path, *, whole: bool = True) -> Iterator[Stream]:
    """Opens `path`; `whole`: to read all of it, which is worth a search for joined streams in large files.

    Raises:
      AudioError: missing, not a file, empty, truncated, of an unknown format, or with an absurd rate.
    """
    require_file(path, AudioError)
    with contextlib.ExitStack() as stack:
        try:
            stream = _opened(path, stack, whole)
        except OSError as error:
            raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error
        check_range(path, stream.rate, stream.channels)
        yield stream


def _opened(path: Path, stack: contextlib.ExitStack, whole: bool) -> Stream:
    status, handle, reason = path.stat(), None, ""
    if status.st_size == 0:
        raise AudioError(f"{path}: empty file")
    refuse_pointer(path, AudioError)
    file = stack.enter_context(path.open("rb"))
    may_be_mpeg, is_mpeg = begins_with(file)
    if is_mpeg:
        return open_mpeg(path, file)
    _refuse_cut_container(path)
    # For a tag, a sync word or the suffix, libsndfile would use libmpg123, which prints notes and stops at its estimate
    # of the length. The suffix of a file that is open is hidden from it.
    if not may_be_mpeg and path.suffix.lower() not in RAW:
        hidden = path.suffix.lower() == ".mp3"
        try:
            name = stack.enter_context(path.open("rb")).fileno() if hidden else str(path)
            handle = stack.enter_context(soundfile.SoundFile(name, closefd=False))
        except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
            reason = getattr(error, "error_string", str(error))
    if handle is not None and handle.format == "FLAC" and not 0 < handle.frames < _UNKNOWN_LENGTH:
        handle = None  # written to a pipe, without its length: libsndfile cannot read its end
    if handle is None:
        stream = stack.enter_context(open_ffmpeg(path, reason))
        return open_mpeg(path, file) if stream.format == "mp3" else stream
    begin = _STARTS.get(handle.format) if whole or handle.format == "OGG" else None
    if begin and _joined(path, status.st_size, status.st_mtime_ns, begin):
        if handle.format == "FLAC":
            raise AudioError(f"{path}: holds several FLAC streams, and the header states the length of the first only")
        return stack.enter_context(open_ffmpeg(path))  # libsndfile ends with the first stream
    _refuse_shortened(path, handle)
    return _stream(path, handle)


def _stream(path: Path, handle: soundfile.SoundFile) -> Stream:
    """The stream of a file that libsndfile reads."""

    def checked(use: Callable[..., Any], *values: int, **options: Any) -> Any:
        try:
            return use(*values, **options)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise AudioError(f"{path}: damaged ({getattr(error, 'error_string', error)})") from error

    def chunks(size: int) -> Iterator[np.ndarray]:
        while len(chunk := checked(handle.read, size, dtype="float32", always_2d=True)):
            yield chunk if order is None else chunk[:, order]

    def seek(frame: int) -> None:
        # libsndfile misses its target within the last page of Vorbis, which lasts some seconds at most.
        last = max(0, handle.frames - _LAST_PAGE * handle.samplerate) if handle.subtype == "VORBIS" else frame
        checked(handle.seek, min(frame, last))
        for position in range(last, frame, _CHUNK):
            checked(handle.read, min(_CHUNK, frame - position), dtype="float32")

    frames = handle.frames if handle.frames < _UNKNOWN_LENGTH else None
    is_estimate = handle.format in LOSSY or handle.subtype.startswith("MPEG")
    at_least = 0 if is_estimate else frames or 0
    order = VORBIS_ORDER.get(handle.channels) if handle.format == "OGG" else None
    seeks = frames is not None and handle.seekable()
    return Stream(handle.samplerate, handle.channels, frames, at_least, chunks, seek if seeks else None)


@functools.lru_cache(maxsize=1 << 12)
def _joined(path: Path, size: int, changed: int, start: bytes) -> bool:
    """Whether a second stream begins in the file; `size` and `changed` are those of the file that was opened."""
    kept, count = b"", 0
    with path.open("rb") as file:
        while count < 2 and (chunk := file.read(_CHUNK)):
            count += (kept + chunk).count(start)
            kept = (kept + chunk)[1 - len(start) :]
    return count > 1


def _refuse_shortened(path: Path, handle: soundfile.SoundFile) -> None:
    """Raises `AudioError` for files that libsndfile shortened because they end too early."""
    log, frames = handle.extra_info, handle.frames
    if handle.format in ("AU", "W64", "SVX") and (match := _SHORTENED.search(log)):
        stated, actual = map(int, match.groups())
        if actual < stated < _STREAMED:
            raise AudioError(f"{path}: truncated: has {actual} of {stated} bytes of audio data")
    stated = 0
    if handle.format == "RF64" and (match := _SHORTENED_RF64.search(log)):
        stated = int(match[2])
    if handle.format == "NIST":
        with path.open("rb") as file:
            match = _NIST_SAMPLES.search(file.read(1024))
        stated = int(match[1]) if match else 0
    if frames < stated:
        raise AudioError(f"{path}: truncated: has {frames} of {stated} frames")


def _refuse_cut_container(path: Path) -> None:
    """Raises `AudioError` for WAV, AIFF, CAF and Ogg files that end before their last chunk or page does.

    libsndfile silently shortens such files.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(12)
        if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
            position = 12
            while position + 8 <= size:
                file.seek(position)
                name, length = struct.unpack("<4sI", file.read(8))
                if name == b"data":
                    if length < _STREAMED and position + 8 + length > size:
                        raise AudioError(
                            f"{path}: truncated: has {size - position - 8} of {length} bytes of audio data"
                        )
                    return
                position += 8 + length + length % 2
        elif magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
            length = 8 + struct.unpack(">I", magic[4:8])[0]
            if length > size + 1:
                raise AudioError(f"{path}: truncated: has {size} of {length} bytes")
        elif magic[:4] == b"caff":
            position = 8
            while position + 12 <= size:
                file.seek(position)
                name, length = struct.unpack(">4sq", file.read(12))
                position += 12 + max(0, length)
                if length >= 0 and position > size:
                    raise AudioError(f"{path}: truncated: has {size} of {position} bytes")
                if length < 0:
                    return  # the length is not known, so that this chunk is the last
        elif magic[:4] == b"OggS":
            file.seek(max(0, size - (1 << 17)))  # pages have at most 65,307 bytes
            tail = file.read()
            start = tail.rfind(b"OggS")
            header = tail[start : start + 27] if start >= 0 else b""
            lacing = tail[start + 27 : start + 27 + header[26]] if len(header) == 27 else b""
            if not lacing or start + 27 + header[26] + sum(lacing) > len(tail):
                raise AudioError(f"{path}: truncated: the last Ogg page is not complete")

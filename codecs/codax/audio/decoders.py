"""Opens audio files of any format as streams of float32 blocks, with the checks that untrusted files need.

soundfile (libsndfile) is tried first; PyAV (FFmpeg) decodes the rest: m4a, webm, AMR, raw G.722 and others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from codax.errors import CodaxError
from codax.storage.files import refuse_pointer

_UNKNOWN_LENGTH = 1 << 60  # libsndfile reports a huge number of frames if the header does not state it
_ESTIMATED_LENGTH = ("MP3", "MPEG")  # formats whose frame count may be an estimate
LOSSY = ("MP3", "MPEG", "OGG")  # formats that may hold a different number of frames than was written

# FFmpeg's demuxers are restricted to plain media files: playlists and similar could open other files or the network.
_FFMPEG_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,eac3,flac,g722,matroska,webm,mov,mp3,mp4,"
    "mpegts,ogg,tta,voc,w64,wav,wv",
}
_FFMPEG_RAW = {".g722": "g722"}  # headerless: the extension determines the format


class AudioError(CodaxError):
    """An audio file cannot be read or written; the message names the file and the reason."""


@dataclasses.dataclass
class Stream:
    """An open file; `chunks` yields float32 [time, channels] until its end.

    `frames` is exact, or None if only decoding can tell. Fewer than `at_least` frames mean a truncated file.
    """

    rate: int
    channels: int
    frames: int | None
    at_least: int
    chunks: Callable[[int], Iterator[np.ndarray]]
    seek: Callable[[int], object] | None = None
    preroll: int = 0  # frames to decode and drop after a seek


@contextlib.contextmanager
def open_stream(path: Path) -> Iterator[Stream]:
    """Opens `path` with soundfile, or with PyAV if soundfile does not know the format."""
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, not an audio file")
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    try:
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: empty file")
        refuse_pointer(path, AudioError)
        _refuse_cut_container(path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error
    handle, reason = None, ""
    if path.suffix.lower() not in _FFMPEG_RAW:
        try:
            handle = soundfile.SoundFile(str(path))
        except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
            reason = getattr(error, "error_string", str(error))
    if handle is None:
        with _open_ffmpeg(path, reason) as stream:
            yield stream
        return
    with handle:
        known = handle.frames < _UNKNOWN_LENGTH

        def chunks(size: int) -> Iterator[np.ndarray]:
            while True:
                try:
                    chunk = handle.read(size, dtype="float32", always_2d=True)
                except (soundfile.LibsndfileError, RuntimeError) as error:
                    raise AudioError(f"{path}: damaged ({getattr(error, 'error_string', error)})") from error
                if len(chunk):
                    yield chunk
                if len(chunk) < size:
                    return

        frames = handle.frames if known and handle.format not in _ESTIMATED_LENGTH else None
        at_least = 0 if handle.format in LOSSY else frames or 0
        seek = handle.seek if known and handle.seekable() else None
        preroll = 8192 if handle.format in _ESTIMATED_LENGTH else 0  # MP3 frames depend on earlier ones
        yield Stream(handle.samplerate, handle.channels, frames, at_least, chunks, seek, preroll)


def _refuse_cut_container(path: Path) -> None:
    """Raises `AudioError` for WAV, AIFF and Ogg files that end before their last chunk or page does.

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
                # Programs that stream do not know the length and write 0 or the largest values.
                if name == b"data":
                    if length < 0x7FFFF000 and position + 8 + length > size:
                        raise AudioError(
                            f"{path}: truncated: has {size - position - 8} of {length} bytes of audio data"
                        )
                    return
                position += 8 + length + length % 2
        elif magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
            length = 8 + struct.unpack(">I", magic[4:8])[0]
            if length > size + 1:
                raise AudioError(f"{path}: truncated: has {size} of {length} bytes")
        elif magic[:4] == b"OggS":
            file.seek(max(0, size - (1 << 17)))  # pages have at most 65,307 bytes
            tail = file.read()
            start = tail.rfind(b"OggS")
            header = tail[start : start + 27] if start >= 0 else b""
            lacing = tail[start + 27 : start + 27 + header[26]] if len(header) == 27 else b""
            if not lacing or start + 27 + header[26] + sum(lacing) > len(tail):
                raise AudioError(f"{path}: truncated: the last Ogg page is not complete")


@contextlib.contextmanager
def _open_ffmpeg(path: Path, reason: str) -> Iterator[Stream]:
    """Opens `path` with PyAV; `reason` is the error of soundfile, for the message."""
    import av

    raw_format = _FFMPEG_RAW.get(path.suffix.lower())
    try:
        container = av.open(str(path), format=raw_format, options=dict(_FFMPEG_OPTIONS))
    except (av.FFmpegError, OSError, ValueError) as error:
        detail = reason.rstrip(".") or getattr(error, "strerror", None) or str(error)
        raise AudioError(f"{path}: not a readable audio file ({detail})") from error
    with container:
        if not container.streams.audio:
            raise AudioError(f"{path}: holds no audio stream")
        source = container.streams.audio[0]
        rate, channels = source.codec_context.sample_rate, source.codec_context.channels
        if not rate or not channels:
            raise AudioError(f"{path}: not a readable audio file (no sample rate or channels)")
        frames = 2 * path.stat().st_size if raw_format == "g722" else None  # two samples per byte

        def decoded() -> Iterator[np.ndarray]:
            resampler = av.AudioResampler(format="fltp")
            try:
                for frame in container.decode(source):
                    if frame.sample_rate != rate or frame.layout.nb_channels != channels:
                        raise AudioError(f"{path}: sample rate or channels change within the file")
                    for out in resampler.resample(frame):
                        yield out.to_ndarray().T
            except (av.FFmpegError, ValueError, EOFError) as error:
                raise AudioError(f"{path}: damaged ({getattr(error, 'strerror', None) or error})") from error

        def chunks(size: int) -> Iterator[np.ndarray]:
            for block in equal_blocks(decoded(), size):
                yield np.ascontiguousarray(block, np.float32)

        at_least = 0
        if container.format.name.startswith(("mov", "matroska")):  # other formats only estimate the duration
            base = source.time_base or 0
            seconds = float(source.duration * base) if source.duration else (container.duration or 0) / av.time_base
            at_least = max(0, int((seconds - 0.5) * rate))  # tolerates priming and padding
        yield Stream(rate, channels, frames, at_least, chunks)


def equal_blocks(pieces: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Regroups a stream of arrays [time, ...] into blocks of `size`; the last one may be shorter, but not empty."""
    pending: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        pending.append(piece)
        count += len(piece)
        if count < size:
            continue
        joined = np.concatenate(pending)
        whole = count // size * size
        for start in range(0, whole, size):
            yield joined[start : start + size]
        pending, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(pending)

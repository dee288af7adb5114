"""Audio files that only PyAV (FFmpeg) decodes: m4a, webm, AMR, raw G.722 and others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from codax.audio.stream import AudioError, Stream, check_range, equal_blocks

# FFmpeg's demuxers are restricted to plain media files: playlists and similar could open other files or the network.
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,eac3,flac,g722,matroska,webm,mov,mp3,mp4,"
    "mpegts,ogg,tta,voc,w64,wav,wv",
}
RAW = {".g722": "g722"}  # headerless: the extension determines the format
_PROMISING = ("mov", "matroska", "asf", "ape", "wv", "tta", "caf", "flac")  # their duration is not an estimate
_TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64}


@contextlib.contextmanager
def open_ffmpeg(path: Path, reason: str = "") -> Iterator[Stream]:
    """Opens `path` with PyAV; `reason` is the error of soundfile, for the message."""
    import av

    raw_format = RAW.get(path.suffix.lower())
    try:
        container = av.open(str(path), format=raw_format, options=dict(_OPTIONS))
    except (av.FFmpegError, OSError, ValueError) as error:
        detail = reason.rstrip(".") or getattr(error, "strerror", None) or str(error)
        raise AudioError(f"{path}: not a readable audio file ({detail})") from error
    with container:
        if not container.streams.audio:
            raise AudioError(f"{path}: holds no audio stream")
        source = container.streams.audio[0]
        if source.codec_context is None:
            raise AudioError(f"{path}: not a readable audio file (no decoder for its codec)")
        rate, channels = source.codec_context.sample_rate, source.codec_context.channels
        if not rate or not channels:
            raise AudioError(f"{path}: not a readable audio file (no sample rate or channels)")
        check_range(path, rate, channels)
        stated = _channels_of_aac(source.codec_context.extradata) if source.codec_context.name == "aac" else 0
        if stated and channels > max(2, stated):  # parametric stereo makes two channels of one
            raise AudioError(f"{path}: damaged (states {stated} channels, its frames have {channels})")
        frames = 2 * path.stat().st_size if raw_format == "g722" else None  # two samples per byte

        def decoded() -> Iterator[np.ndarray]:
            try:
                for frame in container.decode(source):
                    if frame.sample_rate != rate or frame.layout.nb_channels != channels:
                        raise AudioError(f"{path}: sample rate or channels change within the file")
                    yield samples_of(frame)
            except (av.FFmpegError, ValueError, EOFError) as error:
                raise AudioError(f"{path}: damaged ({getattr(error, 'strerror', None) or error})") from error

        def chunks(size: int) -> Iterator[np.ndarray]:
            for block in equal_blocks(decoded(), size):
                yield np.ascontiguousarray(block, np.float32)

        at_least = 0
        if container.format.name.startswith(_PROMISING):
            base = source.time_base or 0
            seconds = float(source.duration * base) if source.duration else (container.duration or 0) / av.time_base
            at_least = max(0, int((seconds - 0.5) * rate))  # tolerates priming and padding
        yield Stream(rate, channels, frames, at_least, chunks, format=container.format.name)


def _channels_of_aac(config: bytes | None) -> int:
    """The channels that an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) states; 0 if it does not."""
    bits = "".join(f"{byte:08b}" for byte in (config or b"")[:8])
    position = 11 if bits[:5] == "11111" else 5  # object type
    position += 28 if bits[position : position + 4] == "1111" else 4  # sample rate
    code = int(bits[position : position + 4] or "0", 2)
    return code if code < 7 else {7: 8, 11: 7, 12: 8, 13: 24, 14: 8}.get(code, 0)


def samples_of(frame: Any) -> np.ndarray:
    """The samples of a decoded `av.AudioFrame` as float32 [time, channels], full scale 1.

    Each plane is read by its index: PyAV's `to_ndarray`, and its resampler to planes, look for the end of the pointers
    to planes, which is not marked if there are more than 8 channels.

    Raises:
      ValueError: the type of the samples is unknown, or a plane is too short.
    """
    from av.audio.plane import AudioPlane

    name, channels = frame.format.name.removesuffix("p"), frame.layout.nb_channels
    if name not in _TYPES:
        raise ValueError(f"samples of type {name}")
    planes = channels if frame.format.is_planar else 1
    count = frame.samples * channels // planes
    # AudioPlane's type stub has no constructor.
    raw = [np.frombuffer(AudioPlane(frame, i), _TYPES[name], count) for i in range(planes)]  # pyright: ignore
    samples = np.stack(raw, axis=1) if planes > 1 else raw[0].reshape(-1, channels)
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    half = np.float32(2.0 ** (8 * samples.itemsize - 1))
    return samples.astype(np.float32) / half - np.float32(samples.dtype.kind == "u")

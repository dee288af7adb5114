"""MPEG audio (mp3, mp2), frame by frame, so that its length is that of its frames and never an estimate.

Each frame starts with a header that states its size and number of samples (ISO/IEC 11172-3, 2.4.1.3). The first frame
may hold no audio but describe the stream ("Xing", "Info" or "VBRI"), also within a file that several files were joined
to. LAME's version of it states the encoder's delay and padding, which are removed from each of the joined files.
"""

from __future__ import annotations

import array
import dataclasses
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from codax.audio.ffmpeg import samples_of
from codax.audio.stream import AudioError, Stream, equal_blocks

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version bits
# kbps by index, for (MPEG-1, layer).
_LOW_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBPS = {
    (True, 1): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): _LOW_KBPS,
    (False, 3): _LOW_KBPS,
}
_SECOND = bytes(b for b in range(0xE0, 256) if b >> 3 & 3 != 1 and b >> 1 & 3)
_THIRD = bytes(b for b in range(0x10, 0xF0) if b >> 2 & 3 != 3)
_START = re.compile(b"\xff[" + re.escape(_SECOND) + b"][" + re.escape(_THIRD) + b"]|ID3[\2-\4]", re.DOTALL)
_CHUNK = 1 << 16  # bytes searched at once
_HEAD = 40  # bytes up to the name of a description
_DECODER_DELAY = 529  # samples; LAME's tag counts without them
_PREROLL = 32  # frames decoded before an excerpt: they refer to up to 511 bytes before their own


class Header(NamedTuple):
    """The header of a frame: `size` in bytes, `samples` per channel, `side` bytes before a description."""

    layer: int
    rate: int
    channels: int
    samples: int
    size: int
    side: int

    def like(self, other: Header) -> bool:
        return self[:4] == other[:4]


class _Frame(NamedTuple):
    offset: int
    header: Header
    head: bytes


@dataclasses.dataclass
class _Part:
    """The frames of one of the joined files.

    The encoder added `skip` samples before the audio and `padding` after it. `promised` is the number of frames that
    the description states, 0 without one.
    """

    promised: int = 0
    skip: int = 0
    padding: int = 0
    offsets: array.array[int] = dataclasses.field(default_factory=lambda: array.array("q"))

    def length(self, samples: int) -> int:
        """Samples of audio, in frames of `samples`."""
        padding = self.padding if len(self.offsets) == self.promised else 0
        return max(0, len(self.offsets) * samples - self.skip - padding)


@dataclasses.dataclass(frozen=True)
class Index:
    """Where the frames of a file are; `first` is the header of one of them."""

    first: Header
    parts: list[_Part]

    @property
    def frames(self) -> int:
        return sum(part.length(self.first.samples) for part in self.parts)


def begins_with(file: BinaryIO) -> tuple[bool, bool]:
    """Whether a file may start with MPEG audio, by a tag or a sync word, and whether it does."""
    position = 0
    while (head := _read(file, position, 10))[:3] == b"ID3" and len(head) == 10:
        position += _tag_bytes(head)
    tagged = position > 0 and head[:4] != b"fLaC"
    synced = len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0
    return tagged or synced, _confirmed(file, position, os.fstat(file.fileno()).st_size) is not None


def open_mpeg(path: Path, file: BinaryIO) -> Stream:
    """The stream of a file.

    Raises:
      AudioError: it holds no frames, has fewer than it promises, or its rate or channels change.
    """
    status = os.fstat(file.fileno())
    index = _index(path, status.st_size, status.st_mtime_ns)
    start = 0

    def seek(frame: int) -> None:
        nonlocal start
        start = frame

    def chunks(size: int) -> Iterator[np.ndarray]:
        return equal_blocks(_decoded(path, file, index, start), size)

    first = index.first
    return Stream(first.rate, first.channels, index.frames, index.frames, chunks, seek)


@functools.lru_cache(maxsize=256)
def _index(path: Path, size: int, changed: int) -> Index:
    """Finds the frames of the file; `size` and `changed` are those of the file that was opened."""
    first, parts = None, [_Part()]
    with path.open("rb") as file:
        for frame in _frames(file, size):
            first = first or frame.header
            if not frame.header.like(first):
                raise AudioError(f"{path}: sample rate or channels change within the file")
            part = _described(frame, file)
            if part is not None:
                parts.append(part)
            elif frame.offset + frame.header.size <= size:  # a recording may end within a frame
                parts[-1].offsets.append(frame.offset)
    if first is None:
        raise AudioError(f"{path}: holds no MPEG audio frames of a stated size")
    for part in parts:
        # Some programs count the frame of the description, too.
        if len(part.offsets) < part.promised - 1:
            raise AudioError(f"{path}: truncated: has {len(part.offsets)} of {part.promised} frames of MPEG audio")
    return Index(first, parts)


def _frames(file: BinaryIO, size: int) -> Iterator[_Frame]:
    """The frames in order; everything else, such as tags, is passed over."""
    position, last = 0, None
    while position < size:
        head = _read(file, position, _HEAD)
        if head[:3] == b"ID3" and len(head) >= 10:
            position += _tag_bytes(head)
            continue
        header = _parse(head[:4])
        if header is None or last is None or not header.like(last):
            header = _confirmed(file, position, size)
        if header is None:
            position = _search(file, position + 1, size)
            continue
        yield _Frame(position, header, head)
        position, last = position + header.size, header


def _search(file: BinaryIO, position: int, size: int) -> int:
    """The next position of a tag, or of a header that the next one confirms; `size` if there is none."""
    while len(chunk := _read(file, position, _CHUNK)) >= 4:
        for match in _START.finditer(chunk):
            start = position + match.start()
            if match[0][:1] == b"I" or _confirmed(file, start, size):
                return start
        position += len(chunk) - 3
    return size


def _confirmed(file: BinaryIO, position: int, size: int) -> Header | None:
    """The header at a position, if the next frame or the end of the file follows its frame."""
    header = _parse(_read(file, position, 4))
    if header is None or position + header.size == size:
        return header
    following = _parse(_read(file, position + header.size, 4))
    return header if following is not None and following.like(header) else None


@functools.lru_cache(maxsize=1 << 12)
def _parse(head: bytes) -> Header | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] not in _SECOND or head[2] not in _THIRD:
        return None
    version, layer, padded = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 1 & 1
    first, mono = version == 3, head[3] >> 6 == 3
    rate = _RATES[version][head[2] >> 2 & 3]
    bits = 1000 * _KBPS[first, layer][(head[2] >> 4) - 1]
    samples = 384 if layer == 1 else 576 if layer == 3 and not first else 1152
    slot = 4 if layer == 1 else 1
    size = (samples // (8 * slot) * bits // rate + padded) * slot
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return Header(layer, rate, 1 if mono else 2, samples, size, side)


def _described(frame: _Frame, file: BinaryIO) -> _Part | None:
    """The part that a frame describes, if it is one without audio."""
    start, head = 4 + frame.header.side, frame.head
    if frame.header.layer != 3:
        return None
    if head[36:40] == b"VBRI":
        return _Part(promised=int.from_bytes(_read(file, frame.offset + 50, 4), "big"))
    if head[start : start + 4] not in (b"Xing", b"Info"):
        return None
    data = _read(file, frame.offset + start, frame.header.size - start)
    flags, position = int.from_bytes(data[4:8], "big"), 8
    part = _Part(promised=int.from_bytes(data[8:12], "big") if flags & 1 else 0)
    position += sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if flags & bit)
    if data[position : position + 4] in (b"LAME", b"Lavf", b"Lavc"):
        delays = int.from_bytes(data[position + 21 : position + 24], "big")
        part.skip = (delays >> 12) + _DECODER_DELAY
        part.padding = max(0, (delays & 0xFFF) - _DECODER_DELAY)
    return part


def _decoded(path: Path, file: BinaryIO, index: Index, start: int) -> Iterator[np.ndarray]:
    """The audio from sample `start` on, as float32 [time, channels]."""
    for part in index.parts:
        length = part.length(index.first.samples)
        if start < length:
            yield from _decoded_part(path, file, index.first, part, start)
        start = max(0, start - length)


def _decoded_part(path: Path, file: BinaryIO, first: Header, part: _Part, start: int) -> Iterator[np.ndarray]:
    import av

    decoder = av.CodecContext.create(f"mp{first.layer}float", "r")
    remaining = part.length(first.samples) - start
    begin = max(0, (part.skip + start) // first.samples - _PREROLL)
    drop = part.skip + start - begin * first.samples
    for offset in part.offsets[begin:]:
        header = _parse(_read(file, offset, 4))
        try:
            data = _read(file, offset, header.size if header else 0)
            pieces = [samples_of(frame) for frame in decoder.decode(av.Packet(data))]  # pyright: ignore
        except (av.FFmpegError, ValueError, EOFError) as error:
            raise AudioError(f"{path}: damaged ({getattr(error, 'strerror', None) or error})") from error
        if [piece.shape for piece in pieces] != [(first.samples, first.channels)]:
            raise AudioError(f"{path}: damaged (a frame of MPEG audio cannot be decoded)")
        piece = pieces[0][drop : drop + remaining]
        drop, remaining = max(0, drop - first.samples), remaining - len(piece)
        if len(piece):
            yield piece


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _tag_bytes(head: bytes) -> int:
    """The size of an ID3v2 tag: seven bits of it are in each byte."""
    size = functools.reduce(lambda value, byte: value << 7 | byte & 0x7F, head[6:10], 0)
    return 10 + size + (10 if head[5] & 0x10 else 0)

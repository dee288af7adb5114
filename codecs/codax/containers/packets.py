"""Codes as a stream of packets for pipes. docs/container.md specifies every byte.

A stream is the header of a `.codax` container with version `STREAM`, without samples and frames, followed by packets. A
packet is the number of its frames (15 bits; the highest bit marks the last packet), a CRC-16 and the packed codes,
padded to a whole byte. The last packet ends with the number of samples by which the decoded audio is too long.
"""

from __future__ import annotations

import binascii
import dataclasses
import struct
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from codax.containers import container
from codax.containers.container import ContainerError, Meta
from codax.entropy import bitpack

MOST_FRAMES = (1 << 15) - 1
_LAST = 1 << 15
_HEAD = struct.Struct("<HH")
_EXCESS = struct.Struct("<I")
Read = Callable[[int], bytes]  # as a file's `read`: returns fewer bytes only at the end


def header(meta: Meta) -> bytes:
    """Returns the header of a stream of the codes that `meta` describes, without samples and frames.

    Raises:
      ContainerError: a field of `meta` is out of range, or not one of a stream.
    """
    return container.serialize_header(_checked(dataclasses.replace(meta, num_samples=0, frames=0)), container.STREAM)


def read_header(read: Read) -> Meta:
    """Reads the header of a stream.

    Raises:
      ContainerError: the input is not a stream, damaged, or cut off.
    """
    start = read(container.FIXED.size)
    more = container.header_bytes(start) - len(start) if len(start) == container.FIXED.size else 0
    start += read(max(0, more))
    return _checked(container.parse_header(start, len(start), container.STREAM)[0])


def _checked(meta: Meta) -> Meta:
    if meta.coding is not None or meta.shared:
        raise ContainerError("a stream of packets has neither entropy coding nor channels that share codes")
    return meta


def packets(codes: np.ndarray, meta: Meta) -> Iterator[bytes]:
    """Yields the packets of codes [streams, frames, quantizers]: as few as possible, none for 0 frames."""
    for start in range(0, codes.shape[1], MOST_FRAMES):
        part = codes[:, start : start + MOST_FRAMES]
        yield _packet(part.shape[1], _packed(part, meta))


def last_packet(codes: np.ndarray, excess: int, meta: Meta) -> bytes:
    """Returns a stream's last packet, with at most `MOST_FRAMES` frames; its audio is `excess` samples too long."""
    return _packet(codes.shape[1] | _LAST, _packed(codes, meta) + _EXCESS.pack(excess))


def read_packets(read: Read, meta: Meta) -> Iterator[tuple[np.ndarray, int | None]]:
    """Yields (codes int32 [streams, frames, quantizers], None), and at the end (codes, excess samples).

    Raises:
      ContainerError: the stream is damaged, or cut off before the last packet.
    """
    number = 0
    while True:
        number += 1
        head = _exactly(read, _HEAD.size, number)
        count, crc = _HEAD.unpack(head)
        last, frames = bool(count & _LAST), count & MOST_FRAMES
        size = bitpack.packed_bytes(frames * meta.streams * meta.num_quantizers, meta.bits_per_code)
        data = _exactly(read, size + last * _EXCESS.size, number)
        if binascii.crc_hqx(head[:2] + data, 0) != crc:
            raise ContainerError(f"packet {number}: checksum does not match: the stream is damaged")
        codes = container.read_codes(data, meta, frames, 0)
        if last:
            yield codes, _EXCESS.unpack_from(data, size)[0]
            return
        yield codes, None


class Decoder(Protocol):
    """A stream decoder, such as `codax.codec.streaming.StreamDecoder`."""

    def push(self, codes: np.ndarray) -> np.ndarray: ...

    def finish(self) -> np.ndarray: ...


def decode(decoder: Decoder, codes: np.ndarray, excess: int | None) -> np.ndarray:
    """Decodes what `read_packets` yields to audio [streams, time, channels]; the last packet ends the decoder.

    Raises:
      ContainerError: the stream is shorter than its excess.
    """
    audio = decoder.push(codes)
    if excess is None:
        return audio
    audio = np.concatenate([audio, decoder.finish()], axis=1)
    if excess > audio.shape[1]:
        raise ContainerError(f"the last {audio.shape[1]} samples of the stream cannot be {excess} too many")
    return audio[:, : audio.shape[1] - excess]


def _packed(codes: np.ndarray, meta: Meta) -> bytes:
    return bitpack.pack(container.arrange(codes, meta), meta.bits_per_code)


def _packet(count: int, data: bytes) -> bytes:
    return _HEAD.pack(count, binascii.crc_hqx(struct.pack("<H", count) + data, 0)) + data


def _exactly(read: Read, size: int, number: int) -> bytes:
    data = read(size)
    if len(data) < size:
        raise ContainerError(f"packet {number}: cut off: the stream ends before its last packet")
    return data

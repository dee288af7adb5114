"""The `.codax` container: a self-describing file of packed codes. docs/container.md specifies every byte.

A file has a header, codes and their checksum; header and checksum take at most 64 bytes together, without entropy
coding and a map of equal channels. A reader checks every size against the real number of bytes before it allocates, and
both checksums before it returns a code, so a damaged or forged file gives a `ContainerError` and nothing else. This
module has the format and works on byte strings; `streamed.py` reads and writes files of any length in bounded memory.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib

import numpy as np

from codax.config.checks import MOST_CHANNELS, RATES
from codax.containers.header_fields import (
    CODING,
    HASH_BYTES,
    Coding,
    ContainerError,
    check_channels,
    check_coding,
    pack_coding,
    parse_coding,
)
from codax.entropy import bitpack

MAGIC = b"\xc0\xdax"  # 0xC0 never occurs in UTF-8 text, so no text file starts like this
VERSION = 1
STREAM = 0x80  # version of the header of a stream of packets; see packets.py
DENOISED = 1  # flag: noise was removed; models that condition their decoder need it
SCALED = 2  # flag: the model divides every segment by a scale; the scales follow the codes
CODED = 4  # flag: the codes are entropy-coded in blocks; see blocks.py
MID_SIDE = 8  # flag: the channels are coded as (left + right) / 2 and (left - right) / 2
SHARED = 16  # flag: equal channels are coded once; if that leaves several streams, the stream of each channel is stored
KNOWN_FLAGS = DENOISED | SCALED | CODED | MID_SIDE | SHARED
MAX_NAME = 25  # bytes; 64 without all other fields
CHECKSUM = struct.Struct("<I")
SEGMENTS = struct.Struct("<I")  # number of segments, after the name, if SCALED is set; the name is then shorter
SCALE = np.dtype("<f4")
TABLE_ENTRY = 8  # bytes per block in the table at the end
# magic, version, flags, hash, sample rate (24 bit), samples (40 bit), channels, streams, quantizers, codebook size - 1,
# frames, bytes of the name
FIXED = struct.Struct(f"<3sBB{HASH_BYTES}s3s5sBBBHIB")
MIN_BYTES = FIXED.size + 2 * CHECKSUM.size
MAX_OVERHEAD = MIN_BYTES + MAX_NAME + MOST_CHANNELS + CODING.size


@dataclasses.dataclass(frozen=True)
class Meta:
    """Description of a container's codes.

    A stream is a group of channels that the model codes together: one for a mono model, two for a stereo model. `pack`
    takes `streams`, `num_quantizers` and `frames` from the codes where they are zero, and checks them otherwise;
    `ContainerWriter` needs the first two and counts the frames.
    """

    model_id: str  # the model's name, informative; the file has its first 25 bytes. `model_hash` identifies the model
    model_hash: bytes  # 8 bytes of the SHA-256 of the model's weights
    sample_rate: int  # of the original audio, Hz
    channels: int  # of the original audio
    num_samples: int  # of the original audio, per channel
    codebook_size: int
    num_quantizers: int = 0
    streams: int = 0
    frames: int = 0
    denoised: bool = False
    scaled: bool = False
    segments: int = 0  # of a scaled signal
    coding: Coding | None = None  # None = packed codes
    mid_side: bool = False
    shared: tuple[int, ...] = ()  # the stream of each channel, if equal channels are coded once

    @property
    def bits_per_code(self) -> int:
        return bitpack.bits_per_code(self.codebook_size)

    @property
    def bits_per_frame(self) -> int:
        """Bits of one frame of all streams."""
        return self.streams * self.num_quantizers * self.bits_per_code

    @property
    def packed_bytes(self) -> int:
        """Bytes of the packed codes."""
        return (self.frames * self.bits_per_frame + 7) // 8

    @property
    def blocks(self) -> int:
        """Number of blocks of entropy-coded codes."""
        return 0 if self.coding is None else -(-self.frames // self.coding.block_frames)

    @property
    def code_bytes(self) -> int:
        """Bytes of the codes as stored, including the table of blocks."""
        if self.coding is None:
            return self.packed_bytes
        return self.coding.coded_bytes + self.blocks * TABLE_ENTRY + CHECKSUM.size

    @property
    def scales_offset(self) -> int:
        """Offset of the scales in the payload: after the codes, before the table of blocks."""
        return self.packed_bytes if self.coding is None else self.coding.coded_bytes

    @property
    def payload_bytes(self) -> int:
        """Bytes of the codes and the scales."""
        return self.code_bytes + self.segments * self.streams * SCALE.itemsize

    @property
    def file_bytes(self) -> int:
        """Bytes of the whole container."""
        return len(serialize_header(self)) + self.payload_bytes + CHECKSUM.size

    @property
    def seconds(self) -> float:
        """Duration of the original audio in seconds."""
        return self.num_samples / self.sample_rate

    @property
    def kbps(self) -> float:
        """Kilobits per second of the codes and scales, without the header; 0 for an empty file."""
        return 8 * self.payload_bytes / self.seconds / 1000 if self.num_samples else 0.0


def check(meta: Meta) -> Meta:
    """Returns `meta` if its values are possible.

    Raises:
      ContainerError: naming the impossible field.
    """
    # A model has at most one frame per sample, at any rate that it may have; the last frame may be partial.
    most_frames = min(2**32 - 1, -(-meta.num_samples * RATES[1] // max(meta.sample_rate, 1)))
    limits = [
        ("sample rate", meta.sample_rate, *RATES),
        ("channels", meta.channels, 1, MOST_CHANNELS),
        ("number of samples", meta.num_samples, 0, 2**40 - 1),
        ("codebook size", meta.codebook_size, 2, 2**16),
        ("number of quantizers", meta.num_quantizers, 1, 255),
        ("streams", meta.streams, 1, min(meta.channels, 255)),
        ("frames", meta.frames, min(meta.num_samples, 1), most_frames),
        ("segments", meta.segments, min(meta.frames, 1) if meta.scaled else 0, meta.frames if meta.scaled else 0),
    ]
    for name, value, low, high in limits:
        if not low <= value <= high:
            raise ContainerError(f"impossible {name}: {value} is not within {low} to {high}")
    if len(meta.model_hash) != HASH_BYTES:
        raise ContainerError(f"impossible model hash: {len(meta.model_hash)} bytes instead of {HASH_BYTES}")
    check_channels(meta.channels, meta.streams, meta.mid_side, meta.shared)
    if meta.coding is not None:
        check_coding(meta.coding, meta.frames)
    return meta


def stored_name(model_id: str, scaled: bool = False) -> str:
    """Returns a model's name as stored: printable, cut between characters to 25 bytes, or 21 with scales."""
    name = "".join(c if c.isprintable() else "_" for c in model_id).encode("utf-8", "replace")
    return name[: MAX_NAME - SEGMENTS.size * scaled].decode("utf-8", "ignore")


def serialize_header(meta: Meta, version: int = VERSION) -> bytes:
    """Returns the header with its checksum: 35 bytes and the name, and its optional fields.

    Raises:
      ContainerError: a field of `meta` is out of range.
    """
    check(meta)
    name = stored_name(meta.model_id, meta.scaled).encode()
    fixed = FIXED.pack(
        MAGIC,
        version,
        _flags(meta),
        meta.model_hash,
        meta.sample_rate.to_bytes(3, "little"),
        meta.num_samples.to_bytes(5, "little"),
        meta.channels,
        meta.streams,
        meta.num_quantizers,
        meta.codebook_size - 1,
        meta.frames,
        len(name),
    )
    header = fixed + name + (SEGMENTS.pack(meta.segments) if meta.scaled else b"")
    if meta.shared and meta.streams > 1:
        header += bytes(meta.shared)
    if meta.coding is not None:
        header += pack_coding(meta.coding)
    return header + CHECKSUM.pack(zlib.crc32(header))


def header_bytes(start: bytes) -> int:
    """Returns the number of bytes of the header that begins with these `FIXED.size` bytes."""
    flags, channels, streams, name_bytes = start[4], start[21], start[22], start[FIXED.size - 1]
    more = SEGMENTS.size * bool(flags & SCALED) + CODING.size * bool(flags & CODED)
    return FIXED.size + min(name_bytes, MAX_NAME) + more + _map_bytes(flags, channels, streams) + CHECKSUM.size


def _flags(meta: Meta) -> int:
    coded, shared = meta.coding is not None, bool(meta.shared)
    return DENOISED * meta.denoised | SCALED * meta.scaled | CODED * coded | MID_SIDE * meta.mid_side | SHARED * shared


def _map_bytes(flags: int, channels: int, streams: int) -> int:
    return channels if flags & SHARED and streams > 1 else 0


def parse_header(start: bytes, size: int, version: int = VERSION) -> tuple[Meta, int]:
    """Reads a header.

    Args:
      start: the first `MAX_OVERHEAD` bytes of the container, or all of it if it is shorter.
      size: bytes of the whole container; ignored for a stream.
      version: the expected version, `VERSION` or `STREAM`.

    Returns:
      The description, and the number of bytes of the header.

    Raises:
      ContainerError: the header is damaged or does not match `size`.
    """
    kind = "stream of codax packets" if version == STREAM else ".codax container"
    if not start.startswith(MAGIC[: len(start)]) or not start:
        empty = "no input" if version == STREAM else "empty file"
        raise ContainerError(f"not a {kind} (bad magic)" if start else f"{empty}, not a {kind}")
    if len(start) > 3 and start[3] != version:
        if {start[3], version} == {VERSION, STREAM}:
            raise ContainerError(f"a {'stream of packets' if start[3] == STREAM else '.codax container'}, not a {kind}")
        reason = "newer than this program reads" if start[3] > VERSION else "unknown"
        raise ContainerError(f"container version {start[3]} is {reason} (version {VERSION})")
    if size < MIN_BYTES - CHECKSUM.size * (version == STREAM) or len(start) < FIXED.size:
        raise ContainerError(f"truncated at byte {size} of at least {MIN_BYTES}")
    _, _, flags, digest, rate, samples, channels, streams, quantizers, largest, frames, name_bytes = FIXED.unpack_from(
        start
    )
    scaled = bool(flags & SCALED)
    more = SEGMENTS.size * scaled
    if name_bytes > MAX_NAME - more:
        raise ContainerError(f"impossible name length: {name_bytes} is not within 0 to {MAX_NAME - more}")
    name_end = FIXED.size + name_bytes
    map_end = name_end + more + _map_bytes(flags, channels, streams)
    header_end = header_bytes(start)
    checked = header_end - CHECKSUM.size
    if len(start) < header_end:
        raise ContainerError(f"truncated at byte {size} of at least {header_end + CHECKSUM.size}")
    if zlib.crc32(start[:checked]) != CHECKSUM.unpack_from(start, checked)[0]:
        raise ContainerError("header checksum does not match: the file is damaged")
    if flags & ~KNOWN_FLAGS:
        raise ContainerError(f"flags {flags:#04x} need a feature that this program does not know")
    try:
        name = start[FIXED.size : name_end].decode()
    except UnicodeDecodeError as error:
        raise ContainerError("impossible model name: not UTF-8") from error
    if not name.isprintable():
        raise ContainerError("impossible model name: unprintable characters")
    meta = check(
        Meta(
            model_id=name,
            model_hash=digest,
            sample_rate=int.from_bytes(rate, "little"),
            channels=channels,
            num_samples=int.from_bytes(samples, "little"),
            codebook_size=largest + 1,
            num_quantizers=quantizers,
            streams=streams,
            frames=frames,
            denoised=bool(flags & DENOISED),
            scaled=scaled,
            segments=SEGMENTS.unpack_from(start, name_end)[0] if scaled else 0,
            coding=parse_coding(start, map_end) if flags & CODED else None,
            mid_side=bool(flags & MID_SIDE),
            shared=tuple(start[name_end + more : map_end]) or (0,) * channels if flags & SHARED else (),
        )
    )
    if version == STREAM:
        return meta, header_end
    expected = header_end + meta.payload_bytes + CHECKSUM.size
    if size < expected:
        raise ContainerError(f"truncated at byte {size} of {expected}")
    if size > expected:
        raise ContainerError(f"{size - expected} bytes after the end of the container at byte {expected}")
    return meta, header_end


def arrange(codes: np.ndarray, meta: Meta) -> np.ndarray:
    """Checks codes [streams, frames, quantizers] against `meta`; returns them as stored, [frames, streams, quantizers].

    Raises:
      ContainerError: the shape, the type or a value does not match.
    """
    codes = np.asarray(codes)
    if codes.ndim != 3 or codes.shape[0] != meta.streams or codes.shape[2] != meta.num_quantizers:
        raise ContainerError(
            f"codes of shape {list(codes.shape)}, expected [{meta.streams} streams, frames, "
            f"{meta.num_quantizers} quantizers]"
        )
    if codes.dtype.kind not in "iu":
        raise ContainerError(f"codes must be integers, not {codes.dtype}")
    check_codes(codes, meta.codebook_size)
    return codes.transpose(1, 0, 2)


def check_codes(codes: np.ndarray, codebook_size: int) -> None:
    """Raises ContainerError unless 0 <= code < codebook_size for all codes."""
    if codes.size and (codes.min() < 0 or codes.max() >= codebook_size):
        bad = codes.min() if codes.min() < 0 else codes.max()
        raise ContainerError(f"impossible code: {bad} in codebooks of {codebook_size} entries")


def pack_scales(scales: np.ndarray, meta: Meta) -> bytes:
    """Returns scales float32 [streams, segments] as stored, [segments, streams].

    Raises:
      ContainerError: their number does not match `meta`, or one is not finite.
    """
    scales = np.asarray(scales, SCALE)
    if scales.shape != (meta.streams, meta.segments):
        raise ContainerError(f"scales of shape {list(scales.shape)}, expected [{meta.streams}, {meta.segments}]")
    return np.ascontiguousarray(_finite(scales).T).tobytes()


def read_scales(data: bytes | memoryview, meta: Meta) -> np.ndarray | None:
    """Reads the scales at the end of a payload: float32 [streams, segments], or None if there are none."""
    if not meta.scaled:
        return None
    flat = np.frombuffer(data, SCALE, offset=len(data) - meta.segments * meta.streams * SCALE.itemsize)
    return _finite(flat.reshape(meta.segments, meta.streams).T.astype(np.float32))


def _finite(scales: np.ndarray) -> np.ndarray:
    if not np.isfinite(scales).all():
        raise ContainerError("impossible scale: not a finite number")
    return scales


def pack(codes: np.ndarray, meta: Meta, scales: np.ndarray | None = None) -> bytes:
    """Returns the bytes of a container.

    Args:
      codes: integers [streams, frames, quantizers].
      meta: their description; zero `streams`, `num_quantizers` and `frames` are taken from the shape.
      scales: float32 [streams, segments] of a model that normalises its segments.

    Raises:
      ContainerError: codes, scales and description do not match each other or the format, or the description states
        entropy coding.
    """
    if meta.coding is not None:
        raise ContainerError("entropy coding needs a model of the codes: use ContainerWriter")
    codes = np.asarray(codes)
    if codes.ndim != 3:
        raise ContainerError(f"codes of shape {list(codes.shape)}, expected [streams, frames, quantizers]")
    streams, frames, quantizers = codes.shape
    meta = dataclasses.replace(
        meta,
        streams=meta.streams or streams,
        num_quantizers=meta.num_quantizers or quantizers,
        frames=meta.frames or frames,
        scaled=scales is not None,
        segments=0 if scales is None else scales.shape[-1],
    )
    if meta.frames != frames:
        raise ContainerError(f"{frames} frames of codes, but the description says {meta.frames}")
    header = serialize_header(meta)
    payload = bitpack.pack(arrange(codes, meta), meta.bits_per_code)
    payload += pack_scales(scales, meta) if scales is not None else b""
    return header + payload + CHECKSUM.pack(zlib.crc32(payload))


def check_payload(crc: int, stored: bytes) -> None:
    """Raises ContainerError if `crc` of the payload differs from the stored checksum."""
    if CHECKSUM.pack(crc) != stored:
        raise ContainerError("checksum of the codes does not match: the file is damaged")


def read_codes(data: bytes | memoryview, meta: Meta, frames: int, offset: int) -> np.ndarray:
    """Unpacks `frames` frames that start at bit `offset` of `data`: int32 [streams, frames, quantizers]."""
    count = frames * meta.streams * meta.num_quantizers
    flat = bitpack.unpack(data, count, meta.bits_per_code, offset)
    check_codes(flat, meta.codebook_size)
    return np.ascontiguousarray(flat.reshape(frames, meta.streams, meta.num_quantizers).transpose(1, 0, 2))

"""The optional fields of a container's header: entropy coding, and how channels became streams."""

from __future__ import annotations

import dataclasses
import struct

from codax.errors import CodaxError

HASH_BYTES = 8
# Method, frames of a block, digest of the frequency model, bytes of all blocks.
CODING = struct.Struct(f"<BH{HASH_BYTES}s5s")
METHODS = {1: "adaptive", 2: "lm"}
LEAST_BLOCK = 8  # bytes of the smallest block


class ContainerError(CodaxError):
    """The bytes are not a complete, undamaged container; the message gives the reason and the place."""


@dataclasses.dataclass(frozen=True)
class Coding:
    """Entropy coding of codes in independent blocks."""

    method: int  # of METHODS
    block_frames: int  # the last block may have fewer
    digest: bytes  # 8 bytes that identify the frequency model
    coded_bytes: int = 0  # of all blocks


def pack_coding(coding: Coding) -> bytes:
    """Returns the field as stored."""
    return CODING.pack(coding.method, coding.block_frames, coding.digest, coding.coded_bytes.to_bytes(5, "little"))


def parse_coding(start: bytes, offset: int) -> Coding:
    """Reads the field at an offset of the header."""
    method, frames, digest, size = CODING.unpack_from(start, offset)
    return Coding(method, frames, digest, int.from_bytes(size, "little"))


def check_coding(coding: Coding, frames: int) -> None:
    """Raises ContainerError if the entropy coding of this number of frames is impossible, or its method unknown."""
    if coding.method not in METHODS:
        raise ContainerError(f"entropy coding by method {coding.method} is newer than this program")
    possible = 1 <= coding.block_frames < 2**16
    # Blocks have a minimum size, so that a small file cannot claim many frames.
    if not possible or not LEAST_BLOCK * -(-frames // coding.block_frames) <= coding.coded_bytes < 2**40:
        raise ContainerError(f"impossible blocks: {coding.coded_bytes} bytes of {coding.block_frames} frames each")
    if len(coding.digest) != HASH_BYTES:
        raise ContainerError(f"impossible digest: {len(coding.digest)} bytes instead of {HASH_BYTES}")


def check_channels(channels: int, streams: int, mid_side: bool, shared: tuple[int, ...]) -> None:
    """Raises ContainerError if channels cannot be mid and side, or cannot share streams as `shared` says.

    Streams are numbered in the order of their first channels, so that one sharing has one map.
    """
    if mid_side and (channels, streams, shared) != (2, 2, ()):
        raise ContainerError(f"impossible mid and side: {channels} channels in {streams} streams are not two in two")
    if not shared:
        return
    order = list(dict.fromkeys(shared))
    if len(shared) != channels or order != list(range(streams)) or streams == channels:
        raise ContainerError(f"impossible map of {channels} channels to {streams} streams")

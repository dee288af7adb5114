"""Entropy-coded codes in a container: independently coded blocks, and a table of them at the end.

The table has the length and the CRC-32 of each block, and a CRC-32 of itself and of the scales before it. So damage is
located, and a damaged block does not affect the others.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from codax.containers.container import CHECKSUM, TABLE_ENTRY, ContainerError, Meta
from codax.containers.header_fields import LEAST_BLOCK, METHODS, Coding
from codax.entropy import coding
from codax.entropy.rans import least_bits

_ENTRY = struct.Struct("<II")
_MOST_LANES = 16  # blocks that are coded together
_WORK = 1 << 22  # codes, and frequencies, in memory at a time


def lanes_of(columns: int, block_frames: int, symbols: int) -> int:
    """Returns how many blocks to code together, so that their arrays stay small."""
    return max(1, min(_MOST_LANES, _WORK // (columns * max(block_frames, symbols))))


class BlockPacker:
    """Codes frames block by block: a `bitpack.BitPacker` with a `table` for the end."""

    def __init__(self, model: coding.Model, block_frames: int, symbols: int) -> None:
        self._model, self._block_frames = model, block_frames
        self._group = block_frames * lanes_of(model.columns, block_frames, symbols)
        self._rest = np.zeros((0, model.columns), np.int64)
        self._entries: list[tuple[int, int]] = []

    @property
    def coded_bytes(self) -> int:
        """Bytes of all blocks so far."""
        return sum(length for length, _ in self._entries)

    def push(self, codes: np.ndarray) -> bytes:
        """Takes codes, integers [frames, ...], and returns the blocks that they complete."""
        self._rest = np.concatenate([self._rest, np.reshape(codes, (len(codes), self._model.columns))])
        done = len(self._rest) // self._group * self._group
        ready, self._rest = self._rest[:done], self._rest[done:]
        return b"".join(self._coded(ready[i : i + self._group]) for i in range(0, done, self._group))

    def finish(self) -> bytes:
        """Returns the remaining blocks."""
        rest, self._rest = self._rest, self._rest[:0]
        return self._coded(rest)

    def table(self, before: bytes) -> bytes:
        """Returns the table of all blocks; its checksum covers `before` too."""
        table = b"".join(_ENTRY.pack(*entry) for entry in self._entries)
        return table + CHECKSUM.pack(zlib.crc32(before + table))

    def _coded(self, codes: np.ndarray) -> bytes:
        if not len(codes):
            return b""
        blocks = [codes[i : i + self._block_frames] for i in range(0, len(codes), self._block_frames)]
        messages = coding.encode_blocks(self._model, blocks)
        for message in messages:
            # The index of a block is part of its checksum: swapped blocks count as damaged.
            self._entries.append((len(message), zlib.crc32(message, len(self._entries))))
        return b"".join(messages)


class BlockReader:
    """Reads the blocks of an entropy-coded container.

    Attributes:
      damaged: indices of the damaged blocks, from 0.
    """

    def __init__(self, file: BinaryIO, start: int, meta: Meta) -> None:
        """Reads the table and checks every block.

        Args:
          file: the container.
          start: offset of its payload.
          meta: its description.

        Raises:
          ContainerError: the table is damaged, or does not match the blocks.
        """
        assert meta.coding is not None
        self._file, self._meta, self._coding = file, meta, meta.coding
        file.seek(start + meta.coding.coded_bytes)
        tail = file.read(meta.payload_bytes - meta.coding.coded_bytes)
        table = tail[len(tail) - meta.blocks * TABLE_ENTRY - CHECKSUM.size : -CHECKSUM.size]
        if CHECKSUM.pack(zlib.crc32(tail[: -CHECKSUM.size])) != tail[-CHECKSUM.size :]:
            raise ContainerError("checksum of the table of blocks does not match: the file is damaged")
        self._entries = list(_ENTRY.iter_unpack(table))
        self._offsets = list(itertools.accumulate((length for length, _ in self._entries), initial=start))
        if self._offsets[-1] != start + meta.coding.coded_bytes:
            raise ContainerError("the table does not match the blocks: the file is damaged")
        for number in range(len(self._entries)):
            self._check_size(number)
        file.seek(start)
        checksums = [zlib.crc32(file.read(length), number) for number, (length, _) in enumerate(self._entries)]
        self.damaged = [number for number, (_, crc) in enumerate(self._entries) if crc != checksums[number]]
        self._concealed = frozenset(self.damaged)

    def frames(self, number: int) -> tuple[int, int]:
        """Returns the first frame of a block and the first frame after it."""
        first = number * self._coding.block_frames
        return first, min(first + self._coding.block_frames, self._meta.frames)

    def blocks(self, model: coding.Model) -> Iterator[np.ndarray]:
        """Yields the codes int32 [streams, frames, quantizers] of each block.

        Damaged blocks repeat the last frame before them, or are zeros.

        Raises:
          ContainerError: an undamaged block was not coded with this model.
        """
        meta = self._meta
        if model.columns != meta.streams * meta.num_quantizers or model.digest != self._coding.digest:
            kind = METHODS[self._coding.method]
            raise ContainerError(f"the codes were coded ({kind}) with other frequencies than this model's")
        group = lanes_of(model.columns, self._coding.block_frames, meta.codebook_size)
        last = np.zeros((1, model.columns), np.int32)
        for first in range(0, len(self._entries), group):
            numbers = range(first, min(first + group, len(self._entries)))
            good = [number for number in numbers if number not in self._concealed]
            decoded = dict(zip(good, self._decoded(model, good), strict=True))
            for number in numbers:
                codes = decoded[number] if number in decoded else np.repeat(last, self._count(number), axis=0)
                last = codes[-1:]
                shape = (len(codes), meta.streams, meta.num_quantizers)
                yield np.ascontiguousarray(codes.reshape(shape).transpose(1, 0, 2))

    def _count(self, number: int) -> int:
        first, stop = self.frames(number)
        return stop - first

    def _decoded(self, model: coding.Model, numbers: list[int]) -> list[np.ndarray]:
        """Decodes undamaged blocks to int32 [frames, columns]."""
        messages = []
        for number in numbers:
            self._file.seek(self._offsets[number])
            messages.append(self._file.read(self._entries[number][0]))
        decoded = []
        for number, codes in zip(
            numbers, coding.decode_blocks(model, messages, [*map(self._count, numbers)]), strict=True
        ):
            if codes is None:
                raise ContainerError(f"block {number} was not coded with this model")
            decoded.append(codes)
        return decoded

    def _check_size(self, number: int) -> None:
        """Rejects a block that is too short for its codes, also a damaged one, so that the file bounds the work."""
        size, codes = self._entries[number][0], self._count(number) * self._meta.streams * self._meta.num_quantizers
        least = codes * least_bits(self._meta.codebook_size) / 8
        if size + 8 < least or size % 4 or size < LEAST_BLOCK:
            raise ContainerError(f"block {number} of {size} bytes cannot hold {codes} codes")


def new_coding(method: str, model: coding.Model, block_frames: int) -> Coding:
    """Returns the coding of a new file by a method of METHODS."""
    number = next(number for number, name in METHODS.items() if name == method)
    return Coding(number, max(1, min(block_frames, 2**16 - 1)), model.digest)

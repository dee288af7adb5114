"""`.codax` files of any length in bounded memory: written in one pass, read in blocks of frames."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from codax.containers import container
from codax.containers.blocks import BlockPacker, BlockReader
from codax.containers.container import ContainerError, Meta
from codax.entropy import bitpack, coding
from codax.storage.files import open_part, require_file

_READ_BYTES = 1 << 20  # read at a time for the checksum


class ContainerWriter:
    """Writes a file block by block: `with ContainerWriter(path, meta) as w: w.write(codes)`.

    Set `num_samples`, and `scales` if `meta.scaled`, at any time before the end of the `with` block. The file appears
    when the block ends normally. After an exception nothing remains, and an earlier file of that name is unchanged.
    """

    def __init__(self, path: str | os.PathLike[str], meta: Meta, model: coding.Model | None = None) -> None:
        """Opens a temporary file beside the target.

        Args:
          path: file to write.
          meta: description with `streams` and `num_quantizers`; frames are counted.
          model: frequency model of the codes, if `meta.coding` is set.

        Raises:
          ContainerError: a field is impossible, the model is missing, or the target cannot be written.
        """
        if meta.coding is not None and model is None:
            raise ContainerError(f"{path}: entropy coding needs a model of the codes")
        self.path = Path(path)
        self.num_samples = meta.num_samples
        self.scales: np.ndarray | None = None  # float32 [streams, segments]
        self._meta = dataclasses.replace(meta, frames=0, num_samples=0, segments=0)
        # The numbers that are set at the end do not change the length of the header.
        header = container.serialize_header(self._meta)
        self._blocks = None
        if meta.coding is not None and model is not None:
            self._blocks = BlockPacker(model, meta.coding.block_frames, meta.codebook_size)
        self._packer = self._blocks or bitpack.BitPacker(meta.bits_per_code)
        self._frames = 0
        self._crc = 0
        self._part = open_part(self.path, ContainerError)
        self._file = os.fdopen(self._part.number, "wb", closefd=False)
        self._write(bytes(len(header)))  # zeros are not a valid header, so an unfinished file is not a container

    def write(self, codes: np.ndarray) -> None:
        """Appends codes, integers [streams, frames, quantizers]; 0 frames are allowed.

        Raises:
          ContainerError: the codes do not match the description, or the disk is full.
        """
        packed = self._packer.push(container.arrange(codes, self._meta))
        self._frames += np.shape(codes)[1]
        self._append(packed)

    def __enter__(self) -> ContainerWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _append(self, packed: bytes) -> None:
        self._crc = zlib.crc32(packed, self._crc)
        self._write(packed)

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            self._discard()
            raise self._failure(error) from error

    def _finish(self) -> None:
        self._append(self._packer.finish())
        segments = 0 if self.scales is None else self.scales.shape[-1]
        self._meta = dataclasses.replace(
            self._meta, frames=self._frames, num_samples=self.num_samples, segments=segments
        )
        scales = b"" if self.scales is None else container.pack_scales(self.scales, self._meta)
        self._append(scales)
        if self._blocks is not None and self._meta.coding is not None:
            self._append(self._blocks.table(scales))
            whole = dataclasses.replace(self._meta.coding, coded_bytes=self._blocks.coded_bytes)
            self._meta = dataclasses.replace(self._meta, coding=whole)
        self._write(container.CHECKSUM.pack(self._crc))
        header = container.serialize_header(self._meta)
        try:
            self._file.seek(0)
            self._file.write(header)
            self._file.close()
            self._part.publish()
        except OSError as error:
            raise self._failure(error) from error

    @property
    def meta(self) -> Meta:
        """The description; final when the file is complete."""
        return self._meta

    def _discard(self) -> None:
        """Closes the temporary file, and removes it unless it was published."""
        try:
            self._file.close()
        except OSError:
            pass  # closing flushes bytes that are discarded anyway
        self._part.discard()

    def _failure(self, error: OSError) -> ContainerError:
        return ContainerError(f"{self.path}: cannot be written ({error.strerror or error})")


class ContainerReader:
    """Reads a file block by block: `with ContainerReader(path) as r: for codes in r.blocks(1000): ...`."""

    def __init__(self, path: str | os.PathLike[str], *, conceal: bool = False) -> None:
        """Opens the file and checks all of it.

        Args:
          path: file to read.
          conceal: accept damaged entropy-coded blocks; `damaged` has their frames.

        Raises:
          ContainerError: the file is missing, unreadable, damaged, truncated, or of a newer version.
        """
        self.path = Path(path)
        self.damaged: list[tuple[int, int]] = []  # first damaged frame, and the first frame after it
        self._conceal = conceal
        self._blocks: BlockReader | None = None
        require_file(path, ContainerError)
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise ContainerError(f"{path}: cannot be read ({error.strerror or error})") from error
        try:
            self.file_bytes = os.fstat(self._file.fileno()).st_size
            self.meta, self._start = container.parse_header(self._file.read(container.MAX_OVERHEAD), self.file_bytes)
            self._check_payload()
        except OSError as error:
            self._file.close()
            raise ContainerError(f"{path}: cannot be read ({error.strerror or error})") from error
        except ContainerError as error:
            self._file.close()
            raise ContainerError(f"{path}: {error}") from error

    def blocks(self, frames: int, model: coding.Model | None = None) -> Iterator[np.ndarray]:
        """Yields codes int32 [streams, time, quantizers] of `frames` frames at a time; the last block is shorter.

        Args:
          frames: number of frames of a block.
          model: frequency model of the codes, if they are entropy-coded.

        Raises:
          ContainerError: a code is not in the codebook, the model is wrong, or the file changed meanwhile.
        """
        meta = self.meta
        if self._blocks is not None:
            if model is None:
                raise ContainerError(f"{self.path}: the codes are entropy-coded: a model of them is needed")
            yield from self._recut(self._blocks.blocks(model), frames)
            return
        for first in range(0, meta.frames, frames):
            count = min(frames, meta.frames - first)
            start = first * meta.bits_per_frame
            stop = start + count * meta.bits_per_frame
            with self._named():
                self._file.seek(self._start + start // 8)
                data = self._file.read((stop + 7) // 8 - start // 8)
                codes = container.read_codes(data, meta, count, start % 8)
            yield codes

    def scales(self) -> np.ndarray | None:
        """Returns scales float32 [streams, segments] of a model that normalises its segments, else None.

        Raises:
          ContainerError: one is not a finite number, or the file changed meanwhile.
        """
        meta = self.meta
        with self._named():
            self._file.seek(self._start + meta.scales_offset)
            return container.read_scales(self._file.read(meta.payload_bytes - meta.code_bytes), meta)

    def __enter__(self) -> ContainerReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Names the file in errors."""
        try:
            yield
        except ValueError as error:
            raise ContainerError(f"{self.path}: became shorter while it was read") from error
        except OSError as error:
            raise ContainerError(f"{self.path}: cannot be read ({error.strerror or error})") from error
        except ContainerError as error:
            raise ContainerError(f"{self.path}: {error}") from error

    def _check_payload(self) -> None:
        self._file.seek(self._start)
        crc, left = 0, self.meta.payload_bytes
        while left:
            data = self._file.read(min(left, _READ_BYTES))
            if not data:
                raise ContainerError("became shorter while it was read")
            crc = zlib.crc32(data, crc)
            left -= len(data)
        stored = self._file.read(container.CHECKSUM.size)
        if self.meta.coding is None:
            container.check_payload(crc, stored)
            return
        self._blocks = BlockReader(self._file, self._start, self.meta)
        if not self._blocks.damaged:
            container.check_payload(crc, stored)
        self.damaged = [self._blocks.frames(number) for number in self._blocks.damaged]
        if self.damaged and not self._conceal:
            raise ContainerError(f"damaged in {self.describe_damage()}")

    def describe_damage(self) -> str:
        """Returns the damaged blocks as text."""
        assert self._blocks is not None
        share = (
            self.meta.seconds / self.meta.frames
        )  # the container does not store the hop; the last frame may be partial
        parts = [
            f"block {number} ({first * share:.2f} to {stop * share:.2f} s)"
            for number, (first, stop) in zip(self._blocks.damaged, self.damaged, strict=True)
        ]
        more = f" and {len(parts) - 5} more" if len(parts) > 5 else ""
        return f"{', '.join(parts[:5])}{more} of {self.meta.blocks}"

    def _recut(self, blocks: Iterator[np.ndarray], frames: int) -> Iterator[np.ndarray]:
        held = np.zeros((self.meta.streams, 0, self.meta.num_quantizers), np.int32)
        left = self.meta.frames
        while left:
            with self._named():
                while held.shape[1] < min(frames, left):
                    held = np.concatenate([held, next(blocks)], axis=1)
            count = min(frames, left)
            yield held[:, :count]
            held, left = held[:, count:], left - count

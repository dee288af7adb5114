"""Shards of audio: ArrayRecord files whose records are a small JSON header and 16-bit PCM.

One record is one utterance: `CDX1`, the header's length (uint32, little-endian), the header (UTF-8 JSON with at least
`sample_rate`, `channels` and `frames`; usually also `id`, `text`, `language`), and the samples as little-endian int16,
channels interleaved. Records are written alone (`group_size:1`) and uncompressed, so that a random read costs one copy.
"""

from __future__ import annotations

import functools
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from codax.audio import from_int16, out_of_range
from codax.errors import CodaxError
from codax.storage import strict_json
from codax.storage.digests import file_sha256
from codax.storage.files import open_part, require_file

T = TypeVar("T")
SUFFIX = ".array_record"
_MAGIC = b"CDX1"
_PREFIX = struct.Struct("<4sI")
_MAX_HEADER = 1 << 20


def encode(meta: dict[str, Any], samples: np.ndarray) -> bytes:
    """Serialises `samples` int16 [time, channels] as a record; `meta` must hold `sample_rate`."""
    header = json.dumps({**meta, "frames": len(samples), "channels": samples.shape[1]}, ensure_ascii=False).encode()
    return _PREFIX.pack(_MAGIC, len(header)) + header + np.ascontiguousarray(samples, "<i2").tobytes()


def decode_header(record: bytes) -> tuple[dict[str, Any], int]:
    """The header of a record and the offset of its samples.

    Raises:
      ValueError: not a record of this format.
    """
    if len(record) < _PREFIX.size:
        raise ValueError("record is too short")
    magic, length = _PREFIX.unpack_from(record)
    if magic != _MAGIC or length > _MAX_HEADER or _PREFIX.size + length > len(record):
        raise ValueError("record is not codax audio")
    offset = _PREFIX.size + length
    try:
        meta = strict_json.parse(record[_PREFIX.size : offset])
    except strict_json.JSONError as error:
        raise ValueError(str(error)) from error
    numbers = ("sample_rate", "channels", "frames")
    if not isinstance(meta, dict) or not all(type(meta.get(key)) is int and meta[key] > 0 for key in numbers):
        raise ValueError("record header lacks sample_rate, channels or frames")
    if reason := out_of_range(meta["sample_rate"], meta["channels"]):
        raise ValueError(reason)
    if len(record) - offset != 2 * meta["frames"] * meta["channels"]:
        raise ValueError("record length differs from its header")
    return meta, offset


def _decode(record: bytes) -> tuple[dict[str, Any], np.ndarray]:
    meta, offset = decode_header(record)
    return meta, np.frombuffer(record, "<i2", offset=offset).reshape(-1, meta["channels"])


class ShardWriter:
    """Writes a shard: `with ShardWriter(path) as w: w.write(meta, samples)`; the file appears if the block succeeds.

    After the block `bytes` and `sha256` describe the file.
    """

    def __init__(self, path: str | os.PathLike[str], folder: Path | None = None):
        """Opens a temporary file in `folder` (on the same disk), or beside `path`. Raises CodaxError."""
        self.path = Path(path)
        self.count, self.bytes, self.sha256 = 0, 0, ""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part = open_part(self.path, CodaxError, folder)
            self._writer = ArrayRecordWriter(str(self._part.temporary), "group_size:1,uncompressed")
        except (OSError, RuntimeError, ValueError) as error:
            raise CodaxError(f"{path}: cannot be written ({error})") from error

    def write(self, meta: dict[str, Any], samples: np.ndarray) -> int:
        """Appends int16 [time, channels]; returns the record's index."""
        return self.append(encode(meta, samples))

    def append(self, record: bytes) -> int:
        """Appends a serialised record; returns its index."""
        try:
            self._writer.write(record)
        except (OSError, RuntimeError, ValueError) as error:
            raise CodaxError(f"{self.path}: cannot be written ({error})") from error
        self.count += 1
        return self.count - 1

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._writer.close()
            if kind is None:
                self._finish()
        except (OSError, RuntimeError, ValueError) as error:
            if kind is None:
                raise CodaxError(f"{self.path}: cannot be written ({error})") from error
        finally:
            self._part.discard()

    def _finish(self) -> None:
        temporary = self._part.temporary
        if self.count == 0:
            raise CodaxError(f"{self.path}: no records to write")
        try:
            stored = len(Shard(temporary))
        except CodaxError:
            stored = 0  # of a file without an index
        if stored != self.count:
            raise CodaxError(f"{self.path}: {stored} of {self.count} records were stored; is the disk full?")
        self.bytes, self.sha256 = temporary.stat().st_size, file_sha256(temporary)
        self._part.publish()


class Shard:
    """Random access to the records of one file; reads are thread-safe."""

    def __init__(self, path: str | os.PathLike[str]):
        """Opens the file.

        Raises:
          CodaxError: missing, damaged or not an ArrayRecord file.
        """
        self.path = str(path)
        require_file(self.path)
        try:
            self._reader = ArrayRecordReader(self.path, "readahead_buffer_size:0,max_parallelism:0")
            self._count = self._reader.num_records()
        except (OSError, RuntimeError, ValueError) as error:
            raise CodaxError(f"{path}: not a readable ArrayRecord file ({_first_line(error)})") from error
        if self._count == 0:  # the index is at the end of the file, so a truncated file has no records
            raise CodaxError(f"{path}: holds no records; it is truncated or not an ArrayRecord file")

    def __len__(self) -> int:
        return self._count

    def parse(self, index: int, decode: Callable[[bytes], T]) -> T:
        """Applies `decode` to a record; its ValueError becomes a CodaxError that names the file."""
        if not 0 <= index < self._count:
            raise CodaxError(f"{self.path}: has no record {index}, only {self._count}")
        try:
            return decode(self._reader.read([index])[0])
        except (OSError, RuntimeError, ValueError, IndexError) as error:
            raise CodaxError(f"{self.path}: record {index} cannot be read ({_first_line(error)})") from error

    def header(self, index: int) -> dict[str, Any]:
        """The header of a record."""
        return self.parse(index, decode_header)[0]

    def pcm(self, index: int) -> tuple[dict[str, Any], np.ndarray]:
        """Header and int16 [time, channels] (read-only) of a record."""
        return self.parse(index, _decode)

    def read(self, index: int, start: int = 0, frames: int | None = None) -> np.ndarray:
        """Samples float32 [time, channels] of a record: at most `frames` frames from `start` on."""
        samples = self.pcm(index)[1]
        return from_int16(samples[start:] if frames is None else samples[start : start + frames])


@functools.lru_cache(maxsize=256)
def open_shard(path: str) -> Shard:
    """The shard at `path`, opened once and shared."""
    return Shard(path)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].split(";")[0][:200]

"""Shards of tokens: Parquet files that pyarrow and `datasets` read, or ArrayRecord files for Grain.

A record has the columns of `COLUMNS` and the codes, in Parquet as list<fixed_size_list<integer>[quantizers]>. An
ArrayRecord is `CDT1`, the length of a header (uint32, little-endian), the header (UTF-8 JSON with the other columns
and `quantizers`), and the codes, little-endian integers [frames, quantizers]. The integers are int16, or int32 if a
codebook has more than 32,768 entries. Every shard states the hash of its model as `codax_model`, in the metadata of a
Parquet file's schema or in the header of an ArrayRecord.
"""

from __future__ import annotations

import functools
import io
import json
import re
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax.data.records import Shard, ShardWriter
from codax.errors import CodaxError, install
from codax.storage import strict_json
from codax.storage.digests import sha256
from codax.storage.files import require_file, write_whole

Record = dict[str, Any]
Reader = Callable[[int], Record]
# Name -> whether it is a number. `length` is samples per channel at `sample_rate` Hz, `frame_rate` frames per second.
COLUMNS = {"id": False, "length": True, "sample_rate": True, "channels": True, "frame_rate": True}
TEXTS = ("text", "speaker", "language")  # may be empty
ROWS = 64  # of a row group, which a random read decodes

_MODEL = "codax_model"  # the key of the model's hash
_MAGIC = b"CDT1"
_PREFIX = struct.Struct("<4sI")
_MAX_HEADER = 1 << 20


def code_type(sizes: Sequence[int]) -> np.dtype:
    """Returns the integer type of codes of codebooks with these numbers of entries."""
    return np.dtype("<i2" if max(sizes) <= 1 << 15 else "<i4")


def parquet() -> Any:
    """Returns the module pyarrow. Raises CodaxError: not installed."""
    try:
        import pyarrow.parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise CodaxError(f"Parquet shards need pyarrow: {install('parquet')}") from error
    return pyarrow


def _write_parquet(path: Path, rows: Sequence[Record], work: Path, model: str) -> tuple[int, str]:
    del work  # a table is built in memory
    pa = parquet()
    codes = [row["codes"] for row in rows]
    kind, width = codes[0].dtype, codes[0].shape[1]
    values = pa.array(np.concatenate(codes).reshape(-1), pa.from_numpy_dtype(kind))
    offsets = pa.array(np.cumsum([0, *map(len, codes)]), pa.int32())
    columns = {"id": pa.array([row["id"] for row in rows], pa.string())}
    columns["codes"] = pa.ListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(values, width))
    for name, kind in (("length", pa.int64()), ("sample_rate", pa.int32()), ("channels", pa.int32())):
        columns[name] = pa.array([row[name] for row in rows], kind)
    columns["frame_rate"] = pa.array([row["frame_rate"] for row in rows], pa.float64())
    if any("scales" in row for row in rows):
        columns["scales"] = pa.array([row.get("scales") for row in rows], pa.list_(pa.float32()))
    for name in TEXTS:
        columns[name] = pa.array([row.get(name) for row in rows], pa.string())
    buffer = io.BytesIO()
    table = pa.table(columns, metadata={_MODEL: model})
    pa.parquet.write_table(table, buffer, row_group_size=ROWS, compression="zstd", write_page_checksum=True)
    write_whole(path, buffer.getvalue())
    return buffer.tell(), sha256(buffer.getvalue()).hexdigest()


def _write_array_records(path: Path, rows: Sequence[Record], work: Path, model: str) -> tuple[int, str]:
    with ShardWriter(path, work) as writer:
        for row in rows:
            codes = row["codes"]
            about = {name: value for name, value in row.items() if name != "codes"}
            about = {**about, "quantizers": codes.shape[1], "type": codes.dtype.str, _MODEL: model}
            header = json.dumps(about, ensure_ascii=False).encode()
            writer.append(_PREFIX.pack(_MAGIC, len(header)) + header + codes.tobytes())
    return writer.bytes, writer.sha256


def _open_parquet(path: Path, model: str) -> tuple[int, Reader]:
    pa = parquet()
    groups: dict[int, list[Record]] = {}  # the group of the last read
    lock = threading.Lock()  # Grain reads with several threads, and a ParquetFile is for one at a time

    def group(number: int) -> list[Record]:
        with lock:
            if number not in groups:
                try:
                    rows = _parquet_rows(file.read_row_group(number, use_threads=False))
                except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
                    raise CodaxError(f"{path}: damaged ({_first_line(error)})") from error
                groups.clear()
                groups[number] = rows
            return groups[number]

    def read(index: int) -> Record:
        number, row = divmod(index, ROWS)
        rows = group(number)
        if row >= len(rows):
            raise CodaxError(f"{path}: damaged (a row group has {len(rows)} rows)")
        return dict(rows[row])

    require_file(path)
    try:
        file = pa.parquet.ParquetFile(path, page_checksum_verification=True)
        kind = str(file.schema_arrow.field("codes").type)
        largest = max((file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)), default=0)
    except (pa.ArrowException, OSError, KeyError, UnicodeError) as error:
        raise CodaxError(f"{path}: not a Parquet file of tokens ({_first_line(error)})") from error
    if (stated := (file.schema_arrow.metadata or {}).get(_MODEL.encode(), b"").decode("latin-1")) != model:
        raise CodaxError(f"{path}: {_other_model(stated, model)}")
    if not re.fullmatch(r"list<\w+: fixed_size_list<\w+: int(16|32)>\[\d+\]>", kind):
        raise CodaxError(f"{path}: not a Parquet file of tokens (codes are {kind:.100})")
    if largest > 1 << 30:
        raise CodaxError(f"{path}: a row group declares {largest} bytes")
    return file.metadata.num_rows, read


def _parquet_rows(table: Any) -> list[Record]:
    codes = table.column("codes").combine_chunks()
    starts, width = codes.offsets.to_numpy(), codes.type.value_type.list_size
    values = codes.values.flatten().to_numpy().reshape(-1, width)
    rows = []
    for row, start, end in zip(table.drop_columns(["codes"]).to_pylist(), starts, starts[1:], strict=False):
        known = {name: value for name, value in row.items() if value is not None}
        rows.append({**known, "codes": values[start:end]})
    return rows


def _open_array_records(path: Path, model: str) -> tuple[int, Reader]:
    shard, decode = Shard(path), functools.partial(_decoded, model=model)
    return len(shard), lambda index: shard.parse(index, decode)


def _other_model(stated: object, model: str) -> str:
    return f"has tokens of the model with hash {stated!s:.40}, the data set those of {model}" if stated else "no tokens"


def _decoded(record: bytes, model: str) -> Record:
    if len(record) < _PREFIX.size:
        raise ValueError("record is too short")
    magic, length = _PREFIX.unpack_from(record)
    start = _PREFIX.size + length
    if magic != _MAGIC or length > _MAX_HEADER or start > len(record):
        raise ValueError("record holds no tokens")
    try:
        row = strict_json.parse(record[_PREFIX.size : start])
    except strict_json.JSONError as error:
        raise ValueError(str(error)) from error
    if not isinstance(row, dict) or row.get("type") not in ("<i2", "<i4"):
        raise ValueError("record header lacks the type of the codes")
    if (stated := row.pop(_MODEL, "")) != model:
        raise ValueError(_other_model(stated, model))
    kind, width = np.dtype(row.pop("type")), row.pop("quantizers", 0)
    if type(width) is not int or width < 1 or (len(record) - start) % (width * kind.itemsize):
        raise ValueError("record length differs from its header")
    return {**row, "codes": np.frombuffer(record, kind, offset=start).reshape(-1, width)}


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


_FORMATS = {
    "parquet": (".parquet", _write_parquet, _open_parquet),
    "arrayrecord": (".array_record", _write_array_records, _open_array_records),
}
FORMATS = tuple(_FORMATS)


def suffix(form: str) -> str:
    """Returns the suffix of shards in a format."""
    return _FORMATS[form][0]


def write(path: Path, form: str, rows: Sequence[Record], work: Path, model: str) -> dict[str, Any]:
    """Writes a shard whole; returns its number of records, bytes and SHA-256.

    Args:
      form: "parquet" or "arrayrecord".
      rows: records with `codes` [frames, quantizers] of one integer type.
      work: folder for unfinished files, on the same disk.
      model: the hash of the model, in hexadecimal.

    Raises:
      CodaxError: pyarrow is missing, or the disk is full.
    """
    try:
        size, digest = _FORMATS[form][1](path, rows, work, model)
    except OSError as error:
        raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error
    return {"records": len(rows), "bytes": size, "sha256": digest}


def open_shard(path: Path, form: str, model: str) -> tuple[int, Reader]:
    """Opens a shard; returns its number of records, and a function that reads a record by its index.

    Raises:
      CodaxError: missing, damaged, or of a model with another hash; reading raises it too.
    """
    return _FORMATS[form][2](path, model)


def check(record: Record, sizes: Sequence[int]) -> Record:
    """Returns the record, if its columns fit. Raises ValueError."""
    codes = record["codes"]
    if codes.ndim != 2 or codes.shape[1] != len(sizes):
        raise ValueError(f"codes of shape {codes.shape}, expected {len(sizes)} quantizers")
    if codes.size and (codes.min() < 0 or (codes >= np.asarray(sizes)).any()):
        raise ValueError("a code is not in its codebook")
    for name, is_number in COLUMNS.items():
        value = record.get(name)
        is_sound = isinstance(value, int | float) and value > 0 if is_number else isinstance(value, str)
        if not is_sound:
            raise ValueError(f"column {name!r} is {value!r}")
    return record

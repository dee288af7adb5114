"""Parquet files of audio in the layout of Hugging Face datasets: a column `audio` of struct{bytes, path}, and a text.

The text column is `text`, `transcript` or `sentence`; `language`, `speaker`, `licence` and `split` are read too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from codax.audio import AUDIO_SUFFIXES
from codax.data import manifest
from codax.data.sources.members import MAX_AUDIO_BYTES, ArchiveError, Member, known_facts
from codax.errors import CodaxError, install

_EXPANSION = 64  # of a row group by compression, beyond `_ALWAYS` bytes; audio shrinks far less
_ALWAYS = 1 << 27
_ROWS = 16  # read at once, with their audio
_COLUMNS = ("text", "language", "speaker", "licence", "split")


def members(path: str) -> Iterator[Member]:
    """The utterances of a file, one per row.

    Raises:
      ArchiveError: not a parquet file, no such column, or damaged.
      CodaxError: pyarrow is not installed.
    """
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
        import pyarrow.parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise CodaxError(f"{path}: parquet files need pyarrow: {install('parquet')}") from error
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            kind = schema.field("audio").type if "audio" in schema.names else None
            if kind is None or not pyarrow.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
                raise ArchiveError(path, "has no column 'audio' of struct{bytes, path}")
            for group in range(file.num_row_groups):
                stated = file.metadata.row_group(group).total_byte_size
                if stated > max(_ALWAYS, _EXPANSION * os.path.getsize(path)):
                    raise ArchiveError(path, f"row group {group} declares {stated} bytes, more than the file can hold")
            known = {alias for name in _COLUMNS for alias in manifest.ALIASES.get(name, (name,))}
            columns = [name for name in schema.names if name == "audio" or name in known]
            for batch in file.iter_batches(batch_size=_ROWS, columns=columns, use_threads=False):
                for row in batch.to_pylist():
                    yield _utterance(f"{number:07d}", row)
                    number += 1
    except (pyarrow.ArrowException, OSError, UnicodeError) as error:
        raise ArchiveError(path, getattr(error, "strerror", None) or error) from error


def _utterance(key: str, row: dict[str, Any]) -> Member:
    audio = row["audio"] or {}
    data = audio.get("bytes")
    if not isinstance(data, bytes) or not data:
        return Member(key, reason="no bytes of audio")
    if len(data) > MAX_AUDIO_BYTES:
        return Member(key, reason="too large")
    suffix = os.path.splitext(str(audio.get("path") or ""))[1].lower()
    return Member(key, data, suffix if suffix in AUDIO_SUFFIXES else "", known_facts(row))

"""Manifests: tables of audio, one row an example (.jsonl, .csv or .tsv).

A row needs `file` (aliases: `path`, `audio`, `audio_filepath`); relative paths are relative to the manifest. Optional
columns: `id`, `text`, `sample_rate`, `split`, `language`, `speaker`, `licence`, and `record`, the index in an
ArrayRecord shard. Rows of records that also state `sample_rate`, `frames` and `channels`, as written by
`codax data build`, are opened without reading the audio.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from codax.errors import CodaxError
from codax.storage.files import require_file, write_whole

SUFFIXES = (".jsonl", ".csv", ".tsv")
NAME = "manifest.jsonl"  # of a folder that `codax data build` made
ALIASES = {
    "file": ("file", "path", "audio", "audio_filepath"),
    "text": ("text", "transcript", "sentence"),
    "sample_rate": ("sample_rate", "sampling_rate"),
    "licence": ("licence", "license"),
}
_NUMBERS = ("sample_rate", "record", "frames", "channels")


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a manifest, with canonical column names, absolute `file` paths and checked integers.

    Raises:
      CodaxError: unreadable file, a row without a file, or an invalid number; the message names the line.
    """
    rows = []
    for line, raw in _raw_rows(path):
        row = {str(key).strip().lower(): value for key, value in raw.items() if key is not None and value is not None}
        for name, aliases in ALIASES.items():
            values = [row.pop(alias) for alias in aliases if alias in row]
            if values:
                row[name] = values[0]
        if not isinstance(row.get("file"), str) or not row["file"]:
            raise CodaxError(f"{path}:{line}: no 'file' column")
        row["file"] = os.path.normpath(path.parent / row["file"])
        for name in _NUMBERS:
            if row.get(name, "") == "":
                row.pop(name, None)
                continue
            try:
                number = float(row[name])
            except (TypeError, ValueError):
                number = -1.0
            if number < 0 or number != int(number):
                raise CodaxError(f"{path}:{line}: {name} is {row[name]!r}, expected a whole number")
            row[name] = int(number)
        rows.append(row)
    return rows


def _raw_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    require_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".jsonl":
                for line, text in enumerate(file, 1):
                    if not text.strip():
                        continue
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise CodaxError(f"{path}:{line}: expected a JSON object")
                    yield line, row
            else:
                tsv = path.suffix == ".tsv"
                reader = csv.DictReader(
                    file, delimiter="\t" if tsv else ",", quoting=csv.QUOTE_NONE if tsv else csv.QUOTE_MINIMAL
                )
                for row in reader:
                    yield reader.line_num, row
    except json.JSONDecodeError as error:
        raise CodaxError(f"{path}: not JSON lines ({error})") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CodaxError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes JSON lines atomically."""
    try:
        write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    except OSError as error:
        raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_transcripts(path: Path) -> dict[str, str]:
    """Reads `transcripts.tsv` (file, tab, text; the header line is optional); the keys are the names as written.

    Raises:
      CodaxError: unreadable file, or a line without a tab.
    """
    require_file(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CodaxError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    texts = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, tab, text = line.partition("\t")
        if not tab:
            raise CodaxError(f"{path}:{number}: expected a file name, a tab and a text")
        if number == 1 and name.strip().lower() in ALIASES["file"]:
            continue
        texts[name.strip()] = text.split("\t")[0].strip()
    return texts

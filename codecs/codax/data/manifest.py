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

from codax.config.checks import MOST_CHANNELS, RATES
from codax.errors import CodaxError
from codax.storage import strict_json
from codax.storage.files import require_file, write_whole

SUFFIXES = (".jsonl", ".csv", ".tsv")
NAME = "manifest.jsonl"  # of a folder that `codax data build` made
ALIASES = {
    "file": ("file", "path", "audio", "audio_filepath"),
    "text": ("text", "transcript", "sentence"),
    "sample_rate": ("sample_rate", "sampling_rate"),
    "licence": ("licence", "license"),
}
# The numbers of a row and their bounds.
_NUMBERS = {"sample_rate": RATES, "record": (0, 1 << 40), "frames": (0, 1 << 40), "channels": (1, MOST_CHANNELS)}
_MAX_ROW = 1 << 20  # characters


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
        if "\0" in row["file"]:
            raise CodaxError(f"{path}:{line}: the name of a file cannot hold a zero byte")
        row["file"] = os.path.normpath(path.parent / row["file"])
        row |= {"id": str(row["id"])} if row.get("id") else {}
        for name, (least, most) in _NUMBERS.items():
            if row.get(name, "") == "":
                row.pop(name, None)
                continue
            try:
                row[name] = strict_json.whole(row[name], least, most)
            except ValueError as error:
                shown = f"{row[name]!r:.40}"
                raise CodaxError(f"{path}:{line}: {name} is {shown}, not within {least} to {most}") from error
        rows.append(row)
    return rows


def _raw_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    require_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".jsonl":
                for line, text in enumerate(iter(lambda: file.readline(_MAX_ROW + 1), ""), 1):
                    if text.strip():
                        yield line, _object(text, f"{path}:{line}")
            else:
                tsv = path.suffix == ".tsv"
                reader = csv.DictReader(
                    file, delimiter="\t" if tsv else ",", quoting=csv.QUOTE_NONE if tsv else csv.QUOTE_MINIMAL
                )
                for row in reader:
                    yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CodaxError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        row = strict_json.parse(text.strip(), most=_MAX_ROW)
    except strict_json.JSONError as error:
        raise CodaxError(f"{where}: not JSON lines ({error})") from error
    if not isinstance(row, dict):
        raise CodaxError(f"{where}: expected a JSON object")
    return row


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
